"""Steps against MONAI, scipy and scikit-image, and against pixels counted by hand."""

import warnings

import numpy as np
import pytest
from monai.transforms import FillHoles, KeepLargestConnectedComponent, RemoveSmallObjects
from scipy import ndimage
from skimage.morphology import remove_small_holes, remove_small_objects

from segexp.postprocessing.postprocess import PostProcess
from tests.postprocessing.labels import REACH, SIZES, apply, blobs, component_sizes


@pytest.mark.parametrize("connectivity", REACH)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_largest_component_is_monais(size, connectivity):
    """But for ties, where MONAI keeps the last one and we the first."""
    compared = 0
    for seed in range(8):
        labels = blobs(size, seed)
        ours = apply(labels, "largest_component", connectivity=connectivity)
        theirs = KeepLargestConnectedComponent([1, 2], is_onehot=False, connectivity=REACH[connectivity])(
            labels[None].copy()
        )
        for label in (1, 2):
            sizes = np.sort(component_sizes(labels == label, connectivity))
            assert (ours == label).sum() == sizes[-1]
            if len(sizes) == 1 or sizes[-1] > sizes[-2]:
                compared += 1
                assert np.array_equal(ours == label, np.asarray(theirs)[0] == label)
    assert compared > 8


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_largest_component_of_classes_together_is_monais(size):
    labels = blobs(size, 3, classes=8)
    labels[labels > 3] = 0
    ours = apply(labels, "largest_component", classes=[1, 2], together=True)
    theirs = KeepLargestConnectedComponent([1, 2], is_onehot=False, independent=False, connectivity=1)(
        labels[None].copy()
    )
    assert np.array_equal(ours, np.asarray(theirs)[0])
    assert np.array_equal(ours == 3, labels == 3)
    assert (ours > 0).sum() < (labels > 0).sum()


def test_of_equally_large_components_the_first_stays():
    assert apply(np.array([[1, 0, 1, 0, 1]]), "largest_component").tolist() == [[1, 0, 0, 0, 0]]


@pytest.mark.parametrize("connectivity", REACH)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_small_objects_are_those_of_scikit_image_and_monai(size, connectivity):
    labels = blobs(size, 5)
    ours = apply(labels, "min_size", size=12, connectivity=connectivity)
    reach = REACH[connectivity] or len(size)
    for label in (1, 2):
        assert np.array_equal(ours == label, remove_small_objects(labels == label, max_size=11, connectivity=reach))
    one_hot = np.stack([labels == label for label in (1, 2)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # MONAI takes an argument that scikit-image renamed;
        # since then it removes objects of exactly min_size, too, hence the half
        monai = RemoveSmallObjects(min_size=11.5, connectivity=reach)
        theirs = np.stack([np.asarray(monai(part[None]))[0] for part in one_hot])
    assert np.array_equal(PostProcess({"min_size": {"size": 12, "connectivity": connectivity}})(one_hot), theirs)
    assert (ours > 0).sum() < (labels > 0).sum()


def test_sizes_in_mm_count_the_volume_of_a_voxel():
    labels = blobs((14, 16, 15), 5)
    in_mm = apply(labels, "min_size", (2.0, 0.5, 3.0), size=36, unit="mm")  # 12 voxels of 3 mm^3
    assert np.array_equal(in_mm, apply(labels, "min_size", size=12))
    assert np.array_equal(
        apply(labels, "fill_holes", (2.0, 0.5, 3.0), max_size=9, unit="mm"), apply(labels, "fill_holes", max_size=3)
    )


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("connectivity", REACH)
def test_holes_of_one_class_are_those_of_scipy_and_monai(size, connectivity):
    filled = 0
    for seed in range(6):
        mask = ndimage.gaussian_filter(np.random.default_rng(seed).random(size), 0.7) > 0.45
        structure = ndimage.generate_binary_structure(len(size), 1 if connectivity == "faces" else len(size))
        truth = ndimage.binary_fill_holes(mask, structure)
        ours = apply(mask.astype(np.uint8), "fill_holes", connectivity=connectivity)
        assert np.array_equal(ours, truth)
        assert np.array_equal(apply(mask[None], "fill_holes", connectivity=connectivity)[0], truth)
        theirs = FillHoles(connectivity=REACH[connectivity])(mask[None].astype(np.uint8))
        assert np.array_equal(ours, np.asarray(theirs)[0])
        filled += int(truth.sum() - mask.sum())
    assert filled > 0


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_largest_hole_is_that_of_scikit_image(size):
    mask = np.pad(np.random.default_rng(1).random([n - 2 for n in size]) > 0.35, 1, constant_values=True)
    ours = apply(mask.astype(np.uint8), "fill_holes", max_size=2)
    assert np.array_equal(ours, remove_small_holes(mask, max_size=2, connectivity=1))
    assert (ours == 0).any()


def test_a_hole_between_two_classes_stays_and_a_class_inside_another_is_no_hole():
    between = np.array([[1, 1, 1, 2, 2, 2, 3, 3], [1, 0, 1, 2, 0, 0, 3, 0], [1, 1, 1, 2, 2, 2, 3, 3]])
    documented = FillHoles(connectivity=1)(between[None])
    assert np.array_equal(apply(between, "fill_holes"), np.asarray(documented)[0])
    inside = np.ones((5, 5), int)
    inside[2, 2] = 2
    assert np.array_equal(apply(inside, "fill_holes"), inside)  # MONAI overwrites the 2
    around = np.ones((7, 7), int)
    around[2:5, 2:5] = 0
    around[3, 3] = 2
    assert np.array_equal(apply(around, "fill_holes"), around)  # the gap has neighbors of both


def test_only_the_named_classes_are_filled():
    labels = np.full((5, 9), 1, np.uint8)
    labels[:, 5:] = 2
    labels[2, [2, 7]] = 0
    filled = apply(labels, "fill_holes", classes=[2])
    assert (filled[2, 2], filled[2, 7]) == (0, 2)
