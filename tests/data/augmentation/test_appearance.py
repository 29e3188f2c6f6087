import random
import sys

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scipy import ndimage, stats
from torch.utils.data import DataLoader, Dataset

from segexp.config import config_dir
from segexp.data.augmentation.appearance import Anisotropy, Blur, Gamma, Noise, TorchIO, normal, quantiles
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


@pytest.mark.parametrize("shape", [(1, 24, 30), (5, 6, 20, 24)])
def test_thick_slices_are_the_same_along_all_axes_and_channels(shape):
    image = np.random.default_rng(0).random((*shape[1:], shape[0])).astype(np.float32)
    thick = Anisotropy()
    for axis in range(len(shape) - 1):
        fraction = (axis + 0.5) / (len(shape) - 1)
        expected = [
            thick.apply(np.moveaxis(image[..., channel], axis, 0)[..., None], factor=2.3, axis_fraction=0)[..., 0]
            for channel in range(shape[0])
        ]
        seen = thick.apply(image, factor=2.3, axis_fraction=fraction)
        np.testing.assert_allclose(np.moveaxis(seen, (-1, axis), (0, 1)), expected, atol=1e-6)


def test_quantiles_are_normal():
    values = normal((50, 20, 30), np.random.default_rng(0))
    assert values.dtype == np.float32
    assert stats.kstest(values.ravel(), "norm").pvalue > 0.01
    np.testing.assert_allclose(stats.norm.cdf(quantiles()) * 2**16 - 0.5, np.arange(2**16), atol=0.1)


@pytest.mark.parametrize("shape", [(2, 40, 48), (2, 6, 20, 24), (5, 1, 3, 24)])
def test_a_blur_is_that_of_torchio_and_of_scipy(shape):
    image = np.random.default_rng(0).random(shape).astype(np.float32)
    expected = drawn(TorchIO("RandomBlur", {"std": [1.2, 1.2]}), image)
    np.testing.assert_allclose(drawn(Blur(std=(1.2, 1.2)), image), expected, atol=1e-5)
    stds = np.array([0.4, 1.7, 0.05])
    seen = Blur().apply(np.moveaxis(image, 0, -1), stds=stds)
    expected = ndimage.gaussian_filter(image, (0, *stds[-len(shape) + 1 :]))
    np.testing.assert_allclose(np.moveaxis(seen, -1, 0), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 40, 48), (2, 6, 20, 24)])
def test_a_gamma_is_that_of_torchio(shape):
    image = np.random.default_rng(0).random(shape).astype(np.float32)
    expected = drawn(TorchIO("RandomGamma", {"log_gamma": [0.2, 0.2]}), image)
    np.testing.assert_allclose(drawn(Gamma(log_gamma=(0.2, 0.2)), image), expected, atol=1e-5)


def test_what_is_drawn_fills_its_range_evenly():
    gray = np.full((2, 4, 4), 0.5, np.float32)
    gammas = np.log(np.log([drawn(Gamma(), gray, seed)[:, 0, 0] for seed in range(300)]) / np.log(0.5))
    assert stats.kstest(gammas.ravel(), stats.uniform(-0.3, 0.6).cdf).pvalue > 0.01
    assert abs(np.corrcoef(gammas.T)[0, 1]) < 0.2  # each channel has its own
    blur = Blur(std=(0.2, 1.0))
    blur.set_random_state(np.random.default_rng(0), random.Random(0))
    stds = np.array([blur.get_params()["stds"] for _ in range(300)])
    assert stats.kstest(stds.ravel(), stats.uniform(0.2, 0.8).cdf).pvalue > 0.01
    assert np.abs(np.corrcoef(stds.T) - np.eye(3)).max() < 0.2


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
    """Twelve draws of the preset mri, and of TorchIO, for one image; item i depends on i alone."""

    def __init__(self) -> None:
        nodes = OmegaConf.to_container(OmegaConf.load(config_dir() / "augment" / "mri.yaml"))
        nodes["transforms"].append({"_target_": "segexp.data.TorchIO", "transform": "RandomSpike"})
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
        (lambda: Blur(std=(-1, 1)), "std of Blur=.* must be a range"),
        (lambda: Gamma(log_gamma=(0.3, -0.3)), r"log_gamma of Gamma=.* must be a range \[least, most\] of numbers$"),
    ],
)
def test_arguments_are_checked(make, words):
    with pytest.raises(ValueError, match=words):
        make()
