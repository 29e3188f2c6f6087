"""Blending the probabilities of overlapping tiles: windows and weighted means."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from segexp.inference.layout import Layout, Ranges, Span

MakeTensor = Callable[[tuple[int, ...]], Tensor]


def gaussian_window(sides: Sequence[int], sigma: float | Sequence[float] = 0.125) -> Tensor:
    """Gaussian window, ``sigma`` a fraction of each side, with a floor that keeps corners above 0."""
    window = torch.ones(())
    fractions = sigma if isinstance(sigma, Sequence) else [sigma] * len(sides)
    for side, fraction in zip(sides, fractions, strict=True):
        distance = torch.arange(side) - (side - 1) / 2
        window = window.unsqueeze(-1) * torch.exp(-(distance**2) / (2 * (side * fraction) ** 2))
    return window.clamp_min(1e-3)


def constant_window(sides: Sequence[int], sigma: object = None) -> Tensor:  # noqa: ARG001
    """Window of ones."""
    return torch.ones(tuple(sides))


WINDOWS: dict[str, Callable[..., Tensor]] = {"constant": constant_window, "gaussian": gaussian_window}


class Blend:
    """The weighted means of overlapping tiles; each px is final once no later tile covers it.

    Tiles come in the order of ``Layout.places``. Along each axis, the last one first, a tile adds to its sums what
    earlier ones left there, hands on the px that no later tile along this axis covers, and leaves the others. So
    overlaps alone are kept: with the next tile, with the next row of tiles and, of volumes, with the next layer.

    Args:
        layout: Where the tiles lie.
        blending: Key of ``WINDOWS``; where one tile covers the image, all its pixels weigh alike.
        device: Device where tiles are added up.
        make: Function that makes float32 tensors of a shape, on that device, for what is left along an axis; None =
            torch.empty.
        sigma: Of the Gaussian window, see ``gaussian_window``.
    """

    def __init__(
        self,
        layout: Layout,
        blending: str,
        device: torch.device,
        make: MakeTensor | None = None,
        sigma: float | Sequence[float] = 0.125,
    ) -> None:
        self.layout = layout
        single = all(len(axis) == 1 for axis in layout.axes)
        self.window = WINDOWS["constant" if single else blending](layout.output, sigma).to(device)
        self.make = make or self.window.new_empty
        self._left: dict[int, Tensor] = {}

    def means(self, spans: Sequence[Span], output: Tensor) -> tuple[Ranges, Tensor]:
        """Add a tile (K, *output), and return the px that are final with it and their means (K, *px)."""
        inside = tuple(span.inside for span in spans)
        weights = self.window[inside]
        sums = output.new_empty((len(output) + 1, *weights.shape))  # the last channel sums up the weights
        torch.mul(output[(slice(None), *inside)], weights, out=sums[:-1])
        sums[-1] = weights
        px, sums = self._final(spans, sums)
        return px, sums[:-1].div_(sums[-1:])

    def add(self, image: Tensor, spans: Sequence[Span], output: Tensor) -> None:
        """Add a tile (K, *output) to an image (K, *S), which becomes the means; weights alone are left for later."""
        px, inside = tuple(span.px for span in spans), tuple(span.inside for span in spans)
        image[(slice(None), *px)].addcmul_(output[(slice(None), *inside)], self.window[inside])
        px, weights = self._final(spans, self.window[inside][None].clone())
        image[(slice(None), *px)].div_(weights)

    def _final(self, spans: Sequence[Span], sums: Tensor) -> tuple[Ranges, Tensor]:
        """Add to sums (N, *px) what earlier tiles left there, and return those that no later tile covers."""
        px = [span.px for span in spans]
        for axis in reversed(range(len(spans))):
            dim, span = 1 + axis, spans[axis]
            size = sums.shape[dim]
            first = span.px.start
            if axis not in self._left and span.later < span.px.stop:
                layout = self.layout
                shape = (len(sums), *layout.output[:axis], layout.overlap(axis), *layout.sizes[axis + 1 :])
                self._left[axis] = self.make(shape)
            # In what is left, axes before this one count from the tile's first px, those after it from the image's.
            before = (slice(None), *(slice(0, side) for side in sums.shape[1:dim]))
            after = px[axis + 1 :]
            if span.earlier > first:
                shared = span.earlier - first
                sums.narrow(dim, 0, shared).add_(self._left[axis][(*before, slice(0, shared), *after)])
            final = span.later - first
            if final < size:
                self._left[axis][(*before, slice(0, size - final), *after)] = sums.narrow(dim, final, size - final)
            sums = sums.narrow(dim, 0, final)
            px[axis] = slice(first, span.later)
        return tuple(px), sums
