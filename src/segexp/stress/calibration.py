"""The strength at which a corruption reaches a declared measure."""

import math
from collections.abc import Callable, Sequence

EVALUATIONS = 16  # at most, per target


def calibrated(
    measure: Callable[[float], float], targets: Sequence[float], highest: float, tolerance: float
) -> list[tuple[float, float]]:
    """Search the strengths at which a measure that falls with the strength comes down to targets.

    Args:
        measure: Function of the strength.
        targets: Values to reach, the highest (weakest corruption) first.
        highest: Strength beyond which nothing is tried.
        tolerance: Distance from the target at which the search ends.

    Returns:
        Strength and measure per target: the highest strength where the measure stays above the target.
    """
    known = {0.0: math.inf, highest: measure(highest)}
    return [_search(measure, target, known, tolerance) for target in targets]


def _search(
    measure: Callable[[float], float], target: float, known: dict[float, float], tolerance: float
) -> tuple[float, float]:
    """Halve the interval, in logarithms, between a strength that is too weak and the next one that is too strong.

    Where both ends have a measure the step is that of regula falsi. All that is measured helps with the next target.
    """
    strengths = sorted(known)
    strong = next((strength for strength in strengths if known[strength] <= target), None)
    if strong is None:
        return strengths[-1], known[strengths[-1]]
    weak = strengths[strengths.index(strong) - 1]
    for turn in range(EVALUATIONS):
        tried = _between(weak, strong, known, target, turn)
        value = known[tried] = measure(tried)
        if abs(value - target) <= tolerance:
            break
        if value > target:
            weak = tried
        else:
            strong = tried
    nearest = min((one for one in known if one > 0), key=lambda strength: (abs(known[strength] - target), strength))
    return nearest, known[nearest]


def _between(weak: float, strong: float, known: dict[float, float], target: float, turn: int) -> float:
    """Strength to try next."""
    if weak == 0:
        return strong / 8
    low, high = math.log(weak), math.log(strong)
    above, below = known[weak] - target, known[strong] - target
    if math.isinf(above) or turn % 3 == 2:  # every third step halves: no end may stay for ever
        return math.exp((low + high) / 2)
    part = above / (above - below)
    return math.exp(low + min(max(part, 0.05), 0.95) * (high - low))
