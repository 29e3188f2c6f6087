"""Bias fields that were laid over phantoms are found again; the rule goes through data and prediction alike."""

import numpy as np
import pytest

from segexp.data.case import Case
from segexp.data.intensity import N4, ZScore
from segexp.data.intensity.bias_field import without_bias_field

SETTINGS = {"shrink": 2, "iterations": (50, 50), "width": 0.15}


def phantom(*size: int) -> tuple[np.ndarray, np.ndarray]:
    """Two tissues on an empty ground, with a smooth field of 0.6 to 1.4; and which tissue is where."""
    rng = np.random.default_rng(2)
    places = np.stack(np.meshgrid(*[np.linspace(-1, 1, side) for side in size], indexing="ij"))
    tissue = (np.sqrt((places**2).sum(0)) < 0.8).astype(int) + (np.abs(places).max(0) < 0.3)
    clean = np.choose(tissue, [0.0, 100.0, 170.0]) + rng.normal(0, 2, size)
    return (clean * (1 + 0.4 * places[-1])).astype(np.float32), tissue


def unevenness(image: np.ndarray, tissue: np.ndarray) -> float:
    return float(image[tissue == 1].std() / image[tissue == 1].mean())


@pytest.mark.parametrize("size", [(64, 56), (24, 28, 20)])
@pytest.mark.parametrize("offset", [0, -300])
def test_a_planted_field_is_divided_out(size, offset):
    image, tissue = phantom(*size)
    before = unevenness(image, tissue)
    found = without_bias_field(image + min(offset, 0), [1.0] * len(size), **SETTINGS)
    assert found.dtype == np.float32
    # Of negative intensities the least one is the zero of the factor.
    assert unevenness(found - min(found.min(), 0), tissue) < 0.4 * before
    again = without_bias_field(image + min(offset, 0), [1.0] * len(size), **SETTINGS)
    np.testing.assert_array_equal(found, again)


def test_nothing_is_made_of_a_channel_without_contrast_or_a_broken_one():
    flat = np.full((20, 20), 7, np.uint8)
    np.testing.assert_array_equal(without_bias_field(flat, [1, 1], **SETTINGS), flat)
    broken = np.full((20, 20), np.nan, np.float32)
    np.testing.assert_array_equal(without_bias_field(broken, [1, 1], **SETTINGS), broken)
    tiny = np.arange(4, dtype=np.float32).reshape(2, 2)
    assert without_bias_field(tiny, [1, 1], **SETTINGS).shape == (2, 2)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_volume_of_one_slice_is_corrected_as_that_slice(axis):
    image, _ = phantom(40, 48)
    spacing = [2.0, 0.5]
    found = without_bias_field(np.expand_dims(image, axis), np.insert(spacing, axis, 9.0), **SETTINGS)
    np.testing.assert_array_equal(found.squeeze(axis), without_bias_field(image, spacing, **SETTINGS))
    line = image[20:21]
    np.testing.assert_array_equal(without_bias_field(line, spacing, **SETTINGS), line)


def test_each_channel_has_a_field_of_its_own():
    image, tissue = phantom(48, 48)
    case = Case("a", np.stack([image, image[:, ::-1]]), tissue.astype(np.uint8), (1.0, 1.0))
    found = N4(iterations=[50, 50]).correct(case)
    np.testing.assert_allclose(found.image[0], without_bias_field(image, [1, 1], **SETTINGS))
    assert unevenness(found.image[1], tissue[:, ::-1]) < 0.4 * unevenness(image, tissue)
    assert ZScore().correct(case) is case


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shrink": 0}, "shrink=0 must be"),
        ({"iterations": []}, "iterations=.. must have a number"),
        ({"iterations": [5, 0.5]}, "iterations=0.5 must be"),
        ({"width": 0}, "width=0 must be"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        N4(**settings)
