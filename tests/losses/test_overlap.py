"""Overlaps against MONAI and fractions by hand."""

import pytest
import torch
from monai.losses import DiceCELoss, DiceLoss, TverskyLoss
from torch import Tensor

from segexp.losses import CrossEntropy, Dice, DiceCrossEntropy, Tversky, soft_dice, soft_tversky

MASKS = ["random", "empty", "full", "one sample empty", "class absent"]


def draw(*sizes: int, mask: str = "random") -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    logits = 3 * torch.randn((2, 3, *sizes), generator=generator)
    target = torch.randint(0, 3, (2, *sizes), generator=generator)
    if mask == "empty":
        target.zero_()
    if mask == "full":
        target.fill_(2)
    if mask == "one sample empty":
        target[1] = 0
    if mask == "class absent":
        target[target == 1] = 0
    return logits.requires_grad_(), target


def assert_same_value_and_gradient(ours: Tensor, theirs: Tensor, logits: Tensor) -> None:
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(torch.autograd.grad(ours, logits), torch.autograd.grad(theirs, logits))


@pytest.mark.parametrize("sizes", [(9, 7), (4, 5, 6), (1, 1)])
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


@pytest.mark.parametrize("sizes", [(9, 7), (4, 5, 6), (1, 1)])
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
    ours = Tversky(alpha, beta, smooth, include_background, batch)(logits, target)
    assert_same_value_and_gradient(ours, monai(logits, target.unsqueeze(1)), logits)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("class_weights", [None, [0.5, 1.0, 3.0]])
def test_dice_cross_entropy_equals_monai(mask: str, class_weights: list[float] | None) -> None:
    logits, target = draw(6, 5, mask=mask)
    monai = DiceCELoss(
        to_onehot_y=True,
        softmax=True,
        smooth_nr=0.1,
        smooth_dr=0.1,
        squared_pred=True,
        batch=True,
        lambda_dice=0.25,
        lambda_ce=3.0,
        label_smoothing=0.2,
    )
    if class_weights is not None:
        monai.cross_entropy.weight = torch.tensor(class_weights)  # of the cross-entropy alone
    ours = DiceCrossEntropy(0.25, 3.0, True, 0.1, True, True, class_weights, 0.2)(logits, target)
    assert_same_value_and_gradient(ours, monai(logits, target.unsqueeze(1)), logits)


def test_dice_cross_entropy_weights_both_parts() -> None:
    logits, target = draw(6, 5)
    weight = torch.rand(target.shape)
    parts = 2 * Dice()(logits, target, weight) + 3 * CrossEntropy()(logits, target, weight)
    torch.testing.assert_close(DiceCrossEntropy(2, 3)(logits, target, weight), parts)


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


@pytest.mark.parametrize("loss", [Dice(), Dice(squared=True, batch=True), Tversky()])
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


@pytest.mark.parametrize("loss", [Dice(), Tversky(), DiceCrossEntropy(ce_weight=0)])
def test_an_empty_mask_costs_what_is_predicted_and_pulls_it_down(loss: torch.nn.Module) -> None:
    target = torch.zeros(1, 10, 10, dtype=torch.int64)
    silent, loud = (torch.tensor([0.0, level]).reshape(1, 2, 1, 1).repeat(1, 1, 10, 10) for level in (-100.0, 0.0))
    assert loss(silent, target) == 0
    price = 0.3 if isinstance(loss, Tversky) else 1.0
    torch.testing.assert_close(loss(loud.requires_grad_(), target), torch.tensor(1 - 1 / (price * 50 + 1)))
    loss(loud, target).backward()
    assert (loud.grad[:, 1] > 0).all()


@pytest.mark.parametrize("loss", [Dice(), Tversky(), DiceCrossEntropy()])
def test_refuses_to_leave_out_the_only_class(loss: torch.nn.Module) -> None:
    with pytest.raises(ValueError, match="include_background=False leaves nothing of logits with 1 class"):
        loss(torch.zeros(1, 1, 4, 4), torch.zeros(1, 4, 4, dtype=torch.int64))


@pytest.mark.parametrize("overlap", [soft_dice, soft_tversky])
def test_refuses_shapes_that_differ(overlap: object) -> None:
    with pytest.raises(ValueError, match=r"onehot of shape \(2, 1, 4\) must have the shape of probs \(2, 3, 4\)"):
        overlap(torch.zeros(2, 3, 4), torch.zeros(2, 1, 4))
