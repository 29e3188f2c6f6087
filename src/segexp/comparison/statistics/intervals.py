"""Intervals of means and of weighted sums of means, with the randomness of training in them where runs show it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segexp.comparison.statistics.roots import root
from segexp.comparison.statistics.scores import Array, Scores, shared
from segexp.comparison.statistics.variance import Part, case_part, fold_part, training_parts

LEAST_CASES, MOST_CASES = 8, 500  # bootstrapped; fewer give resamples without spread, more are normal enough
LEAST_P = 1e-16

Training = Literal["seeds", "folds", "settings", "unseen"]


@dataclass(frozen=True)
class Interval:
    """A value and how well it is known.

    Args:
        value: The value, in units of the score.
        low: Lower end; nan with fewer than two cases.
        high: Upper end.
        se: Standard error.
        p_value: Two-sided, of the hypothesis that the value is 0; agrees with the ends unless they are bootstrapped.
        level: Probability that such intervals cover the truth.
        cases: Number of cases.
        parts: Parts of the variance, the squared standard error.
        training: Where the randomness of training was seen: between "seeds", between "folds", between the "settings" of
            a sweep, or "unseen".
    """

    value: float
    low: float
    high: float
    se: float
    p_value: float
    level: float
    cases: int
    parts: tuple[Part, ...]
    training: Training

    def in_unit(self, unit: str) -> "Interval":
        """Let it not reach beyond what the score can be: of a "fraction" 0 to 1."""
        return replace(self, low=max(self.low, 0.0), high=min(self.high, 1.0)) if unit == "fraction" else self


def weighted_interval(
    tables: Sequence[Scores],
    weights: Sequence[float],
    level: float = 0.95,
    resamples: int = 0,
    seed: int = 0,
    between_runs: Part | None = None,
) -> Interval:
    """Weighted sum of the means of experiments, on the cases that all of them score.

    Args:
        tables: Scores, one table per experiment.
        weights: Weights, one per experiment; (-1, 1) is a difference.
        level: Probability that such intervals cover the truth.
        resamples: Number of resamples of the cases, within folds; 0 takes Student's t instead.
        seed: Seed of the resampling.
        between_runs: Variance of the mean of one run, used if no experiment has two runs of a fold.

    Source: Cochran & Cox 1957, section 4.14: the quantile of a sum of parts is the mean of their quantiles, weighted by
        their variances.
    """
    tables = shared(tables)
    weight = np.asarray(weights, dtype=float)
    values = weight @ np.stack([table.case_means for table in tables])
    if len(values) < 2:
        value = float(values.mean()) if len(values) else math.nan
        return Interval(value, math.nan, math.nan, math.nan, math.nan, level, len(values), (), "unseen")
    # Where experiments were folded in several ways, the fewest folds count.
    folded = [table for table in tables if table.fold_count > 1] or tables
    folds = np.unique(min(folded, key=lambda table: table.fold_count).folds, return_inverse=True)[1]
    # The standard error: parts of the variance that cases, runs and folds make.
    parts, training = _parts(tables, weight, values, folds, between_runs)
    se = math.sqrt(sum(part.variance for part in parts))
    # The quantiles of the sum of parts; the bootstrap gives those of the cases, which need not be symmetric.
    tail = (1 - level) / 2
    lower = upper = None
    if parts[0].source == "cases" and parts[0].variance:
        lower, upper = _bootstrap_t(values, folds, level, resamples, seed) or (None, None)
    below = _quantile(parts, tail, lower)
    above = _quantile(parts, 1 - tail, upper)
    value = float(values.mean())
    ends = (value - above * se, value - below * se)
    return Interval(value, *ends, se, _p_value(parts, value, se), level, len(values), tuple(parts), training)


def _parts(
    tables: Sequence[Scores], weights: Array, values: Array, folds: NDArray[np.intp], between_runs: Part | None
) -> tuple[list[Part], Training]:
    """Parts of the variance, that of the cases first."""
    fold_count = int(folds.max()) + 1
    runs = training_parts(tables, weights)
    training: Training = "unseen"
    if runs:
        training = "seeds"
    elif fold_count > 1:
        training = "folds"
    elif between_runs:
        training = "settings"
        runs = [replace(between_runs, variance=between_runs.variance * float((weights**2).sum()))]
    # Without replicates, or with one case per fold, the spread between folds holds cases and training together.
    if fold_count > 1 and (training == "folds" or len(values) == fold_count):
        return [fold_part(values, folds), *runs[1:]], training
    parts = [case_part(values, folds), *runs]
    # What folds vary beyond cases and runs comes from their training sets.
    if fold_count > 1:
        whole = fold_part(values, folds)
        parts.append(replace(whole, variance=max(0.0, whole.variance - parts[0].variance - parts[1].variance)))
    return parts, training


def _quantile(parts: Sequence[Part], fraction: float, first: float | None = None) -> float:
    """Quantile of the sum of parts in standard errors; ``first`` replaces that of the first part."""
    quantiles = [part.quantile(fraction) for part in parts]
    if first is not None:
        quantiles[0] = first
    total = sum(part.variance for part in parts)
    if not total:
        return quantiles[0]
    return sum(part.variance * quantile for part, quantile in zip(parts, quantiles, strict=True)) / total


def _p_value(parts: Sequence[Part], value: float, se: float) -> float:
    """Two-sided p-value at which the interval just ends at 0."""
    if not value:
        return 1.0
    if not se or _quantile(parts, LEAST_P / 2) * se > -abs(value):
        return LEAST_P
    return math.exp(
        root(lambda log: _quantile(parts, math.exp(log) / 2) * se + abs(value), math.log(LEAST_P), 0.0, tolerance=1e-6)
    )


def _bootstrap_t(
    values: Array, folds: NDArray[np.intp], level: float, resamples: int, seed: int
) -> tuple[float, float] | None:
    """Quantiles of the studentized mean over cases drawn with replacement within folds.

    Returns:
        None where the resamples do not serve: too few or many cases, or more than one in a hundred without spread.

    Source: Efron & Tibshirani 1993, chapter 12.
    """
    if not resamples or not LEAST_CASES <= len(values) <= MOST_CASES:
        return None
    # Differences to the mean of their fold, the cases of a fold side by side.
    order = np.argsort(folds, kind="stable")
    sizes = np.bincount(folds)
    centered = (values - (np.bincount(folds, values) / sizes)[folds])[order]
    # Mean and variance of each resample, from how often it draws each case.
    counts = _counts(tuple(int(size) for size in sizes), resamples, seed)
    sums = counts @ (centered[:, None] * np.eye(len(sizes))[folds[order]])
    within = counts @ centered**2 - (sums**2 / sizes).sum(1)
    variance = within / (len(values) - len(sizes)) / len(values)
    usable = variance > 1e-9 * float((centered**2).mean())
    if usable.mean() < 0.99:
        return None
    studentized = sums.sum(1)[usable] / len(values) / np.sqrt(variance[usable])
    low, high = np.quantile(studentized, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@lru_cache(maxsize=8)
def _counts(sizes: tuple[int, ...], resamples: int, seed: int) -> Array:
    """(resamples, cases) how often each case is drawn, cases of a fold side by side."""
    generator = np.random.default_rng(seed)
    starts = np.cumsum([0, *sizes[:-1]])
    draws = [
        start + generator.integers(size, size=(resamples, size)) for start, size in zip(starts, sizes, strict=True)
    ]
    cells = np.concatenate(draws, axis=1) + sum(sizes) * np.arange(resamples)[:, None]
    return np.bincount(cells.ravel(), minlength=resamples * sum(sizes)).reshape(resamples, -1).astype(float)
