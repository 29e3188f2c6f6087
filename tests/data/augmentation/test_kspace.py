import numpy as np
import pytest
import torch
import torchio
from scipy import ndimage

from segexp.data.augmentation.kspace import ghosted, waves
from segexp.stress import acquisition


def smooth(*size: int) -> np.ndarray:
    return ndimage.gaussian_filter(np.random.default_rng(0).random(size), 1).astype(np.float32)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_ghosts_are_those_of_torchio_and_of_stress_tests(axis, count):
    image = smooth(8, 21, 24)
    theirs = torchio.Ghosting(num_ghosts=count, axis=axis, intensity=0.8, restore=None)
    seen = ghosted(image, axis, count, 0.8)
    assert seen.dtype == np.float32
    np.testing.assert_allclose(seen, theirs(torch.from_numpy(image[None]))[0], atol=1e-5)
    np.testing.assert_allclose(seen, acquisition.ghosted(image[None], 0.8, axis, count)[0], atol=1e-5)


@pytest.mark.parametrize("size", [(9, 16), (5, 8, 12)])
def test_waves_are_cosines_and_those_of_stress_tests(size):
    frequencies = np.array([[1, -2, 3], [0, 0, 0], [-2, 3, -6]])[:, : len(size)]
    grid = np.indices(size)
    phases = [sum(f * g / n for f, g, n in zip(each, grid, size, strict=True)) for each in frequencies]
    np.testing.assert_allclose(waves(size, frequencies), np.cos(2 * np.pi * np.array(phases)).sum(0), atol=1e-5)
    for each in frequencies:
        np.testing.assert_allclose(waves(size, each[None]), acquisition.stripe(size, each)[0], atol=1e-5)


@pytest.mark.parametrize("size", [(4, 5), (3, 4, 5)])
def test_no_wave_is_none(size):
    np.testing.assert_array_equal(waves(size, np.zeros((0, len(size)), int)), np.zeros(size))
