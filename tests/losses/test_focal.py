"""Focal losses of classes and of regions against MONAI and numbers by hand."""

import math

import pytest
import torch
from monai.losses import FocalLoss

from segexp.losses import BinaryCrossEntropy, Focal
from tests.losses.examples import assert_same_value_and_gradient
from tests.losses.examples import draw as draw_kind
from tests.losses.test_pixel import CLASS_WEIGHTS, draw


@pytest.mark.parametrize("sizes", [(9, 7), (4, 5, 6)])
@pytest.mark.parametrize("gamma", [0, 1.0, 2.0, 3.5])
@pytest.mark.parametrize("class_weights", [None, CLASS_WEIGHTS])
@pytest.mark.parametrize("mask", ["random", "empty"])
def test_focal_equals_monai(sizes: tuple, gamma: float, class_weights: list | None, mask: str) -> None:
    logits, target = draw(*sizes, ignored=0)
    if mask == "empty":
        target.zero_()
    monai = FocalLoss(to_onehot_y=True, gamma=gamma, weight=class_weights, use_softmax=True)
    theirs = logits.shape[1] * monai(logits, target.unsqueeze(1))  # MONAI averages over the classes too
    assert_same_value_and_gradient(Focal(gamma, class_weights)(logits, target), theirs, logits)


def test_focal_by_hand() -> None:
    logits = torch.tensor([0.25, 0.75]).log().reshape(1, 2, 1)
    assert Focal()(logits, torch.tensor([[0]])).item() == pytest.approx(-(0.75**2) * math.log(0.25))
    assert Focal()(logits, torch.tensor([[1]])).item() == pytest.approx(-(0.25**2) * math.log(0.75))


@pytest.mark.parametrize("gamma", [0.1, 0.5, 1.0])
def test_focal_keeps_its_gradient_where_the_prediction_is_certain(gamma: float) -> None:
    logits = torch.tensor([200.0, 0.0]).reshape(1, 2, 1).requires_grad_()
    Focal(gamma)(logits, torch.tensor([[0]])).backward()
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("gamma", [0, 0.5, 2.0])
def test_without_background_equals_monai(gamma: float) -> None:
    logits, target = draw(9, 7, ignored=0)
    # MONAI's own include_background=False leaves the background out of the softmax too, see test_peers.py.
    monai = FocalLoss(to_onehot_y=True, gamma=gamma, use_softmax=True, reduction="none")
    theirs = monai(logits, target.unsqueeze(1))[:, 1:].sum() / target.numel()
    assert_same_value_and_gradient(Focal(gamma, [0.0, 1.0, 1.0])(logits, target), theirs, logits)


@pytest.mark.parametrize("use_softmax", [True, False])
def test_alpha_equals_monai(use_softmax: bool) -> None:
    logits, target, _ = draw_kind("classes" if use_softmax else "regions", 9, 7, ignored=0)
    monai = FocalLoss(to_onehot_y=use_softmax, alpha=0.25, use_softmax=use_softmax)
    theirs = monai(logits, target.unsqueeze(1) if use_softmax else target.float())
    ours = Focal(alpha=0.25)(logits, target)
    assert_same_value_and_gradient(ours, 3 * theirs if use_softmax else theirs, logits)


@pytest.mark.parametrize("sizes", [(9, 7), (4, 5, 6)])
@pytest.mark.parametrize("gamma", [0.5, 2.0, 3.5])
@pytest.mark.parametrize("class_weights", [None, CLASS_WEIGHTS])
@pytest.mark.parametrize("region", ["random", "empty", "full"])
def test_of_regions_equals_monai(sizes: tuple, gamma: float, class_weights: list | None, region: str) -> None:
    logits, target, _ = draw_kind("regions", *sizes, ignored=0)
    if region != "random":
        target[:, 1] = region == "full"
    theirs = FocalLoss(gamma=gamma, weight=class_weights)(logits, target.float())
    assert_same_value_and_gradient(Focal(gamma, class_weights)(logits, target), theirs, logits)


@pytest.mark.parametrize("kind", ["classes", "regions"])
@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_reductions_equal_monai(kind: str, reduction: str) -> None:
    logits, target, weight = draw_kind(kind, 5, 6, ignored=0)
    monai = FocalLoss(to_onehot_y=kind == "classes", use_softmax=kind == "classes", reduction=reduction)
    theirs = monai(logits, target.unsqueeze(1) if kind == "classes" else target.float())
    if reduction == "sum":
        theirs = theirs * 30  # theirs is a mean over the pixels of each sample and class, summed
    elif kind == "classes":
        theirs = theirs.sum(1)  # theirs has a channel per class, 0 but in that of the truth
    torch.testing.assert_close(Focal(reduction=reduction)(logits, target), theirs)
    pixels = Focal(reduction="none")(logits, target, weight)
    torch.testing.assert_close(pixels.mean(), Focal()(logits, target, weight))


def test_of_regions_without_focus_is_the_binary_cross_entropy() -> None:
    logits, target, weight = draw_kind("regions", 6, 5)  # with unknown pixels
    ours = Focal(0)(logits, target, weight)
    assert_same_value_and_gradient(ours, BinaryCrossEntropy()(logits, target, weight), logits)


def test_refuses_weights_of_another_number_of_regions() -> None:
    logits, target, _ = draw_kind("regions", 3, 3)
    with pytest.raises(ValueError, match="class_weights has 2 values but the logits have 3"):
        Focal(class_weights=[1.0, 2.0])(logits, target)
