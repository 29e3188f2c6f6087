"""Touching objects are split where geometry says."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.draw import disk

from tests.postprocessing.labels import SIZES, apply, blobs


def two_discs(radius: int = 12, apart: int = 18) -> np.ndarray:
    mask = np.zeros((40, 60), np.uint8)
    for column in (20, 20 + apart):
        mask[disk((20, column), radius, shape=mask.shape)] = 1
    return mask


def test_touching_discs_are_split_where_the_neck_is_narrow_enough():
    mask = two_discs()
    distance = ndimage.distance_transform_edt(mask)
    fall = distance.max() - distance[:, 29].max()  # the neck lies half way between the centers
    assert ndimage.label(apply(mask, "watershed", depth=fall - 0.1))[1] == 2
    assert np.array_equal(apply(mask, "watershed", depth=fall + 0.1), mask)
    split = apply(mask, "watershed", depth=fall - 0.1)
    removed = np.argwhere(split != mask)
    assert set(removed[:, 1]) == {29}
    assert len(removed) == mask[:, 29].sum()
    regions = apply(np.stack([mask, 0 * mask]) == 1, "watershed", depth=fall - 0.1)
    assert np.array_equal(regions[0], split)
    assert not regions[1].any()


def test_split_discs_are_those_of_the_power_diagram():
    """Each pixel goes to the disc in which it lies deepest, but for a pixel or two beside the lines."""
    discs = [(20, 20, 12), (20, 36, 7)]  # row, column, radius
    mask = np.zeros((40, 60), np.uint8)
    for row, column, radius in discs:
        mask[disk((row, column), radius, shape=mask.shape)] = 1
    split = ndimage.label(apply(mask, "watershed", depth=1.0))[0]
    assert split.max() == 2
    rows, columns = np.indices(mask.shape)
    depths = np.stack([radius**2 - (rows - row) ** 2 - (columns - column) ** 2 for row, column, radius in discs])
    numbers = np.array([split[row, column] for row, column, _ in discs])
    assert np.mean(numbers[depths.argmax(0)][split > 0] == split[split > 0]) > 0.97


def test_watershed_draws_membranes_between_cells_and_leaves_small_ones_whole():
    labels = 1 - two_discs()  # cells are class 0, the membrane 1
    labels[2, 2:4] = 0  # a cell too small for a peak of its own
    split = apply(labels, "watershed", classes=[0], line=1, depth=2.0)
    assert ndimage.label(split == 0)[1] == 3
    assert set(np.argwhere(split != labels)[:, 1]) == {29}
    assert (split[2, 2:4] == 0).all()


def test_watershed_in_mm_and_in_3d():
    ball = np.zeros((20, 24, 44), np.uint8)
    zyx = np.indices(ball.shape)
    for x in (14, 29):
        ball[((zyx - np.array([10, 12, x])[:, None, None, None]) ** 2).sum(0) <= 81] = 1
    assert ndimage.label(apply(ball, "watershed", depth=2.0))[1] == 2
    assert ndimage.label(apply(ball, "watershed", depth=9.0))[1] == 1
    half = (0.5, 0.5, 0.5)
    assert np.array_equal(apply(ball, "watershed", half, depth=1.0, unit="mm"), apply(ball, "watershed", depth=2.0))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_split_objects_are_apart(size):
    """Each object of the result has one seed at most: doing it again changes nothing but what became narrower."""
    for connectivity, axes in (("faces", 1), ("full", len(size))):
        labels = blobs(size, 9, 2)
        split = apply(labels, "watershed", depth=0.5, connectivity=connectivity)
        structure = ndimage.generate_binary_structure(len(size), axes)
        assert ndimage.label(split, structure)[1] > ndimage.label(labels, structure)[1]
        assert (split <= labels).all()
