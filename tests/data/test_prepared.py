from pathlib import Path

import numpy as np
import pytest
import torch

from segexp.data import BorderWeightMap, Case
from segexp.data.intensity.rules import Window, ZScore
from segexp.data.prepared import MOST_COORDS, foreground_coords, prepare, spacing_of, target_of, target_tensor

REGIONS = {"tissue": [1, 2], "organelle": [2]}


def case(**changes) -> Case:
    """Two cells, one of each class, on a noisy ground."""
    target = np.zeros((12, 16), np.uint8)
    target[2:5, 2:6] = 1
    target[7:11, 9:14] = 2
    image = np.random.default_rng(0).integers(0, 200, (1, 12, 16), dtype=np.uint8)
    return Case(**{"name": "slice_07", "image": image, "target": target, "spacing": (0.5, 0.25)} | changes)


def test_a_case_is_measured_with_the_given_rule_and_nothing_more():
    made = case()
    prepared = prepare(made, Window(low=0, high=200))
    assert prepared.case is made
    assert prepared.original is made
    assert prepared.weight is None
    assert prepared.foreground_coords == ()
    scaled = prepared.intensity.standardize(prepared.intensity.to_unit(made.image))
    np.testing.assert_allclose(scaled, made.image / 100 - 1, atol=1e-6)


def test_only_the_field_of_view_is_measured():
    made = case()
    valid = np.zeros((12, 16), bool)
    valid[:6] = True
    prepared = prepare(case(valid=valid), ZScore())
    scaled = prepared.intensity.standardize(prepared.intensity.to_unit(made.image))
    assert scaled[:, :6].mean() == pytest.approx(0, abs=1e-5)
    assert scaled[:, :6].std() == pytest.approx(1, abs=1e-5)
    assert abs(scaled.mean()) > 1e-3


def test_weights_and_coordinates_are_those_of_the_resampled_case_which_is_scored_as_the_original():
    original = case(target=np.zeros((6, 8), np.uint8), image=np.zeros((1, 6, 8), np.uint8))
    prepared = prepare(case(), ZScore(), BorderWeightMap(object_class=1), original, find_foreground=True)
    assert prepared.original is original
    np.testing.assert_array_equal(prepared.weight, BorderWeightMap(object_class=1)(case().target))
    assert [len(coords) for coords in prepared.foreground_coords] == [3 * 4, 4 * 5]


def test_an_image_that_cannot_be_measured_is_named_with_its_files():
    image = np.full((1, 12, 16), np.inf, np.float32)
    files = (Path("images/a.tif"), Path("masks/a.png"))
    with pytest.raises(ValueError, match=r"case slice_07 \(images/a.tif, masks/a.png\): the image holds .* not finite"):
        prepare(case(image=image, files=files), ZScore())


def test_foreground_coordinates_lie_in_their_class_and_background_and_unlabeled_pixels_have_none():
    target = case().target.copy()
    target[0] = 255
    one, two = foreground_coords(target)
    np.testing.assert_array_equal(one, np.argwhere(target == 1))
    np.testing.assert_array_equal(two, np.argwhere(target == 2))
    assert foreground_coords(np.zeros((3, 4), np.uint8)) == ()


def test_of_many_foreground_pixels_some_are_kept_from_all_over_a_volume():
    (coords,) = foreground_coords(np.full((8, 40, 40), 3, np.uint8))
    assert coords.shape == (MOST_COORDS, 3)
    assert len(np.unique(coords, axis=0)) == MOST_COORDS
    np.testing.assert_array_equal(coords[[0, -1]], [[0, 0, 0], [7, 39, 39]])
    per_slice = np.bincount(coords[:, 0], minlength=8)
    assert per_slice.min() >= MOST_COORDS // 8 - 1
    assert per_slice.max() <= MOST_COORDS // 8 + 1


def test_an_unlabeled_case_has_no_truth():
    assert target_of(case()).sum() == 3 * 4 + 2 * 4 * 5
    with pytest.raises(ValueError, match="case slice_07 has no truth: it can be predicted"):
        target_of(case(target=None))


def test_spacing_is_one_in_pixels():
    assert torch.equal(spacing_of(case(), "mm"), torch.tensor([0.5, 0.25], dtype=torch.float64))
    assert torch.equal(spacing_of(case(), "px"), torch.ones(2, dtype=torch.float64))


def test_targets_are_classes_or_overlapping_regions():
    labels = np.array([[0, 1, 2, 255]], np.uint8)
    classes, regions = target_tensor(labels, None), target_tensor(labels, REGIONS)
    assert classes.dtype == regions.dtype == torch.int64
    assert classes.tolist() == [[0, 1, 2, 255]]
    assert regions.tolist() == [[[0, 1, 1, 255]], [[0, 0, 1, 255]]]
