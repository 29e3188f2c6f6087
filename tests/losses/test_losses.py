"""What all losses have in common: gradients, precision, ignored pixels, dimensions, shapes."""

import pytest
import torch
from torch import Tensor, nn

from segexp.losses import CrossEntropy, Dice, DiceCrossEntropy, Focal, Tversky, WeightedCrossEntropy2015

LOSSES: dict[str, nn.Module] = {
    "ce": CrossEntropy(),
    "ce_weighted_smoothed": CrossEntropy(class_weights=[0.5, 1.0, 3.0], label_smoothing=0.1),
    "focal": Focal(),
    "focal_steep": Focal(gamma=0.5, class_weights=[0.5, 1.0, 3.0]),
    "weighted_ce_2015": WeightedCrossEntropy2015(),
    "dice": Dice(),
    "dice_squared_batch": Dice(include_background=True, squared=True, batch=True, smooth=1e-5),
    "tversky": Tversky(),
    "tversky_batch": Tversky(alpha=0.0, beta=1.5, include_background=True, batch=True),
    "dice_ce": DiceCrossEntropy(dice_weight=0.5, ce_weight=2.0),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())


def draw(*sizes: int, samples: int = 2, classes: int = 3, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    """Logits, a target that holds ignored pixels, and a weight."""
    generator = torch.Generator().manual_seed(7)
    logits = 3 * torch.randn((samples, classes, *sizes), generator=generator, dtype=dtype)
    target = torch.randint(0, classes, (samples, *sizes), generator=generator)
    target[torch.rand(target.shape, generator=generator) < 0.2] = 255
    return logits, target, torch.rand(target.shape, generator=generator, dtype=dtype) + 0.5


@every_loss
@pytest.mark.parametrize("sizes", [(3, 4), (2, 3, 2)])
def test_gradient_is_the_slope(loss: nn.Module, sizes: tuple[int, ...]) -> None:
    logits, target, weight = draw(*sizes, dtype=torch.float64)
    target[1] = 0
    assert torch.autograd.gradcheck(lambda values: loss(values, target, weight), logits.requires_grad_())


@every_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_give_the_float32_value(loss: nn.Module, dtype: torch.dtype) -> None:
    logits, target, weight = draw(32, 32)
    half = (20 * logits).to(dtype)
    expected = loss(half.float(), target, weight)
    actual = loss(half, target, weight)
    assert actual.dtype == torch.float32
    assert actual == expected
    with torch.autocast("cpu", torch.bfloat16):
        assert loss(half, target, weight) == expected


@every_loss
def test_double_logits_stay_double(loss: nn.Module) -> None:
    assert loss(*draw(3, 4, dtype=torch.float64)).dtype == torch.float64


@every_loss
def test_a_double_weight_does_not_change_the_precision(loss: nn.Module) -> None:
    logits, target, weight = draw(3, 4)
    assert loss(logits, target, weight.double()).dtype == torch.float32


@every_loss
def test_ignored_pixels_count_nowhere(loss: nn.Module) -> None:
    logits, target, weight = draw(5, 6, samples=1)
    kept = target[0] != 255
    expected = loss(logits[:, :, kept], target[:, kept], weight[:, kept])
    torch.testing.assert_close(loss(logits, target, weight), expected)
    logits.requires_grad_()
    loss(logits, target, weight).backward()
    assert not logits.grad[0, :, ~kept].any()
    assert logits.grad[0, :, kept].any()


@every_loss
def test_another_ignore_index(loss: nn.Module) -> None:
    logits, target, weight = draw(5, 6)
    other = {
        Focal: lambda: Focal(ignore_index=-1),
        Dice: lambda: Dice(ignore_index=-1),
        Tversky: lambda: Tversky(ignore_index=-1),
        CrossEntropy: lambda: CrossEntropy(ignore_index=-1),
        DiceCrossEntropy: lambda: DiceCrossEntropy(ignore_index=-1),
        WeightedCrossEntropy2015: lambda: WeightedCrossEntropy2015(ignore_index=-1),
    }[type(loss)]()
    expected = type(loss)()(logits, target, weight)
    assert other(logits, target.where(target != 255, -1), weight) == expected


@every_loss
def test_everything_ignored_gives_zero_with_a_zero_gradient(loss: nn.Module) -> None:
    logits, target, weight = draw(5, 6)
    logits.requires_grad_()
    value = loss(logits, torch.full_like(target, 255), weight)
    value.backward()
    assert value == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@every_loss
def test_dimensions_do_not_matter(loss: nn.Module) -> None:
    logits, target, weight = draw(4, 6)
    deep = loss(logits.unflatten(2, (2, 2)), target.unflatten(1, (2, 2)), weight.unflatten(1, (2, 2)))
    torch.testing.assert_close(deep, loss(logits, target, weight))


@every_loss
@pytest.mark.parametrize("size", [1e4, 1e30])
def test_sure_predictions_keep_value_and_gradient_finite(loss: nn.Module, size: float) -> None:
    logits, target, weight = draw(5, 6)
    logits = (size * logits.sign()).requires_grad_()
    value = loss(logits, target, weight)
    value.backward()
    assert value.isfinite()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("name", sorted(LOSSES.keys() - {"ce_weighted_smoothed"}))
def test_a_perfect_prediction_costs_nearly_nothing(name: str) -> None:
    loss = LOSSES[name]
    _, target, weight = draw(5, 6)
    logits = 200 * nn.functional.one_hot(target.where(target != 255, 0), 3).movedim(-1, 1).float()
    logits.requires_grad_()
    value = loss(logits, target, weight)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-6)
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("name", sorted(LOSSES.keys() - {"weighted_ce_2015"}))
def test_a_weight_of_one_changes_nothing(name: str) -> None:
    loss = LOSSES[name]
    logits, target, weight = draw(5, 6)
    torch.testing.assert_close(loss(logits, target, torch.ones_like(weight)), loss(logits, target))
    assert not torch.isclose(loss(logits, target, weight), loss(logits, target))


@every_loss
def test_refuses_shapes_that_do_not_fit(loss: nn.Module) -> None:
    logits, target, weight = draw(4, 5)
    with pytest.raises(ValueError, match=r"target of shape \(2, 1, 4, 5\) does not fit logits of shape \(2, 3, 4, 5\)"):
        loss(logits, target.unsqueeze(1), weight)
    with pytest.raises(ValueError, match=r"weight of shape \(1, 4, 5\) does not fit .* = \(2, 4, 5\)"):
        loss(logits, target, weight[:1])


@every_loss
def test_a_checkpoint_holds_nothing_of_it(loss: nn.Module) -> None:
    assert not loss.state_dict()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: CrossEntropy(label_smoothing=1.5), r"label_smoothing=1\.5 must be at most 1"),
        (lambda: CrossEntropy(label_smoothing=-0.1), r"label_smoothing=-0\.1 must be a number of at least 0"),
        (lambda: CrossEntropy(ignore_index=2.5), r"ignore_index=2\.5 must be a whole number"),
        (lambda: CrossEntropy(class_weights=[1.0, -2.0]), r"class_weights\[1\]=-2\.0 must be a number of at least 0"),
        (lambda: CrossEntropy(class_weights=[0.0, 0]), "must be finite, and one at least above 0"),
        (lambda: Focal(class_weights=[1.0, float("inf")]), "must be finite"),
        (lambda: Focal(gamma=-1), "gamma=-1 must be a number of at least 0"),
        (lambda: Dice(smooth=0), "smooth=0 must be above 0"),
        (lambda: Dice(smooth=-1), "smooth=-1 must be a number of at least 0"),
        (lambda: Tversky(smooth=0.0), r"smooth=0\.0 must be above 0"),
        (lambda: Tversky(alpha=-0.5), r"alpha=-0\.5 must be"),
        (lambda: Tversky(beta="0.7"), "beta='0.7' must be a number"),
        (lambda: Tversky(alpha=0, beta=0), "put one of them above 0"),
        (lambda: DiceCrossEntropy(dice_weight=0, ce_weight=0), "leave no loss"),
        (lambda: DiceCrossEntropy(ce_weight=-1), "ce_weight=-1 must be"),
        (lambda: WeightedCrossEntropy2015(ignore_index=True), "ignore_index=True must be a whole number"),
    ],
)
def test_refuses_wrong_arguments(make: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()
