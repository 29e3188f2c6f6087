import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage

from segexp.data.case import Case
from segexp.prediction.objects import measure_objects

DESCRIPTION = SimpleNamespace(regions=None, class_names=["background", "cell", "debris"], label_values=[0, 7, 9])


def case_of(image: np.ndarray, spacing: tuple[float, ...], unit: str = "px") -> Case:
    return Case("a", image, None, spacing, unit, ())


def test_measures_are_those_of_scipy():
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.normal(size=(60, 80)), 3)
    labels = np.select([smooth > 0.08, smooth < -0.1], [7, 9])
    image = rng.integers(0, 1000, (2, 60, 80)).astype(np.uint16)
    rows = measure_objects(labels, case_of(image, (0.5, 0.25), "mm"), DESCRIPTION)
    for name, value in (("cell", 7), ("debris", 9)):
        own = [row for row in rows if row["class"] == name]
        found, count = ndimage.label(labels == value)
        assert len(own) == count > 3
        numbers = range(1, count + 1)
        sizes = ndimage.sum(found > 0, found, numbers)
        assert [row["area_px"] for row in own] == sizes.tolist()
        np.testing.assert_allclose([row["area_mm2"] for row in own], sizes * 0.125)
        centers = ndimage.center_of_mass(found > 0, found, numbers)
        np.testing.assert_allclose([(row["center_y_px"], row["center_x_px"]) for row in own], centers, rtol=1e-5)
        for channel in range(2):
            means = ndimage.mean(image[channel], found, numbers)
            np.testing.assert_allclose([row[f"intensity_mean_{channel}"] for row in own], means, rtol=1e-5)
            highest = ndimage.maximum(image[channel], found, numbers)
            assert [row[f"intensity_max_{channel}"] for row in own] == highest.tolist()
        edge = np.unique(np.concatenate([found[0], found[-1], found[:, 0], found[:, -1]]))
        assert [row["object"] for row in own if row["touches_edge"]] == [n for n in edge.tolist() if n]


def test_a_ball_has_its_volume_and_diameter():
    z, y, x = np.ogrid[-12:13, -12:13, -12:13]
    ball = np.where(z**2 + y**2 + x**2 <= 100, 7, 0)
    case = case_of(np.ones((1, *ball.shape), np.uint8), (2.0, 2.0, 2.0), "mm")
    (row,) = measure_objects(ball, replace(case, affine=np.diag([2.0, 2, 2, 1])), DESCRIPTION)
    assert row["volume_mm3"] == pytest.approx(4 / 3 * math.pi * 20**3, rel=0.02)
    assert row["equivalent_diameter_mm"] == pytest.approx(40, rel=0.01)
    assert [row[f"first_{axis}_px"] for axis in "zyx"] == [2, 2, 2]
    assert not row["touches_edge"]


def test_regions_are_measured_each_for_itself():
    regions = SimpleNamespace(regions=["whole", "core"], class_names=[], label_values=[])
    labels = np.zeros((2, 8, 8), bool)
    labels[0, 1:7, 1:7], labels[1, 3:5, 3:5] = True, True
    rows = measure_objects(labels, case_of(np.zeros((1, 8, 8), np.uint8), (1.0, 1.0)), regions)
    assert [(row["class"], row["area_px"]) for row in rows] == [("whole", 36), ("core", 4)]


def test_pages_of_a_stack_are_measured_each_for_itself():
    labels = np.zeros((3, 8, 8), int)
    labels[1:, 2:4, 2:4] = 7
    rows = measure_objects(labels, case_of(np.zeros((1, 3, 8, 8), np.uint8), (1.0, 1.0, 1.0)), DESCRIPTION)
    assert [(row["page"], row["object"], row["area_px"]) for row in rows] == [(1, 1, 4), (2, 1, 4)]


def test_an_empty_mask_has_no_rows():
    assert measure_objects(np.zeros((4, 4)), case_of(np.zeros((1, 4, 4)), (1.0, 1.0)), DESCRIPTION) == []
