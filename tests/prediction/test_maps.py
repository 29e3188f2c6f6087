"""Maps are filled block by block with what numpy and scipy make of the probabilities."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy as scipy_entropy

from segexp.inference import Block
from segexp.prediction import Settings
from segexp.prediction.maps import Maps, integer_values, room_for
from tests.safety.corpus import model_description

ALL = Settings(probabilities=True, uncertainty=True)
CLASSES = model_description(class_names=["ground", "rim", "core"], label_values=[0, 7, 300])
REGIONS = model_description(
    class_names=["ground", "rim", "core"],
    label_values=[0, 1, 2],
    regions={"whole": [1, 2], "core": [2]},
    activation="sigmoid",
)


def in_two_blocks(maps: Maps, values: np.ndarray, parts: int, activation: str) -> Maps:
    """Fill in (C, *S) as the upper and the lower half."""
    half = values.shape[1] // 2
    for rows in (slice(0, half), slice(half, values.shape[1])):
        px = (rows, *[slice(None)] * (values.ndim - 2))
        maps.put(Block(px, torch.from_numpy(values[:, rows])), parts, activation)
    return maps


@pytest.mark.parametrize("size", [(6, 5), (4, 3, 5)])
def test_classes(size):
    rng = np.random.default_rng(0)
    probs = softmax(rng.normal(size=(3, *size)), axis=0).astype(np.float32)
    std = rng.random((3, *size), dtype=np.float32)
    maps = in_two_blocks(Maps.empty(size, CLASSES, ALL, True, None), np.concatenate([probs, std]), 3, "softmax")
    np.testing.assert_array_equal(maps.labels, probs.argmax(0))
    np.testing.assert_array_equal(maps.probabilities, probs.astype(np.float16))
    np.testing.assert_allclose(maps.entropy, scipy_entropy(probs, axis=0) / np.log(3), atol=1e-6)
    np.testing.assert_array_equal(maps.std, std.max(0))
    assert (maps.labels.dtype, maps.probabilities.dtype) == (np.uint16, np.float16)  # 300 has no place in a byte


def test_regions():
    probs = np.random.default_rng(0).random((2, 6, 5), dtype=np.float32)
    maps = in_two_blocks(Maps.empty((6, 5), REGIONS, ALL, False, None), probs, 2, "sigmoid")
    np.testing.assert_array_equal(maps.labels, probs > 0.5)
    assert (maps.labels.dtype, maps.std) == (bool, None)
    each = scipy_entropy(np.stack([probs, 1 - probs]), base=2, axis=0)
    np.testing.assert_allclose(maps.entropy, each.max(0), atol=1e-6)
    maps.set_values(REGIONS)
    np.testing.assert_array_equal(maps.labels, probs > 0.5)


def test_only_what_was_asked_for_is_kept():
    maps = Maps.empty((4, 4), CLASSES, Settings(), False, None)
    assert (maps.probabilities, maps.entropy, maps.std) == (None, None, None)


def test_outside_the_field_of_view_is_certain_background():
    probs = np.full((3, 4, 4), [[[0.1]], [[0.7]], [[0.2]]], np.float32)
    maps = in_two_blocks(Maps.empty((4, 4), CLASSES, ALL, True, None), np.concatenate([probs, probs]), 3, "softmax")
    outside = np.eye(4, dtype=bool)
    maps.blank(outside, "softmax")
    assert maps.labels[~outside].min() == 1
    assert not maps.labels[outside].any()
    assert maps.probabilities[:, outside].T.tolist() == [[1, 0, 0]] * 4
    assert not maps.entropy[outside].any()
    assert not maps.std[outside].any()
    assert maps.entropy[~outside].all()


def test_outside_the_field_of_view_no_region_is_there():
    maps = in_two_blocks(
        Maps.empty((4, 4), REGIONS, ALL, False, None), np.full((2, 4, 4), 0.9, np.float32), 2, "sigmoid"
    )
    maps.blank(np.eye(4, dtype=bool), "sigmoid")
    assert not maps.probabilities[:, np.eye(4, dtype=bool)].any()
    assert maps.labels.sum() == 2 * 12


@pytest.mark.parametrize("piece", [1, 11, 1 << 24])
def test_values_of_the_training_files_take_the_place_of_indices(monkeypatch, piece):
    """However many rows fit into a piece."""
    monkeypatch.setattr("segexp.prediction.maps.PIECE", piece)
    maps = Maps.empty((7, 5), CLASSES, Settings(), False, None)
    indices = np.random.default_rng(0).integers(0, 3, (7, 5))
    maps.labels[:] = indices
    maps.set_values(CLASSES)
    np.testing.assert_array_equal(maps.labels, np.array([0, 7, 300])[indices])


def test_values_that_are_no_integers_are_refused():
    assert integer_values(CLASSES) == [0, 7, 300]
    with pytest.raises(ValueError, match=r"label_values=\[0, 0.5\] of the model must be integers"):
        integer_values(model_description(label_values=[0, 0.5]))


def test_a_view_writes_into_the_maps():
    maps = Maps.empty((2, 3, 4), CLASSES, ALL, True, None)
    turned = maps.view(lambda array: np.moveaxis(array, -1, -3))
    assert (turned.labels.shape, turned.probabilities.shape) == ((4, 2, 3), (3, 4, 2, 3))
    turned.labels[3] = 2
    assert (maps.labels[..., 3] == 2).all()


def test_large_arrays_lie_in_files(tmp_path, monkeypatch):
    monkeypatch.setattr("segexp.prediction.maps.MAPPED", 400)
    small, large = room_for((9, 11), np.float32, tmp_path), room_for((10, 10), np.float32, tmp_path)
    assert not isinstance(small, np.memmap)
    assert isinstance(large, np.memmap)
    assert (large.shape, large.dtype, large.any()) == ((10, 10), np.float32, False)
    assert [path.stat().st_size for path in tmp_path.iterdir()] == [400]
    assert not isinstance(room_for((10, 10), np.float32, None), np.memmap)
