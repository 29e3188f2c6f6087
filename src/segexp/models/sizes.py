"""Sizes of maps: fitting one to another, padding an image and cropping its logits, unpadded convolutions."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch.nn.functional as F
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class EvenSizes:
    """Image sizes that every pooling halves evenly: ``least + k * multiple_of`` pixels per axis, k = 0, 1, ...

    Attributes:
        least: Number of pixels of the smallest one.
        multiple_of: Step to the next one; 0 = there is no other one.
    """

    least: int
    multiple_of: int

    @property
    def plus(self) -> int:
        """Number of pixels that they are more than a multiple."""
        return self.least % self.multiple_of if self.multiple_of else 0

    def at_least(self, size: int) -> int:
        """Smallest such size that is not below ``size``."""
        steps = max(0, -(-(size - self.least) // self.multiple_of)) if self.multiple_of else 0
        return self.least + steps * self.multiple_of


def center_crop_or_pad(x: Tensor, size: Sequence[int]) -> Tensor:
    """Crop or zero-pad the trailing axes of x (..., *S) about its center to ``size``."""
    current = x.shape[-len(size) :]
    if tuple(current) == tuple(size):
        return x
    pads: list[int] = []
    for have, want in zip(reversed(current), reversed(size), strict=True):
        before = (want - have) // 2 if want > have else -((have - want) // 2)
        pads += [before, want - have - before]
    return F.pad(x, pads)


def fit_to_first_skip(x: Tensor, *skips: Tensor) -> list[Tensor]:
    """Bring all maps to the size of the first skip connection."""
    size = skips[0].shape[2:]
    return [center_crop_or_pad(one, size) for one in (x, *skips)]


def crop_to_smallest(x: Tensor, *skips: Tensor) -> list[Tensor]:
    """Crop all maps to the smallest size, axis by axis."""
    size = [min(axis) for axis in zip(*(one.shape[2:] for one in (x, *skips)), strict=True)]
    return [center_crop_or_pad(one, size) for one in (x, *skips)]


ALIGNMENTS: dict[str, Callable[..., list[Tensor]]] = {"pad": fit_to_first_skip, "crop": crop_to_smallest}


def pad_end(image: Tensor, size: Sequence[int]) -> Tensor:
    """Repeat the last pixels of image (B, C, *S) until each spatial axis has at least ``size``."""
    missing = [max(0, want - have) for have, want in zip(image.shape[2:], size, strict=True)]
    if not any(missing):
        return image
    return F.pad(image, [pad for lack in reversed(missing) for pad in (0, lack)], mode="replicate")


def crop_end(x: Tensor, size: Sequence[int]) -> Tensor:
    """Undo ``pad_end``: keep the first ``size`` pixels of the spatial axes of x (B, C, *S)."""
    for axis, length in enumerate(size, start=2):
        x = x.narrow(axis, 0, length)
    return x


def valid_margin(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """Pixels that the logits of a U-Net with unpadded convolutions lack on each side of an axis.

    Args:
        kernels: Size of the double convolutions of each level, the finest first.
        strides: Factor of the pooling between each two of them.
    """
    *above, deepest = kernels
    margin = deepest - 1
    for kernel, stride in zip(reversed(above), reversed(strides), strict=True):
        margin = stride * margin + 2 * (kernel - 1)  # two convolutions on the way down, two on the way up
    return margin


def even_sizes(kernels: Sequence[int], strides: Sequence[int], padding: str) -> EvenSizes:
    """Sizes that the poolings of a U-Net divide evenly, with two pixels or more in the deepest level.

    Arguments as in ``valid_margin``; ``padding`` is "same" or "valid".
    """
    step = math.prod(strides)
    if padding == "same":
        return EvenSizes(2 * step, step)
    lost = 2 * (kernels[-1] - 1)  # what an image has more than its deepest map, times the step
    for kernel, stride in zip(reversed(kernels[:-1]), reversed(strides), strict=True):
        lost = stride * lost + 2 * (kernel - 1)
    enough = max(lost + 2 * step, 2 * valid_margin(kernels, strides) + 1)  # logits of a pixel or more
    return EvenSizes(EvenSizes(lost % step, step).at_least(enough), step)


def require_even(size: Sequence[int], even: Sequence[EvenSizes]) -> None:
    """Refuse an image that a U-Net with unpadded convolutions cannot pool evenly.

    Args:
        size: Pixels per spatial axis.
        even: Sizes that fit, per axis.

    Raises:
        ValueError: Names the nearest sizes that fit.
    """
    for length, fitting in zip(size, even, strict=True):
        larger = fitting.at_least(length)
        if larger != length:
            smaller = larger - fitting.multiple_of
            fits = f"{smaller} or {larger}" if smaller >= fitting.least else str(larger)
            raise ValueError(
                f"size {tuple(size)}: with padding=valid an axis of {length} pixels cannot be halved evenly at every "
                f"level; take {fits}, or model.padding=same"
            )


def along_axes(value: T | Sequence[T], axes: int) -> tuple[T, ...]:
    """What a network tells of its sizes, one value for all axes or one per axis, per axis."""
    return tuple(value) if isinstance(value, Sequence) else (value,) * axes


def shared(values: Sequence[T]) -> T | tuple[T, ...]:
    """One value where all axes have the same, else one per axis."""
    return values[0] if all(value == values[0] for value in values) else tuple(values)
