"""Losses of overlapping regions against torch and MONAI."""

import pytest
import torch
from monai.losses import DiceLoss
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from segexp.losses import BinaryCrossEntropy, DiceBinaryCrossEntropy

LOSSES = {
    "bce": BinaryCrossEntropy(),
    "bce_weighted": BinaryCrossEntropy(region_weights=[0.5, 3.0]),
    "dice_bce": DiceBinaryCrossEntropy(dice_weight=0.5, bce_weight=2.0),
    "dice_bce_squared_batch": DiceBinaryCrossEntropy(squared=True, batch=True, smooth=1e-5, region_weights=[1, 0]),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())


def draw(*sizes: int, ignored: float = 0.2, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    """Logits and target of two regions, the same pixels ignored in both, and a weight."""
    generator = torch.Generator().manual_seed(4)
    logits = 3 * torch.randn((3, 2, *sizes), generator=generator, dtype=dtype)
    target = torch.randint(0, 2, (3, 2, *sizes), generator=generator)
    weight = torch.rand((3, *sizes), generator=generator, dtype=dtype) + 0.5
    unlabelled = torch.rand(weight.shape, generator=generator) < ignored
    return logits.requires_grad_(), target.masked_fill(unlabelled[:, None], 255), weight


def assert_same_value_and_gradient(ours: Tensor, theirs: Tensor, logits: Tensor) -> None:
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(torch.autograd.grad(ours, logits), torch.autograd.grad(theirs, logits))


@pytest.mark.parametrize("sizes", [(9, 7), (4, 5, 6)])
def test_cross_entropy_equals_torch_on_the_labelled_pixels(sizes: tuple[int, ...]) -> None:
    logits, target, weight = draw(*sizes)
    known = target != 255
    theirs = binary_cross_entropy_with_logits(logits[known], target[known].float())
    assert_same_value_and_gradient(BinaryCrossEntropy()(logits, target), theirs, logits)
    factors = weight[:, None].expand_as(logits)[known]
    theirs = binary_cross_entropy_with_logits(logits[known], target[known].float(), weight=factors)
    assert_same_value_and_gradient(BinaryCrossEntropy()(logits, target, weight), theirs, logits)


def test_region_weights_weigh_the_means_of_the_regions() -> None:
    logits, target, _ = draw(9, 7, ignored=0)
    first, second = (binary_cross_entropy_with_logits(logits[:, i], target[:, i].float()) for i in (0, 1))
    ours = BinaryCrossEntropy(region_weights=[1.0, 3.0])(logits, target)
    assert_same_value_and_gradient(ours, (first + 3 * second) / 4, logits)


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("sizes", [(9, 7), (4, 5, 6)])
def test_dice_equals_monai(sizes: tuple[int, ...], squared: bool, batch: bool) -> None:
    logits, target, _ = draw(*sizes, ignored=0)
    monai = DiceLoss(sigmoid=True, squared_pred=squared, batch=batch, smooth_nr=1.0, smooth_dr=1.0)
    ours = DiceBinaryCrossEntropy(bce_weight=0, squared=squared, batch=batch)(logits, target)
    assert_same_value_and_gradient(ours, monai(logits, target.float()), logits)


def test_parts_are_summed_and_ignored_pixels_change_neither() -> None:
    logits, target, weight = draw(9, 7)
    both = DiceBinaryCrossEntropy(dice_weight=0.5, bce_weight=2.0)
    dice, bce = DiceBinaryCrossEntropy(bce_weight=0), BinaryCrossEntropy()
    expected = 0.5 * dice(logits, target, weight) + 2 * bce(logits, target, weight)
    torch.testing.assert_close(both(logits, target, weight), expected)
    moved = torch.where(target == 255, logits + 5, logits)
    torch.testing.assert_close(both(moved, target, weight), expected)


@every_loss
def test_gradient_is_the_slope(loss) -> None:
    logits, target, weight = draw(3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda values: loss(values, target, weight), logits)
    assert loss(logits, target, weight).dtype == torch.float64


@every_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_give_the_float32_value(loss, dtype: torch.dtype) -> None:
    logits, target, weight = draw(16, 16)
    half = (20 * logits).to(dtype)
    assert loss(half, target, weight) == loss(half.float(), target, weight)
    assert loss(half, target, weight).dtype == torch.float32


@every_loss
def test_nothing_labelled_gives_zero_and_no_gradient(loss) -> None:
    logits, target, weight = draw(3, 4)
    value = loss(logits, torch.full_like(target, 255), weight)
    assert value == 0
    assert not torch.autograd.grad(value, logits)[0].any()


@every_loss
def test_shapes_that_do_not_fit_are_refused(loss) -> None:
    logits, target, weight = draw(3, 4)
    for wrong in ((target[:, 0], None), (target[:, :1], None), (target, weight[:, None])):
        with pytest.raises(ValueError, match="do not fit logits of shape"):
            loss(logits, *wrong)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: BinaryCrossEntropy(region_weights=[0, 0]), "region_weights=.* one at least above 0"),
        (lambda: BinaryCrossEntropy(region_weights=[-1, 1]), r"region_weights\[0\]=-1"),
        (lambda: BinaryCrossEntropy(region_weights=[1, 2, 3])(*draw(3, 3)), "3 values but the logits have 2 regions"),
        (lambda: BinaryCrossEntropy(ignore_index=0.5), "ignore_index=0.5"),
        (lambda: DiceBinaryCrossEntropy(dice_weight=0, bce_weight=0), "leave no loss"),
        (lambda: DiceBinaryCrossEntropy(smooth=0), "smooth=0 must be above 0"),
    ],
)
def test_wrong_values_are_refused(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
