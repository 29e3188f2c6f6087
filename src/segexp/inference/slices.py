"""Volumes through a two-dimensional network, slice by slice, and probabilities back to the case's own size."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from segexp.errors import require_at_least
from segexp.inference.ensemble import Ensemble, Predictor
from segexp.inference.probabilities import Network, require_image
from segexp.inference.smaller import Smaller

_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


class SlicePredictor:
    """Lets a 2-D predictor predict volumes; images pass through as they are.

    Each slice along the first spatial axis is predicted with its neighbors as further channels (2.5-D), the first and
    last slice repeated beyond the ends; of each image channel the slices follow one another.

    Args:
        predictor: Predictor, (network, image (B, C, H, W)) to probabilities (B, K, H, W).
        context: Number of neighbors on each side, k: the network has C * (2 k + 1) input channels.
        batch_size: Number of slices at a time.

    Raises:
        ValueError: A number is out of range.
    """

    def __init__(self, predictor: Predictor, context: int = 0, batch_size: int = 16) -> None:
        require_at_least("context", context, 0, integer=True)
        require_at_least("batch_size", batch_size, 1, integer=True)
        self.predictor = predictor
        self.context = context
        self.batch_size = batch_size

    def __call__(self, network: Network | Ensemble, image: Tensor) -> Tensor:
        """Return probabilities (B, K, *S) of an image (B, C, *S), S of two or three axes."""
        require_image(image)
        if image.ndim not in (4, 5):
            raise ValueError(f"image of shape {tuple(image.shape)} must be (B, C, H, W), or (B, C, D, H, W) of volumes")
        if image.ndim == 4:
            return self.predictor(network, image)
        batches = torch.arange(image.shape[2], device=image.device).split(self.batch_size)
        probs = []
        for volume in image:
            parts = [self.predictor(network, with_neighbors(volume, centers, self.context)) for centers in batches]
            probs.append(torch.cat(parts).movedim(0, 1))
        return torch.stack(probs)

    def smaller(self, network: object, sizes: Sequence[int]) -> Smaller | None:
        """Settings of the predictor that take less memory for images (*sizes); None = there are none."""
        inner: Any = self.predictor
        found: Smaller | None = inner.smaller(network, sizes[-2:]) if hasattr(inner, "smaller") else None
        return found

    def changed(self, **settings: Any) -> "SlicePredictor":
        """Return one whose predictor has other settings."""
        inner: Any = self.predictor
        return SlicePredictor(inner.changed(**settings), self.context, self.batch_size)


def with_neighbors(volume: Tensor, centers: Tensor, context: int) -> Tensor:
    """Collect slices (N, C * (2 k + 1), H, W) of a volume (C, D, H, W) around N centers."""
    offsets = torch.arange(-context, context + 1, device=volume.device)
    indices = (centers[:, None] + offsets).clamp(0, volume.shape[1] - 1)
    return volume[:, indices].movedim(0, 1).flatten(1, 2)


def to_size(probs: Tensor, size: Sequence[int]) -> Tensor:
    """Interpolate (B, C, *S) linearly to (B, C, *size), the inverse of resampling an image; the same size is kept."""
    if tuple(probs.shape[2:]) == tuple(size):
        return probs
    return interpolate(probs, size=tuple(size), mode=_LINEAR[probs.ndim - 2], align_corners=False)
