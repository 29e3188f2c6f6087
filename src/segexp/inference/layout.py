"""Where tiles lie on an image."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Border = int | Literal["auto"]
Sides = tuple[int | None, ...]  # of a tile, per axis; None = as large as the image needs
Place = tuple[int, ...]  # sample, then the first px of a tile per axis


@dataclass(frozen=True)
class Axis:
    """Where the tiles lie along one axis, in px. The canvas is what the outputs of all tiles cover.

    Attributes:
        size: Of the image.
        margin: What the output of the network lacks on each side of its input.
        output: Size of a tile's output.
        canvas: Size of the canvas; the image is in its middle.
        starts: First px of each tile's output on the canvas; its input begins there on the canvas grown by the margin.
    """

    size: int
    margin: int
    output: int
    canvas: int
    starts: tuple[int, ...]

    @classmethod
    def plan(cls, size: int, tile: int, margin: int, border: int, step: int) -> "Axis":
        """Lay tiles ``step`` px apart over ``size`` px and a border on each side, the last one shifted inward."""
        output = tile - 2 * margin
        canvas = max(size + 2 * border, output)
        count = math.ceil((canvas - output) / step) + 1
        starts = tuple(min(index * step, canvas - output) for index in range(count))
        return cls(size, margin, output, canvas, starts)

    @property
    def inside(self) -> slice:
        """The image on the canvas."""
        before = (self.canvas - self.size) // 2
        return slice(before, before + self.size)

    def mirrored(self, image: Tensor, dim: int) -> Tensor:
        """Mirror the image along ``dim`` to the canvas grown by the margin; the px at the edge is not repeated."""
        if self.canvas == self.size and self.margin == 0:
            return image
        last = self.size - 1
        first = -self.inside.start - self.margin
        positions = torch.arange(first, first + self.canvas + 2 * self.margin, device=image.device)
        return image.index_select(dim, last - (positions % max(2 * last, 1) - last).abs())


@dataclass(frozen=True)
class Layout:
    """The tiles of an image, one ``Axis`` per spatial axis."""

    axes: tuple[Axis, ...]

    @classmethod
    def of_same(cls, sizes: Sequence[int], sides: Sides, overlap: float, border: Border) -> "Layout":
        """Plan for a network whose output is as large as its input.

        Args:
            sizes: Of the image, per axis.
            sides: Of a tile.
            overlap: Share of a tile in common with the next one.
            border: In px; "auto" is half the overlap where a tile does not span the image, else 0.
        """
        axes = []
        for size, side in zip(sizes, sides, strict=True):
            half_overlap = int(overlap * side / 2) if side is not None and side < size else 0
            beyond = half_overlap if border == "auto" else border
            tile = size + 2 * beyond if side is None else side
            axes.append(Axis.plan(size, tile, 0, beyond, step=max(int(tile * (1 - overlap)), 1)))
        return cls(tuple(axes))

    @classmethod
    def of_valid(cls, sizes: Sequence[int], sides: Sides, margins: Sequence[int]) -> "Layout":
        """Plan for a network whose output lacks ``margins``: tiles a whole output apart, context instead of border."""
        axes = []
        for size, side, margin in zip(sizes, sides, margins, strict=True):
            tile = size + 2 * margin if side is None else side
            axes.append(Axis.plan(size, tile, margin, 0, step=tile - 2 * margin))
        return cls(tuple(axes))

    @property
    def tile(self) -> tuple[int, ...]:
        """Size of a tile's input."""
        return tuple(axis.output + 2 * axis.margin for axis in self.axes)

    @property
    def output(self) -> tuple[int, ...]:
        """Size of a tile's output."""
        return tuple(axis.output for axis in self.axes)

    @property
    def canvas(self) -> tuple[int, ...]:
        """Size of the canvas."""
        return tuple(axis.canvas for axis in self.axes)

    def places(self, samples: int) -> list[Place]:
        """List the tiles of so many images."""
        return list(itertools.product(range(samples), *(axis.starts for axis in self.axes)))

    def mirrored(self, image: Tensor) -> Tensor:
        """Mirror an image (B, C, *S) as far as its tiles reach."""
        for dim, axis in enumerate(self.axes, start=2):
            image = axis.mirrored(image, dim)
        return image

    def cropped(self, canvas: Tensor) -> Tensor:
        """Cut the image (B, K, *S) out of the canvas."""
        return canvas[:, :, *(axis.inside for axis in self.axes)].contiguous()


def region(place: Place, size: tuple[int, ...]) -> tuple[slice | int, ...]:
    """Index a tile (C, *size) in (B, C, *canvas)."""
    sample, *starts = place
    return (sample, slice(None), *(slice(start, start + side) for start, side in zip(starts, size, strict=True)))
