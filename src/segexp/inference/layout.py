"""Where tiles lie on an image."""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Literal

import torch
from torch import Tensor

Border = int | Literal["auto"]
Sides = tuple[int | None, ...]  # of a tile, per axis; None = as large as the image needs
Place = tuple[int, ...]  # sample, then the first px of a tile's output on the canvas, per axis
Ranges = tuple[slice, ...]  # px per axis


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
    def before(self) -> int:
        """Size of the canvas before the image."""
        return (self.canvas - self.size) // 2

    def source(self, start: int) -> tuple[slice, Tensor | None]:
        """Find a tile's input in the image.

        Args:
            start: First px of the tile's output on the canvas.

        Returns:
            The px to read, and where the tile reaches beyond the image, the positions among them that it consists of
            (the image mirrored, the px at the edge not repeated), else None.
        """
        first = start - self.before - self.margin
        stop = first + self.output + 2 * self.margin
        if first >= 0 and stop <= self.size:
            return slice(first, stop), None
        last = self.size - 1
        mirrored = last - (torch.arange(first, stop) % max(2 * last, 1) - last).abs()
        low, high = int(mirrored.min()), int(mirrored.max())
        return slice(low, high + 1), mirrored - low

    def covered(self, start: int) -> tuple[slice, slice]:
        """Return the px of the image that a tile's output covers, and where in the output they are."""
        first = start - self.before
        low = min(max(first, 0), self.size)
        high = max(min(first + self.output, self.size), low)
        return slice(low, high), slice(low - first, high - first)

    def between(self, start: int) -> tuple[int, int]:
        """Return where the px of the image end that tiles before this one cover, and where those of the next begin."""
        index = bisect_left(self.starts, start)
        before = self.covered(self.starts[index - 1])[0].stop if index else 0
        following = self.covered(self.starts[index + 1])[0].start if index + 1 < len(self.starts) else self.size
        return before, following

    @property
    def overlap(self) -> int:
        """Most px that a tile has in common with the next one."""
        return max((self.output - (after - start) for start, after in pairwise(self.starts)), default=0)


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
    def sizes(self) -> tuple[int, ...]:
        """Size of the image."""
        return tuple(axis.size for axis in self.axes)

    @property
    def single(self) -> bool:
        """Whether one tile covers the image."""
        return all(len(axis.starts) == 1 for axis in self.axes)

    def count(self, samples: int) -> int:
        """Count the tiles of so many images."""
        return samples * math.prod(len(axis.starts) for axis in self.axes)

    def places(self, samples: int) -> Iterator[Place]:
        """Go through the tiles of so many images, image after image, the first axis slowest."""
        return product(range(samples), *(axis.starts for axis in self.axes))

    def cut(self, place: Place, read: Callable[[int, Ranges], Tensor]) -> Tensor:
        """Read a tile (C, *T) and mirror it where it reaches beyond the image.

        Args:
            place: Of the tile.
            read: Called with the sample and the px per axis, returns these px (C, *t).
        """
        sources = [axis.source(start) for axis, start in zip(self.axes, place[1:], strict=True)]
        tile = read(place[0], tuple(px for px, _ in sources))
        for dim, (_, positions) in enumerate(sources, start=1):
            if positions is not None:
                tile = tile.index_select(dim, positions.to(tile.device))
        return tile

    def covered(self, place: Place) -> tuple[Ranges, Ranges]:
        """Return the px of the image that a tile's output covers, and where in the output they are, per axis."""
        pairs = [axis.covered(start) for axis, start in zip(self.axes, place[1:], strict=True)]
        return tuple(px for px, _ in pairs), tuple(part for _, part in pairs)
