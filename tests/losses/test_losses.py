"""What all losses have in common: gradients, precision, ignored pixels, dimensions, shapes."""

import pytest
import torch
from torch import Tensor, nn

from segexp.losses import (
    BinaryCrossEntropy,
    Boundary,
    ClDice,
    CrossEntropy,
    Dice,
    Focal,
    GeneralizedDice,
    Lovasz,
    Tversky,
    WeightedCrossEntropy2015,
)
from tests.losses.examples import LOSSES, MAKERS, NEIGHBOURHOODS, PAIRS, draw

every_loss = pytest.mark.parametrize(("name", "kind"), PAIRS)
pixels_alone = pytest.mark.parametrize(("name", "kind"), [p for p in PAIRS if not p[0].startswith(NEIGHBOURHOODS)])


def gradient(loss: nn.Module, logits: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    return torch.autograd.grad(loss(logits, target, weight), logits)[0]


@every_loss
@pytest.mark.parametrize("sizes", [(4, 5), (3, 3, 2)])
def test_gradient_is_the_slope(name: str, kind: str, sizes: tuple[int, ...]) -> None:
    logits, target, weight = draw(kind, *sizes, dtype=torch.float64)
    target[1] = 0
    assert torch.autograd.gradcheck(lambda values: LOSSES[name](values, target, weight), logits, fast_mode=True)


@every_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_give_the_float32_value(name: str, kind: str, dtype: torch.dtype) -> None:
    logits, target, weight = draw(kind, 32, 32)
    half = (20 * logits.detach()).to(dtype)
    expected = LOSSES[name](half.float(), target, weight)
    actual = LOSSES[name](half, target, weight)
    assert actual.dtype == torch.float32
    assert actual == expected
    with torch.autocast("cpu", torch.bfloat16):
        assert LOSSES[name](half, target, weight) == expected


@every_loss
def test_double_logits_stay_double(name: str, kind: str) -> None:
    assert LOSSES[name](*draw(kind, 3, 4, dtype=torch.float64)).dtype == torch.float64


@every_loss
def test_a_double_weight_does_not_change_the_precision(name: str, kind: str) -> None:
    logits, target, weight = draw(kind, 3, 4)
    assert LOSSES[name](logits, target, weight.double()).dtype == torch.float32


@every_loss
@pytest.mark.parametrize(
    ("size", "dtype"), [(6e4, torch.float16), (1e4, torch.float32), (1e30, torch.float32), (1e30, torch.bfloat16)]
)
def test_sure_predictions_keep_value_and_gradient_finite(name: str, kind: str, size: float, dtype: torch.dtype) -> None:
    logits, target, weight = draw(kind, 5, 6)
    logits = (size * logits.detach().sign()).to(dtype).requires_grad_()
    assert logits.isfinite().all()
    assert LOSSES[name](logits, target, weight).isfinite()
    assert gradient(LOSSES[name], logits, target, weight).isfinite().all()


@every_loss
@pytest.mark.parametrize("sizes", [(6, 7), (3, 4, 5)])
def test_ignored_pixels_change_nothing_and_get_no_gradient(name: str, kind: str, sizes: tuple[int, ...]) -> None:
    logits, target, weight = draw(kind, *sizes)
    loss = LOSSES[name]
    unknown = target == 255 if kind == "regions" else (target == 255).unsqueeze(1).expand_as(logits)
    moved = torch.where(unknown, 1 - 2 * logits, logits)
    assert loss(moved, target, weight) == loss(logits, target, weight)
    slope = gradient(loss, logits, target, weight)
    assert not slope[unknown].any()
    assert slope[~unknown].any()


@pixels_alone
def test_ignored_pixels_are_as_if_they_were_not_there(name: str, kind: str) -> None:
    logits, target, weight = draw(kind, 5, 6, samples=1)
    kept = target[0] != 255
    if kind == "regions":
        kept = kept[0]
        target = target.where(kept, 255).where((target != 255) | ~kept, 0)  # the same pixels for every region
    expected = LOSSES[name](logits[:, :, kept], target[..., kept], weight[:, kept])
    torch.testing.assert_close(LOSSES[name](logits, target, weight), expected)


@every_loss
def test_another_ignore_index(name: str, kind: str) -> None:
    logits, target, weight = draw(kind, 5, 6)
    other = MAKERS[name](ignore_index=-1)
    assert other(logits, target.where(target != 255, -1), weight) == LOSSES[name](logits, target, weight)


@every_loss
def test_everything_ignored_gives_zero_with_a_zero_gradient(name: str, kind: str) -> None:
    logits, target, weight = draw(kind, 5, 6)
    target = torch.full_like(target, 255)
    assert LOSSES[name](logits, target, weight) == 0
    assert not gradient(LOSSES[name], logits, target, weight).any()


@every_loss
def test_one_sample_ignored_leaves_the_gradient_of_the_other(name: str, kind: str) -> None:
    logits, target, weight = draw(kind, 5, 6)
    target[1] = 255
    slope = gradient(LOSSES[name], logits, target, weight)
    assert slope[0].any()
    assert not slope[1].any()


@pixels_alone
def test_dimensions_do_not_matter(name: str, kind: str) -> None:
    logits, target, weight = draw(kind, 4, 6)
    deep = LOSSES[name](logits.unflatten(2, (2, 2)), target.unflatten(-2, (2, 2)), weight.unflatten(1, (2, 2)))
    torch.testing.assert_close(deep, LOSSES[name](logits, target, weight))


@every_loss
def test_memory_order_does_not_matter(name: str, kind: str) -> None:
    logits, target, weight = draw(kind, 6, 6)
    ordered = logits.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(LOSSES[name](ordered, target, weight), LOSSES[name](logits, target, weight))


NEVER_ZERO = ("ce_weighted_smoothed", "boundary", "overlaps")  # the boundary loss of a perfect prediction is negative


@pytest.mark.parametrize(("name", "kind"), [p for p in PAIRS if not p[0].startswith(NEVER_ZERO)])
def test_a_perfect_prediction_costs_nearly_nothing(name: str, kind: str) -> None:
    logits, target, weight = draw(kind, 5, 6)
    if kind == "classes":
        truth = nn.functional.one_hot(target.where(target != 255, 0), 3).movedim(-1, 1).float()
    else:
        truth = (target == 1).float() - 0.5
    logits = (200 * truth).requires_grad_()
    value = LOSSES[name](logits, target, weight)
    assert value.item() == pytest.approx(0, abs=1e-6)
    assert gradient(LOSSES[name], logits, target, weight).isfinite().all()


@pytest.mark.parametrize(("name", "kind"), [p for p in PAIRS if p[0] != "weighted_ce_2015"])  # needs one
def test_a_weight_of_one_changes_nothing(name: str, kind: str) -> None:
    logits, target, weight = draw(kind, 5, 6)
    ones = LOSSES[name](logits, target, torch.ones_like(weight))
    torch.testing.assert_close(ones, LOSSES[name](logits, target))
    assert not torch.isclose(LOSSES[name](logits, target, weight), ones)


FOR_BOTH = [name for name, loss in LOSSES.items() if loss.target_kinds == ("classes", "regions")]


@pytest.mark.parametrize("name", [n for n in FOR_BOTH if "class_weights" not in getattr(MAKERS[n], "keywords", ())])
@pytest.mark.parametrize("sizes", [(6, 5), (3, 4, 3)])
def test_one_region_is_one_class_against_the_background(name: str, sizes: tuple[int, ...]) -> None:
    logits, region, weight = draw("regions", *sizes, channels=1)
    loss = LOSSES[name]
    if getattr(loss, "include_background", False):
        loss = type(loss)(include_background=False)
    two = torch.cat([torch.zeros_like(logits), logits], 1)  # the sigmoid of z is the softmax of (0, z)
    torch.testing.assert_close(loss(logits, region, weight), loss(two, region[:, 0], weight))
    torch.testing.assert_close(
        gradient(loss, logits, region, weight),
        torch.autograd.grad(loss(two, region[:, 0], weight), logits)[0],
    )


@every_loss
def test_refuses_shapes_that_do_not_fit(name: str, kind: str) -> None:
    logits, target, weight = draw(kind, 4, 5)
    wrong = target[:, None] if target.ndim == 3 else target[:, :1]
    with pytest.raises(ValueError, match=r"target of shape \(2, 1, 4, 5\) does not fit logits of shape \(2, 3, 4, 5\)"):
        LOSSES[name](logits, wrong, weight)
    with pytest.raises(ValueError, match=r"target of shape \(1, .*4, 5\) does not fit logits"):
        LOSSES[name](logits, target[:1], weight)
    with pytest.raises(ValueError, match=r"weight of shape \(1, 4, 5\) does not fit .* = \(2, 4, 5\)"):
        LOSSES[name](logits, target, weight[:1])


@pytest.mark.parametrize("name", LOSSES)
def test_a_checkpoint_holds_nothing_of_it(name: str) -> None:
    assert not LOSSES[name].state_dict()


@pytest.mark.parametrize("loss", [Dice(), Tversky(), Lovasz(), Boundary(), ClDice(), GeneralizedDice(False)])
def test_refuses_to_leave_out_the_only_class(loss: nn.Module) -> None:
    with pytest.raises(ValueError, match="include_background=False leaves nothing of logits with 1 class"):
        loss(torch.zeros(1, 1, 4, 4), torch.zeros(1, 4, 4, dtype=torch.int64))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: CrossEntropy(label_smoothing=1.5), r"label_smoothing=1\.5 must be .* at most 1"),
        (lambda: CrossEntropy(label_smoothing=-0.1), r"label_smoothing=-0\.1 must be a number of at least 0"),
        (lambda: CrossEntropy(ignore_index=2.5), r"ignore_index=2\.5 must be an integer"),
        (lambda: Focal(gamma=-1), "gamma=-1 must be a number of at least 0"),
        (lambda: Focal(alpha=1.5), r"alpha=1\.5 must be a number of at least 0 and at most 1"),
        (lambda: CrossEntropy(reduction="avg"), "reduction='avg' is not one of"),
        (lambda: Tversky(reduction="Mean"), r"did you mean 'mean'"),
        (lambda: Dice(class_weights=[-1, 2]), r"class_weights\[0\]=-1 must be a number of at least 0"),
        (lambda: BinaryCrossEntropy(ignore_index=0.5), r"ignore_index=0\.5"),
        (lambda: Dice(smooth=0), "smooth=0 must be above 0"),
        (lambda: Dice(smooth=-1), "smooth=-1 must be a number of at least 0"),
        (lambda: Tversky(smooth=0.0), r"smooth=0\.0 must be above 0"),
        (lambda: Tversky(alpha=-0.5), r"alpha=-0\.5 must be"),
        (lambda: Tversky(beta="0.7"), "beta='0.7' must be a number"),
        (lambda: Tversky(alpha=0, beta=0), "put one of them above 0"),
        (lambda: Tversky(gamma=0), "gamma=0 makes every loss 1"),
        (lambda: Tversky(gamma=-1), "gamma=-1 must be a number"),
        (lambda: GeneralizedDice(smooth=0), "smooth=0 must be above 0"),
        (lambda: Lovasz(ignore_index=None), "ignore_index=None must be an integer"),
        (lambda: Boundary(ignore_index="x"), "ignore_index='x' must be an integer"),
        (lambda: ClDice(iterations=-1), "iterations=-1 must be an integer"),
        (lambda: ClDice(iterations=2.5), r"iterations=2\.5 must be an integer"),
        (lambda: ClDice(smooth=0), "smooth=0 must be above 0"),
        (lambda: WeightedCrossEntropy2015(ignore_index=True), "ignore_index=True must be an integer"),
    ],
)
def test_refuses_wrong_arguments(make: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()
