"""Tiles that take less memory: fewer at once, then smaller ones."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from segexp.inference.layout import in_px

STEP = 32  # px whose multiples a network takes that does not tell its sizes


class Smaller(NamedTuple):
    """Settings of a predictor by name: as they were, and such that it takes less memory."""

    before: dict[str, Any]
    after: dict[str, Any]


def smaller_tiles(predictor: Any, network: object, sizes: Sequence[int]) -> Smaller | None:
    """Half the tiles at once; of a single one, half its longest side, in a size that the network takes.

    Args:
        predictor: Predictor with the settings ``batch_size``, ``tile`` and ``overlap``.
        network: Network, which may tell the sizes it takes by ``even_sizes``.
        sizes: Size of the image per spatial axis, which counts where the tile is None.

    Returns:
        What to change; None = the tile is as small as it can be.
    """
    if predictor.batch_size > 1:
        return Smaller({"batch_size": predictor.batch_size}, {"batch_size": predictor.batch_size // 2})
    given = list(sizes) if predictor.tile is None else predictor.tile
    tile = list(given) if isinstance(given, Sequence) else [given] * len(sizes)
    axis = max(range(len(tile)), key=lambda index: tile[index])
    side = _half(tile[axis], network, axis)
    overlap = predictor.overlap[axis] if isinstance(predictor.overlap, Sequence) else predictor.overlap
    if side >= tile[axis] or (in_px(overlap) and side <= overlap):
        return None
    tile[axis] = side
    return Smaller({"tile": predictor.tile}, {"tile": tile})


def _half(side: int, network: object, axis: int) -> int:
    even: Any = getattr(network, "even_sizes", None)
    if even is None:
        return max(STEP, -(-(side // 2) // STEP) * STEP)
    fitting = even[axis] if isinstance(even, Sequence) else even
    return int(fitting.at_least(side // 2))
