"""Putting the probabilities of tiles together again: windows and weighted means."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import torch
from torch import Tensor

from segexp.inference.layout import Layout, Place

Tile = tuple[Place, Tensor]  # with its output (K, *output)
Rows = tuple[int, int, int, Tensor]  # sample, first row, row after the last one, probabilities (K, rows, *S[1:])


def constant_window(sides: Sequence[int]) -> Tensor:
    """Weigh all pixels of a tile alike."""
    return torch.ones(tuple(sides))


def gaussian_window(sides: Sequence[int]) -> Tensor:
    """Weigh the middle of a tile most: a bell with sigma = side / 8 and a floor that keeps corners above 0."""
    window = torch.ones(())
    for side in sides:
        distance = torch.arange(side) - (side - 1) / 2
        window = window.unsqueeze(-1) * torch.exp(-(distance**2) / (2 * (side / 8) ** 2))
    return window.clamp_min(1e-3)


WINDOWS = {"constant": constant_window, "gaussian": gaussian_window}


class Blend:
    """The weighted means of overlapping tiles, of which only the open rows are kept.

    A row is what lies at one px along the first spatial axis. It is open from the first tile that covers it to the
    last one; no more rows are open at a time than a tile is deep.

    Args:
        layout: Where the tiles lie.
        window: (*output) weights of the pixels of a tile, on the device where tiles are added up.
        samples: With a number, the means of so many images are kept whole, in ``sums``; 0 keeps the open rows alone.

    Attributes:
        sums: (samples, K, *S) or (1, K, open rows, *S[1:]) float32; None until the first tile tells K.
    """

    def __init__(self, layout: Layout, window: Tensor, samples: int = 0) -> None:
        self.layout, self.window, self.samples = layout, window, samples
        rows, *rest = layout.sizes
        self.depth = min(rows, layout.output[0])
        self.first = 0
        self.sums: Tensor | None = None
        self.weights = window.new_zeros((self.depth, *rest))

    def rows(self, tiles: Iterable[Tile]) -> Iterator[Rows]:
        """Add tiles in the order of ``Layout.places`` and yield the rows that no later tile covers, in order.

        With ``samples`` the rows are views of ``sums``.
        """
        settled = self.layout.axes[0].settled()
        current = 0
        for (sample, start), row in groupby(tiles, key=lambda tile: tile[0][:2]):
            if sample != current:
                current, self.first = sample, 0
            for place, output in row:
                self._add(place, output)
            stop = settled[start]
            if stop > self.first:
                yield sample, self.first, stop, self._close(sample, stop)
            self.first = stop

    def _add(self, place: Place, output: Tensor) -> None:
        """Add the part of a tile's output (K, *output) that lies on the image."""
        px, part = self.layout.covered(place)
        if self.sums is None:
            self.sums = self._zeros(len(output))
        open_px = (slice(px[0].start - self.first, px[0].stop - self.first), *px[1:])
        sums = self.sums[place[0]][(slice(None), *px)] if self.samples else self.sums[0][(slice(None), *open_px)]
        weights = self.window[part]
        sums.addcmul_(output[(slice(None), *part)], weights)
        self.weights[open_px] += weights

    def _zeros(self, channels: int) -> Tensor:
        rows, *rest = self.layout.sizes
        shape = (self.samples, channels, rows, *rest) if self.samples else (1, channels, self.depth, *rest)
        return self.window.new_zeros(shape)

    def _close(self, sample: int, stop: int) -> Tensor:
        """Divide the open rows before ``stop`` by their weights."""
        assert self.sums is not None, "a tile comes first"
        count = stop - self.first
        weights = self.weights[:count]
        if self.samples:
            means = self.sums[sample, :, self.first : stop].div_(weights)
        else:
            means = self.sums[0, :, :count] / weights
            _move_up(self.sums, 2, count)
        _move_up(self.weights, 0, count)
        return means


def _move_up(rows: Tensor, dim: int, count: int) -> None:
    """Drop the first rows along ``dim`` and append as many of zeros."""
    kept = rows.shape[dim] - count
    rows.narrow(dim, 0, kept).copy_(rows.narrow(dim, count, kept).clone())
    rows.narrow(dim, kept, count).zero_()
