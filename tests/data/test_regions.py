"""Overlapping regions as targets, against numpy.isin and what the augmentation does to single classes."""

import numpy as np
import pytest
import torch

from segexp.data import Augment, GridElastic, Sampling
from segexp.data.case import Case
from segexp.data.intensity.rules import ZScore
from segexp.data.patches import CaseDataset, PatchDataset
from segexp.data.prepared import prepare
from segexp.data.regions import region_target, require_regions

NAMES = ["interior", "membrane", "organelle"]
REGIONS = {"tissue": [1, 2], "organelle": [2]}


def draw(*size: int) -> np.ndarray:
    labels = np.random.default_rng(3).integers(0, 4, size, np.uint8)
    return np.where(labels == 3, np.uint8(255), labels)


@pytest.mark.parametrize("size", [(9, 7), (4, 5, 6)])
def test_each_region_is_where_its_classes_are_and_unlabeled_pixels_stay_so(size):
    labels = draw(*size)
    target = region_target(labels, REGIONS)
    assert target.dtype == np.int64
    for one, classes in zip(target, REGIONS.values(), strict=True):
        np.testing.assert_array_equal(one == 1, np.isin(labels, classes))
        np.testing.assert_array_equal(one == 255, labels == 255)
        np.testing.assert_array_equal(one == 0, np.isin(labels, [0, 1, 2]) & ~np.isin(labels, classes))


def test_patches_of_a_single_class_equal_those_of_the_class_under_augmentation():
    rng = np.random.default_rng(0)
    case = Case("c", rng.integers(0, 255, (1, 40, 40), np.uint8), draw(40, 40), (1.0, 1.0))
    prepared = [prepare(case, ZScore())]
    augment = Augment([GridElastic(sigma=2)])
    plain = PatchDataset(prepared, Sampling((16, 16)), augment)[0, 0]
    regional = PatchDataset(prepared, Sampling((16, 16)), augment, regions=REGIONS)[0, 0]
    assert torch.equal(plain["image"], regional["image"])
    assert regional["target"].shape == (2, 16, 16)
    labels = plain["target"]
    expected = torch.where(labels == 255, 255, (labels == 2).long())
    assert torch.equal(regional["target"][1], expected)
    assert 0 < int((expected == 1).sum()) < 256


def test_slices_of_volumes_and_whole_cases():
    labels = draw(5, 20, 20)
    case = Case("c", np.random.default_rng(0).random((1, 5, 20, 20), np.float32), labels, (1.0, 1.0, 1.0))
    prepared = [prepare(case, ZScore())]
    assert PatchDataset(prepared, Sampling((16, 16)), Augment(), context=1, regions=REGIONS)[0, 0]["target"].shape == (
        2,
        16,
        16,
    )
    whole = CaseDataset(prepared, REGIONS)[0]["target"]
    np.testing.assert_array_equal(whole.numpy(), region_target(labels, REGIONS))


@pytest.mark.parametrize(
    ("regions", "words"),
    [
        ({}, r"data.labels.regions=\{\} must give names their classes"),
        ([1, 2], r"data.labels.regions=\[1, 2\] must give names"),
        ({"": [1]}, "a region called ''"),
        ({1: [1]}, "a region called 1"),
        ({"tissue": []}, r"data.labels.regions.tissue=\[\] must list the classes"),
        ({"tissue": 1}, r"data.labels.regions.tissue=1 must list"),
        ({"tissue": "12"}, "data.labels.regions.tissue='12' must list"),
        ({"tissue": [1, 3]}, "there is no class 3; give indices of 0 interior, 1 membrane, 2 organelle"),
        ({"tissue": [-1]}, "there is no class -1"),
        ({"tissue": ["membrane"]}, "there is no class 'membrane'"),
        ({"tissue": [True]}, "there is no class True"),
        ({"tissue": [0, 1]}, "holds class 0"),
        ({"tissue": [1, 1]}, "names a class twice"),
    ],
)
def test_regions_that_cannot_be_learned_are_refused(regions, words):
    with pytest.raises(ValueError, match=words):
        require_regions(regions, NAMES)


def test_regions_may_overlap_and_be_equal_to_a_class():
    require_regions(REGIONS, NAMES)
    require_regions(None, NAMES)
