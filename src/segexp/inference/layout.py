"""Where tiles lie on an image."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import torch
from torch import Tensor

Border = int | Literal["auto"]
Overlap = int | float
Source = tuple[slice, Tensor | None, Tensor | None]  # ``source``, ``mirrored`` and ``blank`` of a ``Span``
Sides = Sequence[int | None]  # of a tile, per axis; None = as large as the image needs
Ranges = tuple[slice, ...]  # px per axis


@dataclass(frozen=True)
class Span:
    """A tile along one axis, in px of the image.

    Attributes:
        source: Pixels to read for the tile's input.
        mirrored: Positions among them that the input consists of, where it reaches beyond the image (which is mirrored,
            the px at the edge not repeated, or whose edge is repeated); None = the pixels as they are.
        px: Pixels that the output covers.
        inside: Where in the output these are.
        earlier: Where the px end that earlier tiles cover.
        later: Where the px begin that later tiles cover.
        blank: Positions of the input that are 0 in place of what is mirrored; None = none.
    """

    source: slice
    mirrored: Tensor | None
    px: slice
    inside: slice
    earlier: int
    later: int
    blank: Tensor | None = None


Place = tuple[int, tuple[Span, ...]]  # sample, and the tile along each axis


@dataclass(frozen=True)
class Layout:
    """The tiles of images of one size.

    Attributes:
        sizes: Size of the image per axis.
        output: Size of a tile's output per axis.
        axes: Tiles along each axis, in their order.
    """

    sizes: tuple[int, ...]
    output: tuple[int, ...]
    axes: tuple[tuple[Span, ...], ...]

    @classmethod
    def plan(
        cls,
        sizes: Sequence[int],
        sides: Sides,
        overlap: Overlap | Sequence[Overlap],
        border: Border,
        margins: Sequence[int],
        padding_mode: str = "reflect",
    ) -> "Layout":
        """Plan the tiles for a network.

        Args:
            sizes: Size of the image per axis.
            sides: Sides of a tile's input.
            overlap: What a tile has in common with the next one, without a margin: a fraction of it below 1, or a whole
                number of px from 1 on; one for all axes or one per axis.
            border: Mirrored border in px, "auto" is half the overlap where a tile does not span the image, else 0;
                without a margin.
            margins: Pixels per axis that the network's output lacks on each side. With a margin tiles lie a whole
                output apart, and the image is mirrored by the margin.
            padding_mode: What lies beyond the image, a key of ``PADDING``.

        Raises:
            ValueError: A tile is not larger than its margins, or than the overlap.
        """
        output, axes = [], []
        overlaps = overlap if isinstance(overlap, Sequence) else [overlap] * len(sizes)
        for size, side, margin, shared in zip(sizes, sides, margins, overlaps, strict=True):
            beyond = int(_px_of(shared, side) / 2) if side is not None and side < size else 0
            if border != "auto":
                beyond = border
            if any(margins):
                beyond = 0
            tile = size + 2 * (beyond + margin) if side is None else side
            if tile <= 2 * margin:
                raise ValueError(
                    f"tile={tile} must be larger than twice the margin of the network, which loses {margin} px on each "
                    f"side: give a tile of more than {2 * margin} px"
                )
            step = tile - 2 * margin if any(margins) else _step(tile, shared, side)
            output.append(tile - 2 * margin)
            axes.append(_spans(size, tile, margin, beyond, step, padding_mode))
        return cls(tuple(sizes), tuple(output), tuple(axes))

    def places(self, samples: int) -> Iterator[Place]:
        """Go through the tiles of so many images, image after image, the first axis slowest."""
        return ((sample, spans) for sample in range(samples) for spans in product(*self.axes))

    def overlap(self, axis: int) -> int:
        """Most px of the image that a tile has in common with later ones along an axis."""
        overlaps: list[int] = [span.px.stop - span.later for span in self.axes[axis]]
        return max(overlaps)

    def cut(self, place: Place, read: Callable[[int, Ranges], Tensor]) -> Tensor:
        """Read a tile (C, *T) and mirror it where it reaches beyond the image.

        Args:
            place: Place of the tile.
            read: Called with the sample and the px per axis, returns these px (C, *t).
        """
        sample, spans = place
        tile = read(sample, tuple(span.source for span in spans))
        for dim, span in enumerate(spans, start=1):
            if span.mirrored is not None:
                tile = tile.index_select(dim, span.mirrored.to(tile.device))
            if span.blank is not None:
                tile = tile.index_fill(dim, span.blank.to(tile.device), 0)
        return tile


def _px_of(overlap: Overlap, side: int) -> float:
    """Px that a tile has in common with the next one."""
    return overlap if in_px(overlap) else overlap * side


def in_px(overlap: Overlap) -> bool:
    """Whether an overlap is a number of px, not a fraction."""
    return type(overlap) is int and overlap >= 1


def _step(tile: int, overlap: Overlap, side: int | None) -> int:
    """Px from one tile to the next."""
    if not in_px(overlap):
        return max(int(tile * (1 - overlap)), 1)
    if side is not None and overlap >= side:
        raise ValueError(
            f"overlap={overlap} px must be less than the side of the tile, {side} px, or a fraction below 1"
        )
    return max(int(tile - overlap), 1)


def _spans(size: int, tile: int, margin: int, border: int, step: int, padding_mode: str) -> tuple[Span, ...]:
    """Lay tiles ``step`` px apart over ``size`` px and a border on each side, the last one shifted inward."""
    output = tile - 2 * margin
    # The canvas is what the outputs of all tiles cover; the image is in its middle.
    canvas = max(size + 2 * border, output)
    count = math.ceil((canvas - output) / step) + 1
    before = (canvas - size) // 2
    # Outputs start there, counted from the image's px 0.
    starts = [min(index * step, canvas - output) - before for index in range(count)]
    covered = []
    for start in starts:
        low = min(max(start, 0), size)
        covered.append(slice(low, max(min(start + output, size), low)))
    spans = []
    # Each tile knows what its neighbors cover, so that overlaps can be added up tile by tile.
    for index, (start, px) in enumerate(zip(starts, covered, strict=True)):
        source, mirrored, blank = PADDING[padding_mode](start - margin, tile, size)
        inside = slice(px.start - start, px.stop - start)
        earlier = covered[index - 1].stop if index else 0
        later = covered[index + 1].start if index + 1 < count else size
        spans.append(Span(source, mirrored, px, inside, earlier, later, blank))
    return tuple(spans)


def _reflected(first: int, tile: int, size: int) -> Source:
    """Find the px of an image that an input of ``tile`` px from ``first`` on consists of, see ``Span``."""
    if first >= 0 and first + tile <= size:
        return slice(first, first + tile), None, None
    last = size - 1
    mirrored = last - (torch.arange(first, first + tile) % max(2 * last, 1) - last).abs()
    low = int(mirrored.min())
    return slice(low, int(mirrored.max()) + 1), mirrored - low, None


def _replicated(first: int, tile: int, size: int) -> Source:
    """As ``_reflected``, with the px at the edge repeated."""
    if first >= 0 and first + tile <= size:
        return slice(first, first + tile), None, None
    repeated = torch.arange(first, first + tile).clamp(0, size - 1)
    low = int(repeated.min())
    return slice(low, int(repeated.max()) + 1), repeated - low, None


def _constant(first: int, tile: int, size: int) -> Source:
    """As ``_reflected``, with 0 beyond the image."""
    source, repeated, _ = _replicated(first, tile, size)
    if repeated is None:
        return source, None, None
    positions = torch.arange(first, first + tile)
    return source, repeated, ((positions < 0) | (positions >= size)).nonzero().flatten()


PADDING: dict[str, Callable[[int, int, int], Source]] = {
    "reflect": _reflected,
    "replicate": _replicated,
    "constant": _constant,
}
