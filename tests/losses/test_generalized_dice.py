"""Generalized Dice against MONAI and fractions by hand."""

import pytest
import torch
from monai.losses import GeneralizedDiceLoss

from segexp.losses import Dice, GeneralizedDice
from tests.losses.examples import assert_same_value_and_gradient, degenerate, draw


@pytest.mark.parametrize("sizes", [(9, 7), (4, 5, 6)])
@pytest.mark.parametrize("mask", ["random", "full", "one sample empty", "class absent", "one pixel"])
@pytest.mark.parametrize("batch", [False, True])
def test_equals_monai_where_a_class_is_present(sizes: tuple, mask: str, batch: bool) -> None:
    logits, target, _ = draw("classes", *sizes, ignored=0, dtype=torch.float64)
    target = degenerate(target, mask)
    monai = GeneralizedDiceLoss(to_onehot_y=True, softmax=True, batch=batch, smooth_nr=1e-15, smooth_dr=1e-15)
    ours = GeneralizedDice(smooth=1e-12, batch=batch)(logits, target)
    assert_same_value_and_gradient(ours, monai(logits, target.unsqueeze(1)), logits, rtol=1e-6)  # float32 weights


@pytest.mark.parametrize("batch", [False, True])
def test_of_regions_equals_monai(batch: bool) -> None:
    logits, target, _ = draw("regions", 6, 7, ignored=0, dtype=torch.float64)
    target[:, 1, :4] = 0
    monai = GeneralizedDiceLoss(sigmoid=True, batch=batch, smooth_nr=1e-15, smooth_dr=1e-15)
    ours = GeneralizedDice(smooth=1e-12, batch=batch)(logits, target)
    assert_same_value_and_gradient(ours, monai(logits, target.double()), logits, rtol=1e-6)


def test_by_hand() -> None:
    probs = torch.tensor([[0.5, 0.25, 0.25, 0.125], [0.5, 0.75, 0.75, 0.875]])
    target = torch.tensor([[0, 1, 1, 1]])  # sizes 1 and 3: weights 1 and 1/9
    both = 0.5 + (0.75 + 0.75 + 0.875) / 9
    sizes = (1 + 1.125) + (3 + 2.875) / 9
    for smooth in (1e-6, 1.0):
        ours = GeneralizedDice(smooth=smooth)(probs.log().unsqueeze(0), target)
        assert ours.item() == pytest.approx(1 - (2 * both + smooth) / (sizes + smooth), rel=1e-5)


def test_of_one_foreground_class_without_background_is_dice() -> None:
    logits, target, weight = draw("classes", 6, 7, channels=2)
    ours = GeneralizedDice(include_background=False)(logits, target, weight)
    assert_same_value_and_gradient(ours, Dice()(logits, target, weight), logits)


@pytest.mark.parametrize("batch", [False, True])
def test_large_objects_cost_as_much_as_small_ones(batch: bool) -> None:
    """Sizes of 10 and of 10 000 pixels in the same proportion, equally wrong, cost the same."""
    _, target, _ = draw("classes", 10, ignored=0)
    logits = torch.randn(2, 3, 10, generator=torch.Generator().manual_seed(0))
    loss = GeneralizedDice(smooth=1e-9, batch=batch)
    many = loss(logits.repeat_interleave(1000, 2), target.repeat_interleave(1000, 1))
    torch.testing.assert_close(loss(logits, target), many)


def test_an_absent_class_weighs_as_much_as_the_rarest_present() -> None:
    logits = torch.tensor([[0.7, 0.7, 0.7], [0.2, 0.2, 0.2], [0.1, 0.1, 0.1]]).log().unsqueeze(0)
    target = torch.tensor([[0, 0, 1]])  # sizes 2, 1 and 0: weights 1/4, 1 and 1
    both = (2 * 0.7) / 4 + 0.2
    sizes = (2 + 2.1) / 4 + (1 + 0.6) + 0.3
    assert GeneralizedDice(smooth=1e-6)(logits, target).item() == pytest.approx(1 - 2 * both / sizes, rel=1e-5)
