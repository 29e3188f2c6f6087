"""Means over pixels against torch and numbers by hand."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segexp.losses import CrossEntropy, Focal, WeightedCrossEntropy2015

CLASS_WEIGHTS = [0.5, 1.0, 3.0]


def draw(*sizes: int, ignored: float = 0.2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn((2, 3, *sizes), generator=generator)
    target = torch.randint(0, 3, (2, *sizes), generator=generator)
    target[torch.rand(target.shape, generator=generator) < ignored] = 255
    return logits.requires_grad_(), target


def assert_same_value_and_gradient(ours: Tensor, theirs: Tensor, logits: Tensor) -> None:
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(torch.autograd.grad(ours, logits), torch.autograd.grad(theirs, logits))


@pytest.mark.parametrize("sizes", [(9, 7), (4, 5, 6)])
@pytest.mark.parametrize("class_weights", [None, CLASS_WEIGHTS, [0, 1, 0]])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.3, 1])
def test_cross_entropy_equals_torch(sizes: tuple, class_weights: list | None, label_smoothing: float) -> None:
    logits, target = draw(*sizes)
    factors = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
    theirs = F.cross_entropy(logits, target, factors, ignore_index=255, label_smoothing=label_smoothing)
    assert_same_value_and_gradient(CrossEntropy(class_weights, label_smoothing)(logits, target), theirs, logits)


def test_cross_entropy_of_an_empty_mask_equals_torch() -> None:
    logits, target = draw(6, 6)
    target.zero_()
    assert_same_value_and_gradient(CrossEntropy()(logits, target), F.cross_entropy(logits, target), logits)


def test_cross_entropy_is_zero_where_only_classes_of_weight_zero_occur() -> None:
    logits, target = draw(3, 3)
    value = CrossEntropy(class_weights=[0.0, 1.0, 1.0])(logits, torch.zeros_like(target))
    assert value == 0
    assert not torch.autograd.grad(value, logits)[0].any()


@pytest.mark.parametrize("loss", [CrossEntropy(), Focal(gamma=0), WeightedCrossEntropy2015()])
def test_a_weight_multiplies_each_pixel_and_not_the_divisor(loss: torch.nn.Module) -> None:
    probs = torch.tensor([[0.75, 0.5, 0.2, 0.1], [0.25, 0.5, 0.8, 0.9]]).unsqueeze(0)
    target = torch.tensor([[0, 1, 1, 255]])
    weight = torch.tensor([[5.0, 10.0, 100.0, 1000.0]])
    expected = -(5 * math.log(0.75) + 10 * math.log(0.5) + 100 * math.log(0.8)) / 3  # three pixels count
    assert loss(probs.log(), target, weight).item() == pytest.approx(expected, rel=1e-6)


def test_class_weights_and_a_pixel_weight_go_together() -> None:
    logits, target = draw(4, 4, ignored=0)
    weight = torch.rand(target.shape)
    factors = torch.tensor(CLASS_WEIGHTS)
    theirs = (F.cross_entropy(logits, target, factors, reduction="none") * weight).sum() / factors[target].sum()
    assert_same_value_and_gradient(CrossEntropy(CLASS_WEIGHTS)(logits, target, weight), theirs, logits)
    plain = F.cross_entropy(logits, target, reduction="none") * factors[target] * weight
    assert_same_value_and_gradient(Focal(0, CLASS_WEIGHTS)(logits, target, weight), plain.mean(), logits)


def test_weighted_ce_2015_is_the_mean_of_weight_times_cross_entropy() -> None:
    logits, target = draw(5, 6, ignored=0)
    weight = 10 * torch.rand(target.shape)
    theirs = (weight * F.cross_entropy(logits, target, reduction="none")).mean()
    assert_same_value_and_gradient(WeightedCrossEntropy2015()(logits, target, weight), theirs, logits)


def test_weighted_ce_2015_needs_its_map() -> None:
    with pytest.raises(ValueError, match="choose loss=weighted_ce_2015, which also makes the data carry the map"):
        WeightedCrossEntropy2015()(*draw(3, 3))


@pytest.mark.parametrize("loss", [CrossEntropy([1.0, 2.0]), Focal(class_weights=[1.0, 2.0])])
def test_refuses_class_weights_of_another_number(loss: torch.nn.Module) -> None:
    with pytest.raises(ValueError, match="class_weights has 2 values but the logits have 3 classes"):
        loss(*draw(3, 3))


@pytest.mark.parametrize("class_weights", [None, CLASS_WEIGHTS])
@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_reductions_equal_torch(class_weights: list | None, reduction: str) -> None:
    logits, target = draw(5, 6)
    factors = None if class_weights is None else torch.tensor(class_weights)
    theirs = F.cross_entropy(logits, target, factors, ignore_index=255, reduction=reduction)
    ours = CrossEntropy(class_weights, reduction=reduction)(logits, target)
    torch.testing.assert_close(ours, theirs)
    weight = torch.rand(target.shape)
    ours = WeightedCrossEntropy2015(reduction="none")(logits, target, weight)
    torch.testing.assert_close(ours, weight * F.cross_entropy(logits, target, ignore_index=255, reduction="none"))
