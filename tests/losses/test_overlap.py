"""Overlaps against MONAI and fractions by hand."""

import pytest
import torch
from monai.losses import DiceLoss, GeneralizedDiceLoss, TverskyLoss
from torch import Tensor

from segexp.losses import Dice, GeneralizedDice, Tversky, soft_dice, soft_tversky
from tests.losses.examples import MASKS, assert_same_value_and_gradient, degenerate
from tests.losses.examples import draw as draw_kind


def draw(*sizes: int, mask: str = "random") -> tuple[Tensor, Tensor]:
    logits, target, _ = draw_kind("classes", *sizes, ignored=0)
    return logits, degenerate(target, mask)


@pytest.mark.parametrize("sizes", [(9, 7), (4, 5, 6), (2, 2)])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(
    ("include_background", "smooth", "squared", "batch"),
    [(False, 1.0, False, False), (True, 1e-5, False, False), (False, 0.1, True, False), (True, 1.0, True, True)],
)
def test_dice_equals_monai(
    sizes: tuple, mask: str, include_background: bool, smooth: float, squared: bool, batch: bool
) -> None:
    logits, target = draw(*sizes, mask=mask)
    monai = DiceLoss(
        include_background,
        to_onehot_y=True,
        softmax=True,
        squared_pred=squared,
        smooth_nr=smooth,
        smooth_dr=smooth,
        batch=batch,
    )
    ours = Dice(include_background, smooth, squared, batch)(logits, target)
    assert_same_value_and_gradient(ours, monai(logits, target.unsqueeze(1)), logits)


@pytest.mark.parametrize("sizes", [(9, 7), (4, 5, 6), (2, 2)])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(
    ("alpha", "beta", "smooth", "include_background", "batch"),
    [(0.3, 0.7, 1.0, False, False), (0.5, 0.5, 1e-5, True, False), (0.9, 0.0, 0.1, True, True)],
)
def test_tversky_equals_monai(
    sizes: tuple, mask: str, alpha: float, beta: float, smooth: float, include_background: bool, batch: bool
) -> None:
    logits, target = draw(*sizes, mask=mask)
    monai = TverskyLoss(
        include_background,
        to_onehot_y=True,
        softmax=True,
        alpha=alpha,
        beta=beta,
        smooth_nr=smooth,
        smooth_dr=smooth,
        batch=batch,
    )
    ours = Tversky(alpha, beta, 1.0, smooth, include_background, batch)(logits, target)
    assert_same_value_and_gradient(ours, monai(logits, target.unsqueeze(1)), logits)


@pytest.mark.parametrize("sizes", [(9, 7), (4, 5, 6)])
@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("region", ["random", "empty", "full"])
def test_dice_of_regions_equals_monai(sizes: tuple, region: str, squared: bool, batch: bool) -> None:
    logits, target, _ = draw_kind("regions", *sizes, ignored=0)
    if region != "random":
        target[:, 1] = region == "full"
    monai = DiceLoss(sigmoid=True, squared_pred=squared, batch=batch, smooth_nr=1.0, smooth_dr=1.0)
    ours = Dice(squared=squared, batch=batch)(logits, target)
    assert_same_value_and_gradient(ours, monai(logits, target.float()), logits)


@pytest.mark.parametrize("region", ["random", "empty", "full"])
def test_tversky_of_regions_equals_monai(region: str) -> None:
    logits, target, _ = draw_kind("regions", 6, 7, ignored=0)
    if region != "random":
        target[:, 1] = region == "full"
    monai = TverskyLoss(sigmoid=True, alpha=0.3, beta=0.7, smooth_nr=1.0, smooth_dr=1.0)
    assert_same_value_and_gradient(Tversky()(logits, target), monai(logits, target.float()), logits)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("gamma", [0.75, 4 / 3])
def test_focal_tversky_is_the_power_of_each_loss_of_monai(mask: str, gamma: float) -> None:
    logits, target = draw(6, 5, mask=mask)
    monai = TverskyLoss(False, True, softmax=True, alpha=0.3, beta=0.7, smooth_nr=1.0, smooth_dr=1.0, reduction="none")
    theirs = (monai(logits, target.unsqueeze(1)) ** gamma).mean()
    assert_same_value_and_gradient(Tversky(gamma=gamma)(logits, target), theirs, logits)


def test_focal_tversky_of_the_paper_by_hand() -> None:
    logits = torch.tensor([[[100.0, 100.0, -100.0, -100.0]]])  # one of two true pixels found, one false
    target = torch.tensor([[[1, 0, 1, 0]]])
    index = (1 + 1) / (1 + 0.3 * 1 + 0.7 * 1 + 1)
    assert Tversky(gamma=0.75)(logits, target).item() == pytest.approx((1 - index) ** (1 / (4 / 3)))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Dice(smooth=0.5), DiceLoss(False, True, softmax=True, smooth_nr=0.5, smooth_dr=0.5, ignore_index=255)),
        (
            Tversky(smooth=0.5),
            TverskyLoss(False, True, False, True, None, 0.3, 0.7, smooth_nr=0.5, smooth_dr=0.5, ignore_index=255),
        ),
    ],
)
def test_ignored_pixels_as_in_monai(ours: torch.nn.Module, theirs: torch.nn.Module) -> None:
    logits, target = draw(6, 5)
    target[:, :3] = 255
    assert_same_value_and_gradient(ours(logits, target), theirs(logits, target.unsqueeze(1)), logits)


@pytest.mark.parametrize("loss", [Dice(), Dice(squared=True, batch=True), Tversky(), GeneralizedDice()])
def test_a_pixel_of_weight_three_counts_as_three_pixels(loss: torch.nn.Module) -> None:
    logits, target = draw(8)
    weight = torch.ones(2, 8)
    weight[:, 5] = 3
    repeated = torch.tensor([0, 1, 2, 3, 4, 5, 5, 5, 6, 7])
    torch.testing.assert_close(loss(logits, target, weight), loss(logits[..., repeated], target[..., repeated]))


def test_overlaps_by_hand() -> None:
    probs = torch.tensor([[[0.5, 1.0, 0.0], [0.0, 0.0, 0.0]]])
    onehot = torch.tensor([[[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]])
    both, predicted, true = 1.5, 1.5, 3.0
    torch.testing.assert_close(soft_dice(probs, onehot), torch.tensor([[(2 * both + 1) / (predicted + true + 1), 1.0]]))
    squared = soft_dice(probs, onehot, smooth=0.5, squared=True)
    torch.testing.assert_close(squared, torch.tensor([[3.5 / (1.25 + 3 + 0.5), 1.0]]))
    tversky = soft_tversky(probs, onehot, alpha=0.3, beta=0.7, smooth=1.0)
    torch.testing.assert_close(tversky, torch.tensor([[2.5 / (1.5 + 0.7 * 1.5 + 1), 1.0]]))
    reverse = soft_tversky(onehot, probs, alpha=0.3, beta=0.7, smooth=1.0)
    torch.testing.assert_close(reverse, torch.tensor([[2.5 / (1.5 + 0.3 * 1.5 + 1), 1.0]]))


def test_over_the_batch_there_is_one_row() -> None:
    probs = torch.tensor([[[1.0]], [[0.0]]])
    onehot = torch.tensor([[[1.0]], [[1.0]]])
    torch.testing.assert_close(soft_dice(probs, onehot, batch=True), torch.tensor([[3 / 4]]))
    torch.testing.assert_close(soft_dice(probs, onehot), torch.tensor([[1.0], [1 / 2]]))


@pytest.mark.parametrize("loss", [Dice(), Tversky(), GeneralizedDice(include_background=False), Tversky(gamma=0.75)])
@pytest.mark.parametrize("kind", ["classes", "regions"])
def test_an_empty_mask_costs_what_is_predicted_and_pulls_it_down(loss: torch.nn.Module, kind: str) -> None:
    target = torch.zeros(1, *[1] * (kind == "regions"), 10, 10, dtype=torch.int64)
    silent, loud = (torch.tensor([0.0, level]).reshape(1, 2, 1, 1).repeat(1, 1, 10, 10) for level in (-100.0, 0.0))
    if kind == "regions":
        silent, loud = silent[:, 1:].clone(), loud[:, 1:].clone()
    assert loss(silent, target) == 0
    price, power = (0.3, loss.gamma) if isinstance(loss, Tversky) else (1.0, 1.0)
    value = loss(loud.requires_grad_(), target)
    torch.testing.assert_close(value, torch.tensor((1 - 1 / (price * 50 + 1)) ** power))
    value.backward()
    assert (loud.grad[:, -1] > 0).all()


@pytest.mark.parametrize("overlap", [soft_dice, soft_tversky])
def test_refuses_shapes_that_differ(overlap: object) -> None:
    with pytest.raises(ValueError, match=r"onehot of shape \(2, 1, 4\) must have the shape of probs \(2, 3, 4\)"):
        overlap(torch.zeros(2, 3, 4), torch.zeros(2, 1, 4))


@pytest.mark.parametrize("include_background", [False, True])
@pytest.mark.parametrize("mask", MASKS)
def test_class_weights_equal_monai(include_background: bool, mask: str) -> None:
    logits, target = draw(6, 5, mask=mask)
    weights = [0.5, 2.0, 4.0]
    used = weights if include_background else weights[1:]
    settings = {"to_onehot_y": True, "softmax": True, "smooth_nr": 1.0, "smooth_dr": 1.0}
    # MONAI divides by the number of classes, not by the sum of their weights.
    theirs = DiceLoss(include_background, weight=used, **settings)(logits, target[:, None]) * len(used) / sum(used)
    ours = Dice(include_background, class_weights=weights)(logits, target)
    assert_same_value_and_gradient(ours, theirs, logits)
    each = TverskyLoss(include_background, alpha=0.3, beta=0.7, reduction="none", **settings)(logits, target[:, None])
    theirs = (each.flatten(1) * torch.tensor(used)).sum(1).mean() / sum(used)
    ours = Tversky(include_background=include_background, class_weights=weights)(logits, target)
    assert_same_value_and_gradient(ours, theirs, logits)


def test_class_weights_of_regions_equal_monai() -> None:
    logits, target, _ = draw_kind("regions", 6, 7, ignored=0)
    theirs = DiceLoss(sigmoid=True, weight=[0.5, 0.0, 2.5], smooth_nr=1.0, smooth_dr=1.0)(logits, target.float())
    assert_same_value_and_gradient(Dice(class_weights=[0.5, 0.0, 2.5])(logits, target), theirs, logits)


@pytest.mark.parametrize("reduction", ["sum", "none"])
@pytest.mark.parametrize(
    ("ours", "theirs", "batch"),
    [  # MONAI weighs the classes of a batch by the sizes in each sample
        (Dice, DiceLoss, False),
        (Dice, DiceLoss, True),
        (Tversky, TverskyLoss, False),
        (Tversky, TverskyLoss, True),
        (GeneralizedDice, GeneralizedDiceLoss, False),
    ],
)
def test_reductions_equal_monai(ours: type, theirs: type, batch: bool, reduction: str) -> None:
    logits, target = draw(9, 7)
    smooth = 1e-9 if ours is GeneralizedDice else 1.0  # its smooth has another unit there
    price = {"alpha": 0.3, "beta": 0.7} if ours is Tversky else {}
    monai = theirs(
        False, True, softmax=True, reduction=reduction, smooth_nr=smooth, smooth_dr=smooth, batch=batch, **price
    )
    value = ours(include_background=False, smooth=smooth, batch=batch, reduction=reduction)(logits, target)
    expected = monai(logits, target[:, None])
    torch.testing.assert_close(value, expected if reduction == "sum" else expected.reshape(value.shape))


def test_a_weight_of_the_background_alone_leaves_nothing() -> None:
    logits, target = draw(6, 5)
    loss = Dice(class_weights=[1.0, 0.0, 0.0])(logits, target)
    assert loss == 0
    assert not torch.autograd.grad(loss, logits)[0].any()


def test_auto_weights_are_those_of_the_training_cases() -> None:
    logits, target = draw(6, 5)
    loss = Dice(class_weights="auto")
    with pytest.raises(ValueError, match="class_weights='auto' knows no pixels yet"):
        loss(logits, target)
    loss.class_weights.fit(torch.tensor([[90, 100], [8, 100], [2, 100]]))
    expected = Dice(class_weights=loss.class_weights.values.tolist())(logits, target)
    torch.testing.assert_close(loss(logits, target), expected)
