"""Augmentation against shifts between scanners and stains: other histograms, other textures, the same shapes."""

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from segexp.data.augmentation.appearance import OnVolume, range_of
from segexp.errors import require_at_least

SLOPE = 0.01  # of the leaky ReLU below 0
FAR = 3.0  # standard deviations


class HistogramShift(OnVolume):
    """Other intensities for the same tissue: a rising curve from 0 to 1, steeper here and flatter there.

    Args:
        knots: Number of knots, evenly from 0 to 1, at least 3; the curve is straight between them.
        std: Standard deviation of the logarithms of its slopes; 0 leaves the image as it is.
        invert: Probability that bright and dark change places, as between kinds of MRI.
        p: Probability of use.

    Raises:
        ValueError: An argument is out of its range.

    Source: after RandHistogramShift of MONAI, and the nonlinear transform of Zhou et al. 2019 (Models Genesis).
    """

    def __init__(self, knots: int = 10, std: float = 0.7, invert: float = 0.0, p: float = 1.0) -> None:
        super().__init__(p=p)
        require_at_least("knots of HistogramShift", knots, 3, integer=True)
        require_at_least("std of HistogramShift", std, 0)
        require_at_least("invert of HistogramShift", invert, 0)
        self.std = std
        self.invert = invert
        self.knots = knots

    def get_params(self) -> dict[str, np.ndarray]:
        """Draw the curve: its value at each knot."""
        draw = self.random_generator
        rises = np.exp(self.std * draw.standard_normal(self.knots - 1))
        curve = np.concatenate([[0.0], np.cumsum(rises) / rises.sum()])
        return {"curve": curve[::-1] if draw.random() < self.invert else curve}

    def apply(self, img: np.ndarray, curve: np.ndarray, **params: Any) -> np.ndarray:  # noqa: ARG002
        """Map an image (H, W, C), or a volume (D, H, W, C), in [0, 1]."""
        return np.interp(img, np.linspace(0, 1, self.knots), curve).astype(np.float32)


class RandomTexture(OnVolume):
    """Other textures and intensities for the same shapes: a small convolutional network of random weights, mixed in.

    Its convolutions see 1 or 3 pixels per axis, as drawn; the mixture keeps mean and deviation of each channel.

    Args:
        layers: Number of convolutions, at least 1.
        channels: Channels between them, at least 1.
        mix: Range of the fraction of the random network in the result, 0 = none, 1 = it alone.
        p: Probability of use.

    Raises:
        ValueError: An argument is out of its range.

    Source: Ouyang et al. 2022 (global intensity non-linear augmentation), which keeps the norm in place of the two.
    """

    def __init__(
        self, layers: int = 4, channels: int = 2, mix: tuple[float, float] = (0.0, 1.0), p: float = 1.0
    ) -> None:
        super().__init__(p=p)
        require_at_least("layers of RandomTexture", layers, 1, integer=True)
        require_at_least("channels of RandomTexture", channels, 1, integer=True)
        self.mix = range_of("mix of RandomTexture", mix, least=0)
        if self.mix[1] > 1:
            raise ValueError(f"mix of RandomTexture={list(mix)} is a fraction: it must not exceed 1")
        self.layers = layers
        self.channels = channels

    def apply(self, img: np.ndarray, **params: Any) -> np.ndarray:  # noqa: ARG002
        """Transform an image (H, W, C), or a volume (D, H, W, C), in [0, 1]."""
        axes = tuple(range(img.ndim - 1))
        mean, deviation = img.mean(axes), img.std(axes)
        if not (deviation > 0).all():
            return img
        plain = (img - mean) / deviation
        found = self._network(torch.from_numpy(np.moveaxis(plain, -1, 0)[None]))[0]
        # Single pixels far out would take all contrast from the others.
        other = np.clip(_standard(np.moveaxis(found.numpy(), 0, -1)), -FAR, FAR)
        fraction = self.random_generator.uniform(*self.mix)
        mixed = _standard(fraction * _standard(other) + (1 - fraction) * plain) * deviation + mean
        return np.clip(mixed, 0, 1).astype(np.float32)

    def _network(self, image: Tensor) -> Tensor:
        """Give an image (1, C, *S) to a network that is drawn here."""
        draw, dims = self.random_generator, image.ndim - 2
        convolution = functional.conv2d if dims == 2 else functional.conv3d
        widths = [image.shape[1], *[self.channels] * (self.layers - 1), image.shape[1]]
        for layer, (before, after) in enumerate(pairwise(widths)):
            size = int(draw.choice((1, 3)))
            weights = torch.from_numpy(draw.standard_normal((after, before, *[size] * dims), dtype=np.float32))
            bias = torch.from_numpy(draw.standard_normal(after, dtype=np.float32))
            padded = functional.pad(image, [size // 2] * 2 * dims, mode="replicate") if size > 1 else image
            image = convolution(padded, weights, bias)
            if layer < self.layers - 1:
                image = functional.leaky_relu(image, SLOPE)
        return image


def _standard(img: np.ndarray) -> np.ndarray:
    """Let each channel of (*S, C) have mean 0 and deviation 1; one that is even becomes 0."""
    axes = tuple(range(img.ndim - 1))
    std = img.std(axes)
    return (img - img.mean(axes)) / np.where(std > 0, std, 1)
