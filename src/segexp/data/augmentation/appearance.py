"""Augmentation of appearance beyond albumentations: noise, blur and lost resolution of volumes, and what TorchIO has.

All are albumentations transforms, so that they stand in the list of ``Augment`` and draw from the patch's generator.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import albumentations as A
import cv2
import numpy as np
import torch
from scipy import special

from segexp.errors import require_choice

GRAY_OR_RGB = (A.CLAHE, A.ColorJitter, A.HueSaturationValue)  # albumentations refuses other numbers of channels
ARTIFACTS = ("RandomBiasField", "RandomBlur", "RandomGamma", "RandomGhosting", "RandomSpike")
UNIT = np.ones((1, 1), np.float32)  # weights that leave an image as it is


class OnVolume(A.ImageOnlyTransform):
    """A transform of a whole volume, where albumentations would take slice by slice."""

    def apply_to_images(self, images: np.ndarray, **params: Any) -> np.ndarray:
        """Transform a volume (D, H, W, C) in [0, 1]."""
        return self.apply(images, **params)


class Noise(OnVolume):
    """Gaussian noise, independent in every pixel, slice and channel (albumentations repeats it from slice to slice).

    Args:
        std: Range of its standard deviation, as a multiple of the patch's own, which single bright pixels leave alone.
        p: Probability of use.

    Raises:
        ValueError: ``std`` is no range of numbers from 0 upwards.
    """

    def __init__(self, std: tuple[float, float] = (0.05, 0.4), p: float = 1.0) -> None:
        super().__init__(p=p)
        self.std = range_of("std of Noise", std, least=0)

    def apply(self, img: np.ndarray, **params: Any) -> np.ndarray:  # noqa: ARG002
        """Add noise to an image (H, W, C), or a volume (D, H, W, C), in [0, 1]."""
        noise = normal(img.shape, self.random_generator)
        noise *= self.random_generator.uniform(*self.std) * img.std()
        return np.clip(np.add(img, noise, out=noise), 0, 1, out=noise)


class Anisotropy(OnVolume):
    """Thick slices: means over several pixels along one axis, drawn evenly, linearly interpolated again.

    Args:
        factor: Range of the thickness, in pixels, from 1 upwards.
        p: Probability of use.

    Raises:
        ValueError: ``factor`` is no range of numbers from 1 upwards.

    Source: after RandomAnisotropy of TorchIO, which takes single pixels instead of means and darkens the border.
    """

    def __init__(self, factor: tuple[float, float] = (1.2, 2.5), p: float = 1.0) -> None:
        super().__init__(p=p)
        self.factor = range_of("factor of Anisotropy", factor, least=1)

    def get_params(self) -> dict[str, float]:
        """Draw thickness and axis, the latter as a fraction of the number of axes."""
        return {"factor": self.random_generator.uniform(*self.factor), "axis_fraction": self.random_generator.random()}

    def apply(self, img: np.ndarray, factor: float, axis_fraction: float, **params: Any) -> np.ndarray:  # noqa: ARG002
        """Coarsen an image (H, W, C), or a volume (D, H, W, C), in [0, 1]."""
        axis = int(axis_fraction * (img.ndim - 1))
        coarse = max(1, round(img.shape[axis] / factor))
        if img.shape[axis:] == (img.shape[axis], 1):  # the rows of all slices, one below the other, need no turn
            lines = img.reshape(-1, img.shape[axis])
            return coarsened(lines, (coarse, len(lines))).reshape(img.shape)
        turned = np.moveaxis(img, axis, 0)
        lines = turned.reshape(len(turned), -1)
        return np.moveaxis(coarsened(lines, (lines.shape[1], coarse)).reshape(turned.shape), 0, axis)


def coarsened(lines: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Take means over the pixels of (H, W) that fall into each of a smaller size (width, height), and interpolate."""
    means = cv2.resize(lines, size, interpolation=cv2.INTER_AREA)
    return cv2.resize(means, lines.shape[::-1], interpolation=cv2.INTER_LINEAR)


class Blur(OnVolume):
    """Gaussian blur, of another width along each axis.

    Args:
        std: Range of its standard deviation in pixels, drawn for each axis; 0 = none.
        p: Probability of use.

    Raises:
        ValueError: ``std`` is no range of numbers from 0 upwards.

    Source: as RandomBlur of TorchIO.
    """

    def __init__(self, std: tuple[float, float] = (0.0, 1.0), p: float = 1.0) -> None:
        super().__init__(p=p)
        self.std = range_of("std of Blur", std, least=0)

    def get_params(self) -> dict[str, np.ndarray]:
        """Draw the standard deviations along z, y, x."""
        return {"stds": self.random_generator.uniform(*self.std, 3)}

    def apply(self, img: np.ndarray, stds: np.ndarray, **params: Any) -> np.ndarray:  # noqa: ARG002
        """Blur an image (H, W, C), or a volume (D, H, W, C), mirrored at the outer edges of its pixels."""
        across, down, along = (gaussian(std) for std in stds)
        if img.ndim == 4 and len(across) > 1:
            # All pixels of a slice in one row: what lies one below the other is then one pixel in all slices.
            lines = img.reshape(len(img), -1)
            img = cv2.sepFilter2D(lines, -1, UNIT, across, borderType=cv2.BORDER_REFLECT).reshape(img.shape)
        slices = img.reshape(-1, *img.shape[-3:])
        moved = np.stack([cv2.sepFilter2D(each, -1, along, down, borderType=cv2.BORDER_REFLECT) for each in slices])
        return np.minimum(moved, 1, out=moved).reshape(img.shape)  # weights are 1 in sum but for their last digit


class Gamma(OnVolume):
    """Other contrast: intensities to the power of exp(β), β drawn for each channel.

    Args:
        log_gamma: Range of β, the logarithm of the exponent; below 0 brightens.
        p: Probability of use.

    Raises:
        ValueError: ``log_gamma`` is no range of numbers.

    Source: as RandomGamma of TorchIO.
    """

    def __init__(self, log_gamma: tuple[float, float] = (-0.3, 0.3), p: float = 1.0) -> None:
        super().__init__(p=p)
        self.log_gamma = range_of("log_gamma of Gamma", log_gamma)

    def apply(self, img: np.ndarray, **params: Any) -> np.ndarray:  # noqa: ARG002
        """Change an image (H, W, C), or a volume (D, H, W, C), in [0, 1]."""
        exponents = np.exp(self.random_generator.uniform(*self.log_gamma, img.shape[-1]))
        return img ** exponents.astype(np.float32)


class TorchIO(OnVolume):
    """A TorchIO transform of the intensities, such as an artifact of MRI, on the volume as a whole.

    An image is handed over as a volume of one slice; axes 0, 1, 2 of TorchIO are x, y, z. Values are cut to [0, 1].

    Args:
        transform: Name of the transform, one of ``ARTIFACTS``. Not among them: RandomNoise, which seeds the GPU too
            (take ``Noise``), RandomMotion, which moves a single slice as a whole, off its mask (take ``Motion``), and
            RandomAnisotropy.
        arguments: Arguments of the transform; lengths are in pixels, since the spacing is not handed over.
        p: Probability of use.

    Raises:
        ValueError: TorchIO is not installed, or the transform is none of these.

    Source: Pérez-García et al. 2021 (TorchIO).
    """

    def __init__(self, transform: str, arguments: Mapping[str, Any] | None = None, p: float = 1.0) -> None:
        super().__init__(p=p)
        try:
            import torchio
        except ImportError as error:
            raise ValueError(
                f"augmentation by TorchIO's {transform}: install it with pip install 'segexp[mri]'"
            ) from error
        require_choice("transform of segexp.data.TorchIO", transform, ARTIFACTS)
        # TorchIO takes ranges as tuples only, YAML knows lists.
        settings = {key: tuple(value) if isinstance(value, list) else value for key, value in (arguments or {}).items()}
        self.transform = getattr(torchio, transform)(**settings)

    def get_params(self) -> dict[str, int]:
        """Draw the seed of TorchIO's own random numbers from the patch's generator."""
        return {"torch_seed": int(self.random_generator.integers(2**63))}

    def apply(self, img: np.ndarray, torch_seed: int, **params: Any) -> np.ndarray:  # noqa: ARG002
        """Transform an image (H, W, C), or a volume (D, H, W, C), in [0, 1]."""
        volume = img if img.ndim == 4 else img[None]
        with torch.random.fork_rng(devices=[]):  # TorchIO draws from torch's global generator: leave it as it was
            torch.default_generator.manual_seed(torch_seed)  # torch.manual_seed would seed the GPU's as well
            moved = self.transform(torch.from_numpy(volume.T))  # (C, W, H, D) = (C, x, y, z)
        return np.clip(moved.numpy().T, 0, 1).reshape(img.shape)


def normal(shape: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Draw (*shape) float32 from the standard normal distribution: one of 65,536 quantiles, in a fourth of the time."""
    return quantiles().take(rng.integers(2**16, size=shape, dtype=np.uint16))


@functools.lru_cache(maxsize=1)
def quantiles() -> np.ndarray:
    """Quantiles of the standard normal distribution, in the middle of 65,536 equal parts of the probability."""
    return special.ndtri((np.arange(2**16) + 0.5) / 2**16).astype(np.float32)


def gaussian(std: float) -> np.ndarray:
    """Weights (2 r + 1, 1) of a Gaussian up to four standard deviations, in pixels, as scipy.ndimage has it."""
    radius = int(4 * std + 0.5)
    return cv2.getGaussianKernel(2 * radius + 1, std, cv2.CV_32F) if radius else UNIT


def range_of(name: str, value: tuple[float, float], least: float = -math.inf) -> tuple[float, float]:
    """Return a range of numbers; refuse, by a ValueError, what is none."""
    if len(value) != 2 or not least <= value[0] <= value[1]:
        rule = "" if least == -math.inf else f" from {least} upwards"
        raise ValueError(f"{name}={list(value)} must be a range [least, most] of numbers{rule}")
    return value[0], value[1]
