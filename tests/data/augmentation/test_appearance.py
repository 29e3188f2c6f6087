import sys

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scipy import ndimage
from torch.utils.data import DataLoader, Dataset

from segexp.config import config_dir
from segexp.data.augmentation.appearance import Anisotropy, Motion, Noise, TorchIO
from segexp.data.augmentation.augment import Augment


def drawn(transform, image: np.ndarray, seed: int = 0) -> np.ndarray:
    mask = np.zeros(image.shape[1:], np.uint8)
    return Augment([transform])(image, mask, None, np.random.default_rng(seed))[0]


def test_noise_is_as_strong_as_told_and_differs_between_slices_and_channels():
    image = np.repeat(np.array([0.4, 0.6], np.float32), 2048).reshape(1, 1, 64, 64).repeat(2, 0).repeat(3, 1)
    noise = drawn(Noise(std=(0.5, 0.5)), image) - image
    assert noise.std() == pytest.approx(0.5 * 0.1, rel=0.02)
    layers = noise.reshape(6, -1)
    assert np.abs(np.corrcoef(layers) - np.eye(6)).max() < 0.1


def test_thick_slices_are_means_along_one_axis():
    """Doubled pixels of the coarse line, by hand: means of pairs, then linear interpolation between their centers."""
    line = np.array([0, 1, 0.2, 0.4, 0.6, 0.2], np.float32)
    image = np.broadcast_to(line, (1, 4, 5, 6))
    means = np.array([0.5, 0.3, 0.4])
    expected = np.interp(np.arange(6), [0.5, 2.5, 4.5], means)
    seen = [drawn(Anisotropy(factor=(2, 2)), image, seed) for seed in range(12)]
    along_x = [moved for moved in seen if not np.allclose(moved, image)]
    assert 1 <= len(along_x) <= 9  # along y and z the image is constant
    for moved in along_x:
        np.testing.assert_allclose(moved, np.broadcast_to(expected, image.shape), atol=1e-6)


def test_motion_keeps_low_frequencies_and_without_moves_the_image():
    rng = np.random.default_rng(0)
    image = ndimage.gaussian_filter(rng.random((1, 64, 64)), (0, 1, 1)).astype(np.float32)
    np.testing.assert_allclose(drawn(Motion(degrees=0, shift=0), image), image, atol=1e-5)
    moved = drawn(Motion(degrees=10, shift=5), image)
    change = np.abs(np.fft.fft(moved[0], axis=0) - np.fft.fft(image[0], axis=0)).mean(axis=1)
    low = np.abs(np.fft.fftfreq(64)) < 0.04
    assert change[low].max() < 0.15 * change.max()


def test_torchio_blur_is_that_of_scipy_on_the_whole_volume():
    volume = np.random.default_rng(0).random((2, 6, 20, 24)).astype(np.float32)
    expected = ndimage.gaussian_filter(volume, (0, 1.2, 1.2, 1.2))
    blurred = drawn(TorchIO("RandomBlur", {"std": [1.2, 1.2]}), volume)
    np.testing.assert_allclose(blurred, expected, atol=1e-5)


def test_axes_of_torchio_are_x_y_z():
    """Ghosts along y leave alone what varies along x alone."""
    image = np.broadcast_to(np.linspace(0.2, 0.8, 40, dtype=np.float32), (1, 32, 40))
    ghosts = {axis: TorchIO("RandomGhosting", {"axes": [axis], "intensity": [1, 1]}) for axis in (0, 1)}
    np.testing.assert_allclose(drawn(ghosts[1], image), image, atol=1e-4)
    assert np.abs(drawn(ghosts[0], image) - image).max() > 0.02


def test_torch_is_left_as_it_was():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    drawn(TorchIO("RandomSpike"), np.full((1, 32, 32), 0.5, np.float32))
    assert torch.equal(torch.rand(3), expected)


class Draws(Dataset):
    """Twelve draws of the preset mri for one image; item i depends on i alone."""

    def __init__(self) -> None:
        nodes = OmegaConf.to_container(OmegaConf.load(config_dir() / "augment" / "mri.yaml"))
        self.augment = instantiate(nodes, _convert_="all")
        self.image = ndimage.gaussian_filter(np.random.default_rng(0).random((1, 4, 40, 40)), 1).astype(np.float32)

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> np.ndarray:
        mask = np.zeros(self.image.shape[1:], np.uint8)
        return np.ascontiguousarray(self.augment(self.image, mask, None, np.random.default_rng([3, index]))[0])


def test_any_number_of_workers_draws_the_same():
    none, one, two = (torch.cat(list(DataLoader(Draws(), num_workers=workers))) for workers in (0, 1, 2))
    assert torch.equal(none, one)
    assert torch.equal(none, two)
    assert len(torch.unique(none.flatten(1), dim=0)) > 6


def test_missing_torchio_and_unknown_transforms_get_a_sentence(monkeypatch):
    with pytest.raises(ValueError, match="'RandomGost' is not one of .*did you mean 'RandomGhosting'"):
        TorchIO("RandomGost")
    monkeypatch.setitem(sys.modules, "torchio", None)
    with pytest.raises(ValueError, match=r"RandomSpike: install it with pip install 'segexp\[mri\]'"):
        TorchIO("RandomSpike")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Noise(std=(0.4, 0.1)), "std of Noise=.* must be a range"),
        (lambda: Anisotropy(factor=(0.5, 2)), "from 1 upwards"),
        (lambda: Motion(moves=0), "moves of Motion=0 must be an integer of at least 1"),
    ],
)
def test_arguments_are_checked(make, words):
    with pytest.raises(ValueError, match=words):
        make()
