"""The border map against every pair of pixels, against pixels by hand, and on a real slice."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from skimage.measure import label

from segexp.data.weight_maps import BorderWeightMap


def brute_force_map(target: np.ndarray, w0: float, sigma: float, object_class: int) -> np.ndarray:
    """Equation 2 pixel by pixel, with the cells of scikit-image and all pairwise distances."""
    cells = label(target == object_class, connectivity=1)
    points = np.argwhere(np.ones_like(target))
    classes = np.unique(target)
    weights = np.empty(target.shape)
    for point in points:
        place = tuple(point)
        weights[place] = 1 / (len(classes) * np.mean(target == target[place]))
        distances = sorted(
            np.sqrt(((np.argwhere(cells == number) - point) ** 2).sum(1)).min() for number in range(1, cells.max() + 1)
        )
        if cells[place] == 0 and len(distances) >= 2:
            weights[place] += w0 * np.exp(-((distances[0] + distances[1]) ** 2) / (2 * sigma**2))
    return weights


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shape", [(23, 17), (1, 30), (7, 6, 5)])
def test_equals_brute_force(seed: int, shape: tuple[int, ...]) -> None:
    draw = np.random.default_rng(seed)
    target = (draw.random(shape) < (0.05, 0.2, 0.5)[seed % 3]).astype(np.uint8)
    expected = brute_force_map(target, 10.0, 5.0, 1)
    actual = BorderWeightMap()(target)
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("w0", "sigma", "object_class"), [(3.0, 1.0, 0), (10.0, 0.5, 1), (0.0, 5.0, 2), (7.0, 2.5, 2)])
def test_equals_brute_force_where_cells_are_out_of_reach(w0: float, sigma: float, object_class: int) -> None:
    target = np.random.default_rng(3).choice(3, (40, 30), p=[0.05, 0.9, 0.05]).astype(np.uint8)
    expected = brute_force_map(target, w0, sigma, object_class)
    np.testing.assert_allclose(BorderWeightMap(w0, sigma, object_class)(target), expected, rtol=1e-6, atol=1e-6)


def test_one_row_by_hand() -> None:
    target = np.array([[1, 0, 0, 1]], dtype=np.uint8)
    gap = 1 + 10 * np.exp(-(3**2) / 50)  # one pixel from one cell, two from the other
    np.testing.assert_allclose(BorderWeightMap()(target), [[1, gap, gap, 1]], rtol=1e-6)


def test_cells_that_touch_at_a_corner_are_two_cells() -> None:
    target = np.array([[1, 0], [0, 1]], dtype=np.uint8)
    gap = 1 + 10 * np.exp(-(2**2) / 50)
    np.testing.assert_allclose(BorderWeightMap()(target), [[1, gap], [gap, 1]], rtol=1e-6)


def test_balance_gives_every_class_the_same_total_and_mean_one() -> None:
    target = np.array([[0, 0, 0, 0, 0, 2, 2, 3]], dtype=np.uint8)
    weights = BorderWeightMap(object_class=9)(target)
    np.testing.assert_allclose(weights, [[8 / 15] * 5 + [8 / 6] * 2 + [8 / 3]], rtol=1e-6)
    assert weights.mean() == pytest.approx(1)


@pytest.mark.parametrize("value", [0, 1])
def test_a_mask_of_one_class_weighs_one_everywhere(value: int) -> None:
    np.testing.assert_array_equal(BorderWeightMap()(np.full((5, 6), value, np.uint8)), np.ones((5, 6)))


def test_one_cell_has_no_border_term() -> None:
    target = np.zeros((4, 4), np.uint8)
    target[1:3, 1:3] = 1
    np.testing.assert_allclose(BorderWeightMap()(target), np.where(target == 1, 2, 16 / 24), rtol=1e-6)


def test_ignored_pixels_weigh_nothing_and_do_not_tip_the_balance() -> None:
    target = np.array([[1, 0, 1, 255, 255, 255, 255]], dtype=np.uint8)
    border = 10 * np.exp(-(2**2) / 50)
    np.testing.assert_allclose(BorderWeightMap()(target), [[0.75, 1.5 + border, 0.75, 0, 0, 0, 0]], rtol=1e-6)
    assert not BorderWeightMap()(np.full((3, 3), 255, np.uint8)).any()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"w0": -1.0}, r"w0=-1\.0 must be a number of at least 0"),
        ({"sigma": 0}, "sigma=0 must be above 0"),
        ({"sigma": "5"}, "sigma='5' must be a number"),
        ({"object_class": 1.0}, "object_class=1.0 must be an integer"),
        ({"object_class": 255}, "object_class=255 is also ignore_index"),
    ],
)
def test_refuses_wrong_values(arguments: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        BorderWeightMap(**arguments)


def test_refuses_a_mask_that_is_not_uint8() -> None:
    with pytest.raises(ValueError, match="mask of dtype float64 must be uint8"):
        BorderWeightMap()(np.zeros((3, 3)))


def test_a_real_slice_is_fast_and_bright_between_cells() -> None:
    folder = os.environ.get("SEGEXP_DATA_DIR")
    if folder is None:
        pytest.skip("set SEGEXP_DATA_DIR to the folder that holds isbi2012/train-labels.tif")
    target = (tifffile.imread(Path(folder) / "isbi2012" / "train-labels.tif", key=0) == 255).astype(np.uint8)
    start = time.perf_counter()
    weights = BorderWeightMap()(target)
    assert time.perf_counter() - start < 1
    assert weights[target == 0].mean() > 3 * weights[target == 1].mean()
    assert weights.min() > 0
    assert weights.max() < 10 + 1 / (2 * np.mean(target == 0))
