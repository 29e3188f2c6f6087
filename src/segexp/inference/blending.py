"""Putting the probabilities of tiles together again: windows and weighted means."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from segexp.inference.layout import Layout, Place, Ranges

Tile = tuple[Place, Tensor]  # with its output (K, *output)
Room = Callable[[tuple[int, ...]], Tensor]
Part = tuple[int, Ranges, Tensor]  # sample, px per axis, probabilities of these (K, *px)


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
    """The weighted means of overlapping tiles; each px is handed out once no later tile covers it.

    Tiles come in the order of ``Layout.places``. Along each axis, the last one first, a tile adds to its sums what
    earlier ones left there, hands on the px that no later tile along this axis covers, and leaves the others. So
    overlaps alone are kept: with the next tile, with the next row of tiles and, of volumes, with the next layer.

    Args:
        layout: Where the tiles lie.
        window: (*output) weights of the pixels of a tile, on the device where tiles are added up.
        room: Makes float32 tensors of a shape, on that device, for what is left along an axis; torch.empty without.
    """

    def __init__(self, layout: Layout, window: Tensor, room: Room | None = None) -> None:
        self.layout, self.window = layout, window
        self.room = room or window.new_empty
        self._left: dict[int, Tensor] = {}

    def parts(self, tiles: Iterable[Tile]) -> Iterator[Part]:
        """Yield the means of each px of the images once, a part of at most a tile's size at a time."""
        for place, output in tiles:
            px, inside = self.layout.covered(place)
            weights = self.window[inside]
            sums = output.new_empty((len(output) + 1, *weights.shape))  # the last channel sums up the weights
            torch.mul(output[(slice(None), *inside)], weights, out=sums[:-1])
            sums[-1] = weights
            del output  # a view of its whole batch
            px, sums = self._settled(place, px, sums)
            if sums.numel():
                yield place[0], px, sums[:-1].div_(sums[-1:])
            del sums  # before the next batch needs the memory

    def whole(self, tiles: Iterable[Tile], samples: int) -> Tensor:
        """Return the means of so many images (samples, K, *S). Sums lie in the result, weights alone are left."""
        means = torch.empty(0)
        for place, output in tiles:
            if not means.numel():
                means = output.new_zeros((samples, len(output), *self.layout.sizes))
            image, (px, inside) = means[place[0]], self.layout.covered(place)
            image[(slice(None), *px)].addcmul_(output[(slice(None), *inside)], self.window[inside])
            del output
            px, weights = self._settled(place, px, self.window[inside][None].clone())
            image[(slice(None), *px)].div_(weights)
        return means

    def _settled(self, place: Place, px: Ranges, sums: Tensor) -> tuple[Ranges, Tensor]:
        """Add to sums (N, *px) what earlier tiles left there, and return those that no later tile covers."""
        for axis in reversed(range(len(px))):
            px, sums = self._passed(axis, place[1 + axis], px, sums)
        return px, sums

    def _passed(self, axis: int, start: int, px: Ranges, sums: Tensor) -> tuple[Ranges, Tensor]:
        """Pass sums (N, *px) along an axis: add what was left, leave what later tiles cover."""
        first, last = px[axis].start, px[axis].stop
        before, stop = self.layout.axes[axis].between(start)
        left = self._left_of(axis, sums)
        # Axes before this one count from the tile's first px, those after it from that of the image.
        here = (slice(None), *(slice(0, size) for size in sums.shape[1 : 1 + axis]))
        if before > first:
            sums.narrow(1 + axis, 0, before - first).add_(left[(*here, slice(0, before - first), *px[axis + 1 :])])
        if last > stop:
            left[(*here, slice(0, last - stop), *px[axis + 1 :])] = sums.narrow(1 + axis, stop - first, last - stop)
        return (*px[:axis], slice(first, stop), *px[axis + 1 :]), sums.narrow(1 + axis, 0, stop - first)

    def _left_of(self, axis: int, sums: Tensor) -> Tensor:
        """Room for what is left along an axis, made once the first tile tells how many sums there are."""
        if axis not in self._left:
            layout = self.layout
            shape = (*layout.output[:axis], layout.axes[axis].overlap, *layout.sizes[axis + 1 :])
            self._left[axis] = self.room((len(sums), *shape))
        return self._left[axis]
