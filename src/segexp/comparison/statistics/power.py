"""What a comparison could have shown, and how many seeds, folds or cases more would settle it.

Variances are estimates, often from a few runs. The power here is that of a repetition of the comparison, averaged over
what the true variances may be: a chi-squared draw for each part. A difference that is stated from the data at hand is
then found with that power; with the estimates taken for the truth, it would be found too seldom.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr, stdtrit

from segexp.comparison.statistics.intervals import Training
from segexp.comparison.statistics.roots import root
from segexp.comparison.statistics.scores import Array
from segexp.comparison.statistics.variance import Part

POWER = 0.8
DRAWS = 1000
TINY = 1e-300  # in place of a variance of 0
FEW_SEEDS = 3  # per side, that are advised where there is one
MOST_SEEDS, MOST_FOLDS, MOST_CASES = 100, 100, 100_000  # beyond, more of it alone is no advice


@dataclass(frozen=True)
class Design:
    """What a comparison was made of.

    Args:
        cases: Number of cases that both sides score.
        folds: Number of folds.
        seeds: Number of replicates of either side.
        training: Where the randomness of training was seen, see `Interval`.
    """

    cases: int
    folds: int
    seeds: tuple[int, int]
    training: Training


@dataclass(frozen=True)
class Reach:
    """What a comparison can show, in units of the score.

    Args:
        level: Level of its test, after Holm's correction.
        detectable: Smallest difference that such a comparison shows with a power of 0.8.
        seeds: Number of seeds per side with which the difference at hand, if it is as estimated, would show with that
            power, all else equal; None = not known, or none up to 100.
        folds: The same of folds; None also without folds.
        cases: The same of cases, up to 100,000.
        tolerated_sd: With one run per side: standard deviation between seeds of a mean, up to which three seeds per
            side would show the difference at hand; 0 = these cases are too few even without any. None with more runs,
            or without a difference.
    """

    level: float
    detectable: float
    seeds: int | None = None
    folds: int | None = None
    cases: int | None = None
    tolerated_sd: float | None = None


def reach(parts: Sequence[Part], design: Design, difference: float, level: float, settled: bool) -> Reach:
    """Find what a comparison could have shown, and what would settle it.

    Args:
        parts: Parts of the variance of the difference.
        design: What the comparison was made of.
        difference: Difference as it was estimated.
        level: Level of the test.
        settled: Whether the test has claimed a difference; nothing more is then needed.
    """
    found = Reach(level, detectable(parts, level))
    size = abs(difference)
    if design.training == "unseen" and size:
        found = replace(found, tolerated_sd=_tolerated_sd(parts, size, level))
    # One seed in folds has the cases, the training sets and the seeds in one spread: what more of one would do, it does
    # not tell.
    if settled or not size or design.training == "folds":
        return found

    def fewest(more: Callable[[int], list[Part]], now: int, most: int) -> int | None:
        return _fewest(lambda count: power(parts, more(count), size, level) >= POWER, now + 1, most)

    seeds, folds = min(design.seeds), design.folds
    seen = design.training == "seeds"
    return replace(
        found,
        seeds=fewest(lambda count: with_seeds(parts, design, count), seeds, MOST_SEEDS) if seen else None,
        folds=fewest(lambda count: with_folds(parts, folds, count), folds, min(MOST_FOLDS, design.cases // 2))
        if folds > 1
        else None,
        cases=fewest(lambda count: with_cases(parts, design, count), design.cases, MOST_CASES),
    )


def detectable(parts: Sequence[Part], level: float, goal: float = POWER) -> float:
    """Smallest difference that a comparison with these parts of the variance shows with a power of ``goal``."""
    total = math.sqrt(sum(part.variance for part in parts))
    if not total:
        return 0.0
    errors = _errors(parts, parts, level)
    highest = 4 * total
    while _shown(errors, highest) < goal:
        highest *= 2
    return root(lambda size: _shown(errors, size) - goal, 0.0, highest, tolerance=0.0, relative=1e-3)


def power(known: Sequence[Part], repeated: Sequence[Part], size: float, level: float) -> float:
    """Probability that a comparison claims a difference of this size.

    Args:
        known: Parts of the variance as they were estimated; one of infinite degrees of freedom is the truth.
        repeated: The same parts of the comparison that is asked about, which may have other runs, folds or cases.
        size: True difference, 0 or more.
        level: Level of its test.
    """
    return _shown(_errors(known, repeated, level), size)


def _errors(known: Sequence[Part], repeated: Sequence[Part], level: float) -> tuple[Array, Array]:
    """Draw true standard errors of a repetition, and the half-widths of the intervals that it would find."""
    generator = np.random.default_rng(0)
    before, after = (np.array([part.df for part in parts]) for parts in (known, repeated))
    variances = np.array([part.variance for part in repeated])
    # Fiducial draws of the true variances, and what the repetition then estimates of them.
    finite = np.where(np.isinf(before), 1.0, before)
    drawn = generator.chisquare(finite, (DRAWS, len(finite))) / finite
    true = variances / np.where(np.isinf(before), 1.0, drawn)
    estimated = true * generator.chisquare(after, (DRAWS, len(after))) / after
    total = np.maximum(estimated.sum(1), TINY)
    return np.sqrt(np.maximum(true.sum(1), TINY)), estimated @ stdtrit(after, 1 - level / 2) / np.sqrt(total)


def _shown(errors: tuple[Array, Array], size: float) -> float:
    """Fraction of repetitions whose interval leaves out 0."""
    se, half_width = errors
    return float(np.mean(ndtr((size - half_width) / se) + ndtr((-size - half_width) / se)))


def with_seeds(parts: Sequence[Part], design: Design, seeds: int) -> list[Part]:
    """Parts of the variance if each side had at least so many seeds."""
    now, then = design.seeds, [max(seeds, count) for count in design.seeds]
    fewer = sum(1 / count for count in then) / sum(1 / count for count in now)
    more = (sum(then) - 2) / max(sum(now) - 2, 1)
    return _scaled(parts, ("runs", "seeds"), fewer, more)


def with_folds(parts: Sequence[Part], now: int, folds: int) -> list[Part]:
    """Parts of the variance if the same cases were in so many folds."""
    return [
        replace(part, variance=part.variance * now / folds, df=part.df * (folds - 1) / (now - 1))
        if part.source == "folds"
        else part
        for part in _scaled(parts, ("runs",), now / folds, folds / now)
    ]


def with_cases(parts: Sequence[Part], design: Design, cases: int) -> list[Part]:
    """Parts of the variance if there were so many cases."""
    more = (cases - design.folds) / max(design.cases - design.folds, 1)
    return _scaled(parts, ("cases",), design.cases / cases, more)


def _scaled(parts: Sequence[Part], sources: Sequence[str], variance: float, df: float) -> list[Part]:
    """Parts of which those of some sources have a multiple of their variance and degrees of freedom."""
    return [
        replace(part, variance=part.variance * variance, df=part.df * df) if part.source in sources else part
        for part in parts
    ]


def _fewest(enough: Callable[[int], bool], least: int, most: int) -> int | None:
    """Smallest number from ``least`` to ``most`` that is enough; None if none is."""
    if not enough(most):
        return None
    low, high = least - 1, least
    while high < most and not enough(high):
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _tolerated_sd(parts: Sequence[Part], size: float, level: float) -> float:
    """Standard deviation between the means of seeds up to which three of them per side show a difference."""

    def shown(sd: float) -> float:
        training = Part(2 * sd**2 / FEW_SEEDS, math.inf, "runs")
        seen = replace(training, df=2.0 * (FEW_SEEDS - 1))
        return power([*parts, training], [*parts, seen], size, level)

    if shown(0.0) < POWER:
        return 0.0
    return root(lambda sd: shown(sd) - POWER, 0.0, 2 * size, tolerance=0.0, relative=1e-2)
