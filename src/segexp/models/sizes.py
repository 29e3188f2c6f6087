"""Sizes of maps: fitting one to another, padding an image and cropping its logits, unpadded convolutions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


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


def valid_margin(depth: int) -> int:
    """Pixels that the logits of a U-Net with unpadded convolutions lack on each side of each axis."""
    # 2 at the deepest level; each level above doubles what is lacking, and its own four convolutions take 4.
    return (6 << depth) - 4


def valid_output_size(size: Sequence[int], depth: int) -> tuple[int, ...]:
    """Size of a U-Net's logits under unpadded convolutions, per spatial axis.

    Raises:
        ValueError: A pooling would meet an odd size; names the nearest sizes that can be halved.
    """
    even = even_sizes(depth, "valid")
    for length in size:
        larger = even.at_least(length)
        if larger != length:
            smaller = larger - even.multiple_of
            fits = f"{smaller} or {larger}" if smaller >= even.least else str(larger)
            raise ValueError(
                f"size {tuple(size)}: with padding=valid and depth={depth} an axis of {length} pixels cannot be "
                f"halved evenly at every level; take {fits}, or model.padding=same"
            )
    return tuple(length - 2 * valid_margin(depth) for length in size)


def even_sizes(depth: int, padding: str) -> EvenSizes:
    """Sizes that the poolings of a U-Net halve evenly, if padded with two pixels or more in the deepest level."""
    step = 2**depth
    if padding == "same":
        return EvenSizes(2 * step, step)
    # Unpadded, each level loses 4 px before it is halved: sizes are 4 less than a multiple, and leave a pixel or more.
    return EvenSizes(EvenSizes(step - 4, step).at_least(2 * valid_margin(depth) + 1), step)
