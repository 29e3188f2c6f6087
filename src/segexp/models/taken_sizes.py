"""Which image sizes a network takes, found by trying: a step between them, the least one, the margin of the output."""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from segexp.models.sizes import EvenSizes

BASES = (64, 128, 256)  # sizes that networks of common steps take
STEPS = (1, 2, 4, 8, 16, 32, 64)
Lack = Callable[[int], int | None]  # from the side of an image to the pixels that its output lacks; None = not taken


@dataclass(frozen=True)
class TakenSizes:
    """Sizes that a network takes.

    Attributes:
        margin: Number of pixels that its output lacks on each side of each axis.
        even_sizes: The sizes.
    """

    margin: int
    even_sizes: EvenSizes


def find_taken_sizes(lack: Lack) -> TakenSizes | None:
    """Find the sizes whose outputs all lack the same number of pixels.

    Args:
        lack: Function that tries a side, the same for all axes.

    Returns:
        The sizes, with the smallest step among ``STEPS`` that leads from one to the next; None where no step does.
    """
    found = _first(lack, BASES) or _first(lack, (side for base in BASES for side in range(base + 1, base + 64)))
    if found is None:
        return None
    side, lacking = found
    step = next((step for step in STEPS if all(lack(side + times * step) == lacking for times in (1, 3))), None)
    if step is None:
        return None
    smaller = range(side % step or step, side + 1, step)
    least = smaller[bisect_left(smaller, True, key=lambda one: lack(one) == lacking)]
    return TakenSizes(lacking // 2, EvenSizes(least, step))


def _first(lack: Lack, sides: Iterable[int]) -> tuple[int, int] | None:
    for side in sides:
        lacking = lack(side)
        if lacking is not None:
            return side, lacking
    return None
