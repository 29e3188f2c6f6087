"""Receptive fields by interval arithmetic: which input pixels can reach an output pixel, along one axis."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Reach:
    """The input pixels that the positions of a map depend on, far from any border.

    Position q depends on the pixels from ``step * q + ends[q % n][0]`` to ``step * q + ends[q % n][1]``, n = number
    of ``ends``: after an up-sampling neighbors see different pixels, and the pattern repeats.

    Attributes:
        step: Input pixels between two positions.
        ends: First and last pixel of each position of a period, counted from the position's own.
    """

    step: int = 1
    ends: tuple[tuple[int, int], ...] = ((0, 0),)

    @property
    def width(self) -> int:
        """Pixels of the widest interval."""
        return max(last - first + 1 for first, last in self.ends)

    def convolve(self, width: int) -> "Reach":
        """Follow a convolution, an odd number of positions wide."""
        half = width // 2
        return self._gather(self.step, len(self.ends), lambda q: range(q - half, q + half + 1))

    def pool(self, factor: int = 2) -> "Reach":
        """Follow a pooling with stride and width ``factor``."""
        period = max(len(self.ends) // factor, 1)
        return self._gather(self.step * factor, period, lambda q: range(factor * q, factor * (q + 1)))

    def upsample(self, factor: int = 2, linear: bool = False) -> "Reach":
        """Follow an up-sampling by an even ``factor``; a linear one takes the two nearest positions, others one.

        By 1 nothing changes.
        """
        if factor == 1:
            return self

        def sources(q: int) -> range:
            first = (2 * q + 1 - factor) // (2 * factor) if linear else q // factor
            return range(first, first + 1 + linear)

        return self._gather(self.step // factor, len(self.ends) * factor, sources)

    def join(self, *others: "Reach") -> "Reach":
        """Unite with maps of the same step, as a sum or a concatenation does."""
        maps = (self, *others)
        return self._unite(self.step, max(len(one.ends) for one in maps), lambda q: (one._at(q) for one in maps))

    def _at(self, q: int) -> tuple[int, int]:
        first, last = self.ends[q % len(self.ends)]
        return self.step * q + first, self.step * q + last

    def _gather(self, step: int, period: int, sources: Callable[[int], range]) -> "Reach":
        return self._unite(step, period, lambda q: (self._at(p) for p in sources(q)))

    @staticmethod
    def _unite(step: int, period: int, spans: Callable[[int], Iterable[tuple[int, int]]]) -> "Reach":
        ends = []
        for q in range(period):
            firsts, lasts = zip(*spans(q), strict=True)
            ends.append((min(firsts) - step * q, max(lasts) - step * q))
        return Reach(step, tuple(ends))


def unet_receptive_field(kernels: Sequence[int], strides: Sequence[int], linear: bool) -> int:
    """Width in pixels of what a logit of a U-Net depends on along an axis.

    Args:
        kernels: Size of the double convolutions of each level, the finest first.
        strides: Factor of the pooling and up-sampling between each two of them.
        linear: Whether the up-sampling is linear.
    """
    skips = [Reach().convolve(kernels[0]).convolve(kernels[0])]
    for kernel, stride in zip(kernels[1:], strides, strict=True):
        skips.append(skips[-1].pool(stride).convolve(kernel).convolve(kernel))
    reach = skips.pop()
    for kernel, stride in zip(reversed(kernels[:-1]), reversed(strides), strict=True):
        reach = reach.upsample(stride, linear=linear).join(skips.pop()).convolve(kernel).convolve(kernel)
    return reach.width
