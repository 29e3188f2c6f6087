"""Augmentation of appearance beyond albumentations: noise that differs between slices, artifacts of MRI.

All are albumentations transforms, so that they stand in the list of ``Augment`` and draw from the patch's generator.
"""

from collections.abc import Mapping
from typing import Any

import albumentations as A
import cv2
import numpy as np
import torch
from scipy import fft

from segexp.errors import require_at_least, require_choice

GRAY_OR_RGB = (A.CLAHE, A.ColorJitter, A.HueSaturationValue)  # albumentations refuses other numbers of channels
ARTIFACTS = ("RandomBiasField", "RandomBlur", "RandomGamma", "RandomGhosting", "RandomSpike")


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
        noise = self.random_generator.standard_normal(img.shape, dtype=np.float32)
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
        # cv2 resizes the first of two axes: the chosen axis against all others.
        turned = np.moveaxis(img, int(axis_fraction * (img.ndim - 1)), 0)
        lines = np.ascontiguousarray(turned).reshape(len(turned), -1)
        coarse = (lines.shape[1], max(1, round(len(lines) / factor)))
        means = cv2.resize(lines, coarse, interpolation=cv2.INTER_AREA)
        fine = cv2.resize(means, lines.shape[::-1], interpolation=cv2.INTER_LINEAR)
        return np.moveaxis(fine.reshape(turned.shape), 0, int(axis_fraction * (img.ndim - 1)))


class Motion(A.ImageOnlyTransform):
    """Ghosts and blur as of a patient who moved: outer rows of k-space come from the moved image, in the slice plane.

    The middle tenth of k-space stays, and with it the place of everything on the mask. Each move holds from a random
    row outwards, on one side. As in a scanner the magnitude is what is shown.

    Args:
        degrees: Largest angle of a move.
        shift: Largest shift per axis, in pixels.
        moves: Number of moves, at least 1.
        p: Probability of use.

    Raises:
        ValueError: An argument is out of its range.

    Source: Shaw et al. 2019, here in two dimensions.
    """

    def __init__(self, degrees: float = 5.0, shift: float = 3.0, moves: int = 2, p: float = 1.0) -> None:
        super().__init__(p=p)
        require_at_least("degrees of Motion", degrees, 0)
        require_at_least("shift of Motion", shift, 0)
        require_at_least("moves of Motion", moves, 1, integer=True)
        self.degrees = degrees
        self.shift = shift
        self.moves = moves

    def get_params(self) -> dict[str, list[tuple[float, ...]]]:
        """Draw for each move: angle, shift in x and y, and the signed frequency (1 / pixel) from which it holds."""
        draw = self.random_generator.uniform
        starts = sorted(draw(0.05, 0.5, self.moves))
        sides = draw(-1, 1, self.moves) > 0
        place = draw(-1, 1, (self.moves, 3)) * np.array([self.degrees, self.shift, self.shift])
        return {"drawn": [(*p, f, side) for p, f, side in zip(place, starts, sides, strict=True)]}

    def apply(self, img: np.ndarray, drawn: list[tuple[float, ...]], **params: Any) -> np.ndarray:  # noqa: ARG002
        """Disturb an image (H, W, C) in [0, 1]."""
        height, width = img.shape[:2]
        spectrum = fft.fft(img, axis=0)
        frequency = fft.fftfreq(height)
        # Each move puts its own rows of k-space in the place of those of the image at rest.
        for degrees, right, down, start, side in drawn:
            matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1)
            matrix[:, 2] += np.array([right, down])
            rows = (frequency if side else -frequency) >= start
            # One channel at a time (cv2 takes four at most), mirrored beyond the border.
            layers = (np.ascontiguousarray(img[..., channel]) for channel in range(img.shape[-1]))
            moved = [cv2.warpAffine(a, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101) for a in layers]
            spectrum[rows] = fft.fft(np.dstack(moved), axis=0)[rows]
        return np.clip(np.abs(fft.ifft(spectrum, axis=0)), 0, 1)


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


def range_of(name: str, value: tuple[float, float], least: float) -> tuple[float, float]:
    """Return a range of numbers; refuse, by a ValueError, what is none."""
    if len(value) != 2 or not least <= value[0] <= value[1]:
        raise ValueError(f"{name}={list(value)} must be a range [least, most] of numbers from {least} upwards")
    return value[0], value[1]
