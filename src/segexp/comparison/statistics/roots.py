"""Where a function crosses zero; scipy.optimize has it, but takes longer to load than most comparisons to compute."""

from collections.abc import Callable

MOST_STEPS = 200


def root(function: Callable[[float], float], low: float, high: float, tolerance: float, relative: float = 0.0) -> float:
    """Find a zero of a continuous function between two points where its signs differ.

    Regula falsi that halves the value of a bound which stays twice (Illinois), and a bisection where that goes slowly.

    Args:
        function: Function.
        low: Lower bound.
        high: Upper bound.
        tolerance: Width of the interval around the zero at which it ends.
        relative: The same as a fraction of the zero.

    Raises:
        ValueError: The signs at the bounds do not differ.

    Source: Dowell & Jarratt 1971 (BIT 11:168-174).
    """
    at_low, at_high = function(low), function(high)
    if at_low == 0 or at_high == 0:
        return low if at_low == 0 else high
    if (at_low > 0) == (at_high > 0):
        raise ValueError(f"the function is {at_low} at {low} and {at_high} at {high}: it must cross zero between them")
    stayed = 0  # -1 and 1: the lower or upper bound has stayed in the last step
    for step in range(MOST_STEPS):
        if high - low <= tolerance + relative * min(abs(low), abs(high)):
            break
        width = at_high - at_low
        middle = (low + high) / 2
        # Every third step halves the interval, whatever the function does.
        guess = middle if step % 3 == 2 else low - at_low * (high - low) / width
        at_guess = function(guess)
        if at_guess == 0:
            return guess
        if (at_guess > 0) == (at_high > 0):
            high, at_high = guess, at_guess
            at_low = at_low / 2 if stayed == -1 else at_low
            stayed = -1
        else:
            low, at_low = guess, at_guess
            at_high = at_high / 2 if stayed == 1 else at_high
            stayed = 1
    return (low + high) / 2
