"""Soft truths of regions, and what every loss says of tensors that it cannot take."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from segexp.losses import (
    BinaryCrossEntropy,
    Dice,
    GeneralizedDice,
    Lovasz,
    Tversky,
    balanced_weights,
    lovasz_jaccard,
    signed_distance,
    soft_dice,
    soft_skeleton,
    soft_tversky,
)
from tests.losses.examples import LOSSES, PAIRS, assert_same_value_and_gradient, draw

every_loss = pytest.mark.parametrize(("name", "kind"), PAIRS)
of_regions = pytest.mark.parametrize("name", [name for name, kind in PAIRS if kind == "regions"])
monai = pytest.importorskip("monai.losses")


def soft(*sizes: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    logits, hard, weight = draw("regions", *sizes, dtype=dtype)
    truth = torch.rand(logits.shape, generator=torch.Generator().manual_seed(3), dtype=dtype)
    return logits, truth.where(hard != 255, 255), weight


# Soft truths


def test_soft_cross_entropy_is_that_of_torch():
    logits, truth, _ = soft(6, 5)
    truth = truth.where(truth != 255, 0.25)
    assert_same_value_and_gradient(
        BinaryCrossEntropy()(logits, truth), F.binary_cross_entropy_with_logits(logits, truth), logits
    )


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Dice(smooth=2e-3), monai.DiceLoss(sigmoid=True, smooth_nr=2e-3, smooth_dr=2e-3)),
        (
            Dice(smooth=2e-3, squared=True, batch=True),
            monai.DiceLoss(sigmoid=True, squared_pred=True, batch=True, smooth_nr=2e-3, smooth_dr=2e-3),
        ),
        (Tversky(smooth=1e-3), monai.TverskyLoss(sigmoid=True, alpha=0.3, beta=0.7, smooth_nr=1e-3, smooth_dr=1e-3)),
        (GeneralizedDice(smooth=1e-9), monai.GeneralizedDiceLoss(sigmoid=True, smooth_nr=1e-9, smooth_dr=1e-9)),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_overlaps_of_soft_truths_are_those_of_monai(ours, theirs):
    logits, truth, _ = soft(6, 5)
    truth = truth.where(truth != 255, 0.25)
    assert_same_value_and_gradient(ours(logits, truth), theirs(logits, truth), logits, rtol=1e-4)


@of_regions
def test_the_gradient_of_a_soft_truth_is_the_slope(name):
    logits, truth, weight = soft(3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda values: LOSSES[name](values, truth, weight), logits)


@of_regions
def test_a_soft_truth_near_a_mask_costs_nearly_the_same(name):
    logits, truth, weight = draw("regions", 6, 5)
    near = torch.where(truth == 255, 255, truth.clamp(0, 1) * (1 - 2e-6) + 1e-6)
    torch.testing.assert_close(
        LOSSES[name](logits, near, weight), LOSSES[name](logits, truth, weight), rtol=1e-3, atol=1e-4
    )


@of_regions
def test_a_mask_is_taken_in_any_dtype(name):
    logits, truth, weight = draw("regions", 4, 5)
    expected = LOSSES[name](logits, truth, weight)
    for dtype in (torch.uint8, torch.int16, torch.float32, torch.float64):
        assert LOSSES[name](logits, truth.to(dtype), weight) == expected
    inside = truth == 1
    assert LOSSES[name](logits, inside, weight) == LOSSES[name](logits, inside.long(), weight)


def test_lovasz_of_a_soft_truth_that_is_met_costs_nothing_and_one_turned_round_all():
    truth = torch.tensor([[[0.2, 0.7, 0.5, 1.0]]])
    logits = truth.logit(1e-7)
    assert Lovasz()(logits, truth).item() == pytest.approx(0, abs=1e-5)
    # Sets of pixels with weights: the extension at errors of one is 1 - 0 / union.
    assert lovasz_jaccard(torch.ones(4), truth[0, 0], torch.ones(4)).item() == pytest.approx(1)


# Refusals


@every_loss
@pytest.mark.parametrize("argument", [0, 1, 2])
def test_arrays_of_numpy_are_refused(name, kind, argument):
    tensors = [tensor.detach() for tensor in draw(kind, 4, 5)]
    tensors[argument] = tensors[argument].numpy()
    word = ("logits", "target", "weight")[argument]
    with pytest.raises(ValueError, match=rf"{word} is a numpy.ndarray but must be a tensor: torch.as_tensor\({word}\)"):
        LOSSES[name](*tensors)


@every_loss
def test_values_that_are_no_class_or_region_are_refused(name, kind):
    logits, target, weight = draw(kind, 4, 5)
    for value in (3, -1):
        wrong = target.clone()
        wrong[0, 0] = value
        with pytest.raises(ValueError, match=f"holds {value} but"):
            LOSSES[name](logits, wrong, weight)


@of_regions
@pytest.mark.parametrize("value", [1.5, -0.25, torch.nan, torch.inf])
def test_soft_truths_outside_0_to_1_are_refused(name, value):
    logits, target, weight = soft(4, 5)
    target[0, 0, 0, 0] = value
    with pytest.raises(ValueError, match=f"target of regions holds {value} but must be 1 inside, 0 outside"):
        LOSSES[name](logits, target, weight)


@every_loss
def test_wrong_dtypes_and_empty_images_are_refused(name, kind):
    logits, target, weight = draw(kind, 4, 5)
    with pytest.raises(ValueError, match=r"logits of torch.int64 must be floating point"):
        LOSSES[name](logits.detach().long(), target, weight)
    with pytest.raises(ValueError, match=r"logits of shape \(0, 3, 4, 5\) must be \(B, C, \*S\), with one pixel"):
        LOSSES[name](logits[:0], target[:0], weight[:0])
    if kind == "classes":
        with pytest.raises(ValueError, match=r"target of torch.float32 must hold class indices, such as target.long()"):
            LOSSES[name](logits, target.float(), weight)


@pytest.mark.parametrize(("name", "kind"), [pair for pair in PAIRS if pair[1] == "classes"])
def test_classes_are_taken_in_any_integer_dtype(name, kind):
    logits, target, weight = draw(kind, 4, 5)
    for dtype in (torch.uint8, torch.int16, torch.int32):
        assert LOSSES[name](logits, target.to(dtype), weight) == LOSSES[name](logits, target, weight)


@pytest.mark.parametrize(
    "call",
    [
        lambda array: soft_dice(array, torch.ones(1, 1, 2)),
        lambda array: soft_tversky(torch.ones(1, 1, 2), array),
        lambda array: lovasz_jaccard(array, torch.ones(2), torch.ones(2)),
        lambda array: signed_distance(array, torch.ones(1, 1, 2, dtype=torch.bool)),
        lambda array: soft_skeleton(array, 1),
        balanced_weights,
    ],
)
def test_functions_refuse_arrays_of_numpy(call):
    with pytest.raises(ValueError, match=r"is a numpy.ndarray but must be a tensor"):
        call(np.ones((1, 1, 2)))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Dice(smooth=torch.inf), "smooth=inf must be a finite number of at least 0"),
        (lambda: Tversky(alpha=torch.inf), "alpha=inf must be a finite number"),
        (lambda: GeneralizedDice(smooth=torch.nan), "smooth=nan must be a number"),
        (lambda: BinaryCrossEntropy(region_weights=[1, torch.inf]), r"region_weights\[1\]=inf must be a finite number"),
        (lambda: BinaryCrossEntropy(region_weights=2), "region_weights=2 must be null, a list"),
    ],
)
def test_infinite_settings_are_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


@every_loss
def test_on_other_devices_values_are_not_looked_at(name, kind):
    """A look would wait for them; of tensors without values it fails."""
    logits, target, weight = (tensor.detach().to("meta") for tensor in draw(kind, 4, 5))
    assert LOSSES[name](logits, target, weight).shape == ()
