"""Summaries of experiments, comparisons of two, and what they say in words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from segexp.comparison.statistics.intervals import Interval, weighted_interval
from segexp.comparison.statistics.paired import (
    cohens_d_z,
    holm,
    holm_level,
    rank_biserial,
    sign_flip_p,
    signed_rank_p,
)
from segexp.comparison.statistics.power import FEW_SEEDS, Design, Reach, reach
from segexp.comparison.statistics.scores import Array, Scores, shared

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Summary:
    """Summary of one experiment, in units of the score.

    Args:
        interval: Mean over cases (each the mean over its seeds), and its interval.
        sd_cases: Standard deviation of the cases' means.
        sd_seeds: Standard deviation of the means of the replicates (one per seed, over all folds); nan with one.
        sd_folds: Standard deviation of the means of the folds (over all seeds); nan with one.
        runs: Number of runs.
        seeds: Number of replicates.
        folds: Number of folds.
    """

    interval: Interval
    sd_cases: float
    sd_seeds: float
    sd_folds: float
    runs: int
    seeds: int
    folds: int


@dataclass(frozen=True)
class Comparison:
    """Experiment B minus experiment A, in units of the score, on the cases that both score.

    Args:
        interval: Mean difference, its interval and p-value; training randomness is in it where runs show it.
        p_wilcoxon: Signed-rank test over cases, for the trained networks at hand.
        p_permutation: Sign-flip test over cases, for the trained networks at hand.
        rank_biserial: Effect size that goes with the ranks, in [-1, 1].
        d_z: Mean difference in standard deviations of the cases' differences.
        runs: Number of runs of A and of B.
        seeds: Number of replicates of A and of B.
        p_holm: ``interval.p_value`` after Holm's correction; the same if this is the only comparison.
        folds: Number of folds.
        family: Number of comparisons that were corrected for.
        level: Largest ``interval.p_value`` at which a difference is claimed.
    """

    interval: Interval
    p_wilcoxon: float
    p_permutation: float
    rank_biserial: float
    d_z: float
    runs: tuple[int, int]
    seeds: tuple[int, int]
    p_holm: float
    folds: int = 1
    family: int = 1
    level: float = 0.05

    @property
    def claimed(self) -> bool:
        """Whether there is a difference, between the trained networks at least."""
        return self.p_holm <= 1 - self.interval.level

    @cached_property
    def reach(self) -> Reach | None:
        """What the comparison could have shown, and what would settle it; None where there is no test."""
        if math.isnan(self.interval.p_value):
            return None
        design = Design(self.interval.cases, self.folds, self.seeds, self.interval.training)
        return reach(self.interval.parts, design, self.interval.value, self.level, self.claimed)


def summarize(table: Scores, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> Summary:
    """Summarize one experiment."""
    folds = [table.case_means[table.folds == fold].mean() for fold in np.unique(table.folds)]
    # Replicates that have scores in all folds.
    whole = [row for row in table.values if len(np.unique(table.folds[~np.isnan(row)])) == table.fold_count > 0]
    return Summary(
        weighted_interval([table], [1.0], level, resamples, seed),
        _sd(table.case_means),
        _sd(np.array([np.nanmean(row) for row in whole])),
        _sd(np.array(folds)),
        table.runs,
        len(table.values),
        len(folds),
    )


def compare(a: Scores, b: Scores) -> Comparison:
    """Compare experiment B with experiment A, paired by case; seeds are not paired."""
    interval = weighted_interval([a, b], [-1.0, 1.0])
    first, second = shared([a, b])
    differences = second.case_means - first.case_means
    return Comparison(
        interval,
        signed_rank_p(differences),
        sign_flip_p(differences),
        rank_biserial(differences),
        cohens_d_z(differences),
        (a.runs, b.runs),
        (len(a.values), len(b.values)),
        interval.p_value,
        min((table.fold_count for table in (first, second) if table.fold_count > 1), default=1),
        level=1 - interval.level,
    )


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Put Holm's correction over these comparisons into each of them."""
    p_values = [comparison.interval.p_value for comparison in comparisons]
    adjusted = holm(p_values)
    family = sum(not math.isnan(p) for p in adjusted)
    return [
        replace(item, p_holm=p, family=family, level=holm_level(p_values, place, 1 - item.interval.level))
        for place, (item, p) in enumerate(zip(comparisons, adjusted, strict=True))
    ]


def verdict(
    comparison: Comparison,
    names: tuple[str, str] = ("A", "B"),
    unit: str = "",
    scale: float = 1.0,
    higher_is_better: bool = True,
) -> str:
    """Say in one sentence which of two experiments is better, what could have shown, and what it takes to settle it.

    A difference is claimed where the corrected p-value is at most 1 - level: for a single comparison that is where the
    interval leaves out 0. One run per side tells two trained networks apart, not the methods that made them: then no
    experiment is called better.

    Args:
        comparison: Comparison B minus A.
        names: Names of A and B.
        unit: Unit of the difference, such as "Dice points" or "mm".
        scale: Factor from the score to the unit: 100 for points.
        higher_is_better: False for distances and errors.
    """
    found = comparison.interval
    cases = f"{found.cases} case{'' if found.cases == 1 else 's'}"
    if math.isnan(found.p_value):
        return f"{names[0]} and {names[1]} cannot be compared: they share {cases}, and 2 are needed"
    # A claim tells the distance, a positive number; else the difference keeps its sign.
    flip = math.copysign(1, found.value) if comparison.claimed else 1
    value, *ends = (scale * flip * number for number in (found.value, found.low, found.high))
    digits = _digits((max(ends) - min(ends)) / 2, value)
    shown = [f"{_number(number, digits)}" for number in (value, *sorted(ends))]
    shown[0] += unit and f" {unit}"
    said = _claim(comparison, names, shown[0], higher_is_better)
    said += f", {100 * found.level:g} % interval {shown[1]} to {shown[2]}, on {cases}"
    # What the interval leaves out.
    if comparison.family > 1:
        said += f"; p = {comparison.p_holm:.2g} after Holm's correction over {comparison.family} comparisons"
    if found.training == "unseen":
        said += "; one run per side: training randomness is not in the interval, another seed may reverse it"
    elif found.training == "folds":
        said += "; one seed: training randomness is judged from the spread between folds"
    elif 1 in comparison.seeds:
        said += "; one side has one seed: its training randomness is taken from the other's"
    return f"{said}; {_outlook(comparison, unit, scale, digits)}"


def _claim(comparison: Comparison, names: tuple[str, str], value: str, higher_is_better: bool) -> str:
    """Which of two is better, as far as the runs can tell, and by how much."""
    networks = comparison.interval.training == "unseen"
    if not comparison.claimed:
        between = " between these two networks" if networks else ""
        return f"no difference can be seen{between}: {names[1]} {MINUS} {names[0]} is {value}"
    best, other = (names[1], names[0]) if (comparison.interval.value > 0) == higher_is_better else names
    if networks:
        return f"on these cases the network of {best} does better than that of {other} by {value}"
    return f"{best} is better than {other} by {value}"


def _outlook(comparison: Comparison, unit: str, scale: float, digits: int) -> str:
    """What the comparison could have shown, and what it would take to settle it."""
    known = comparison.reach
    assert known is not None
    size = _number(scale * known.detectable, digits) + (unit and f" {unit}")
    level = "" if comparison.family == 1 else f" at level {known.level:.2g}"
    said = f"{size} would have shown with power 0.8{level}"
    if comparison.interval.training == "unseen":
        return f"{said}, between networks; {_of_methods(known, unit, scale, digits)}"
    if comparison.claimed or not comparison.interval.value:
        return said
    if comparison.interval.training == "folds":
        return f"{said}; what more would settle it one seed does not tell: train a second one"
    ways = {"seeds per side": known.seeds, "folds": known.folds, "cases": known.cases}
    asked = {what: count for what, count in ways.items() if what != "folds" or comparison.folds > 1}
    enough = [f"{count:,} {what}" for what, count in asked.items() if count is not None]
    vain = [what for what, count in asked.items() if count is None]
    if not enough:
        return f"{said}; a difference as estimated would not show by more {' or more '.join(vain)} alone"
    beside = f", and not by more {' or more '.join(vain)} alone" if vain else ""
    return f"{said}; a difference as estimated would show with {' or '.join(enough)}{beside}"


def _of_methods(known: Reach, unit: str, scale: float, digits: int) -> str:
    """What it takes to speak of methods where there is one run per side."""
    start = f"to speak of the methods, train {FEW_SEEDS} seeds or more per side"
    if known.tolerated_sd is None:
        return start
    if not known.tolerated_sd:
        return f"{start}, and more cases: these are too few for a difference as estimated, whatever the seeds do"
    sd = _number(scale * known.tolerated_sd, digits) + (unit and f" {unit}")
    return f"{start}, which shows a difference as estimated if means differ from seed to seed by an sd of {sd} at most"


def _sd(values: Array) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else math.nan


def _digits(half_width: float, value: float) -> int:
    """Decimals that show two digits of the half-width; three of the value if there is no width."""
    size, digits = (half_width, 2) if half_width > 0 else (abs(value), 3)
    return min(8, max(0, digits - 1 - math.floor(math.log10(size)))) if size > 0 else 1


def _number(value: float, digits: int) -> str:
    text = f"{abs(value):.{digits}f}"
    return (MINUS if value < 0 and float(text) else "") + text
