"""Paired tests over cases, effect sizes, and the correction for many comparisons.

These tests ask about the trained networks at hand: training randomness, which all cases of a run share, is not in them.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from segexp.comparison.statistics.scores import Array

MOST_TABLED = 50  # cases without ties and zeros
EXACT = 14  # cases that differ; 2**14 sign flips are enumerated
FLIPS = 4999
MOST_FLIPPED = 1024  # cases; beyond, the flips are as good as normal


def signed_rank_p(differences: ArrayLike) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test.

    Zeros are ranked and then dropped (Pratt 1959). Exact by enumeration for up to 14 cases that differ, exact by the
    distribution of the rank sum for up to 50 without ties and zeros, else normal with correction for ties.

    Returns:
        1 if no case differs, nan without cases.

    Source: Wilcoxon 1945; Pratt 1959.
    """
    values = np.asarray(differences, dtype=float)
    moved = np.count_nonzero(values)
    ranks = mid_ranks(np.abs(values))
    if moved <= EXACT:
        return sign_flip_p(np.sign(values) * ranks)
    without_ties = moved == len(values) == len(np.unique(np.abs(values)))
    if without_ties and len(values) <= MOST_TABLED:
        return _tabled(float(ranks[values > 0].sum()), len(values))
    return _normal(ranks[values != 0], float(ranks[values > 0].sum()))


def mid_ranks(values: Array) -> Array:
    """Ranks from 1 on; equal values share the mean of theirs."""
    _, groups, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[groups], dtype=float)


def _tabled(of_positive: float, count: int) -> float:
    """Two-sided p-value of the sum of the ranks 1 to ``count`` of positive values, by all sums that signs can give."""
    highest = count * (count + 1) // 2
    ways = np.zeros(highest + 1)
    ways[0] = 1.0
    for rank in range(1, count + 1):
        ways[rank:] += ways[:-rank].copy()
    beyond = ways[: round(min(of_positive, highest - of_positive)) + 1].sum() / 2.0**count
    return float(min(1.0, 2 * beyond))


def _normal(ranks: Array, of_positive: float) -> float:
    """The same in the normal limit, for ranks that may be shared or lack those of zeros."""
    # Each rank counts or not, by a fair coin: the variance is a quarter of the sum of their squares.
    spread = math.sqrt(float((ranks**2).sum()) / 4)
    return float(2 * ndtr(-abs(of_positive - float(ranks.sum()) / 2) / spread))


def sign_flip_p(differences: ArrayLike, seed: int = 0) -> float:
    """Two-sided p-value of the paired permutation test: the mean under all flips of signs.

    Exact for up to 14 cases that differ; for up to 1,024 cases 4,999 drawn flips, the observed one counted among them
    (so p is at least 1/5000); beyond, the normal limit.

    Returns:
        1 if no case differs, nan without cases.

    Source: Fisher 1935; Phipson & Smyth 2010 (the added one).
    """
    values = np.asarray(differences, dtype=float)
    if not len(values):
        return math.nan
    values = values[values != 0]
    observed = abs(float(values.sum())) - 1e-9 * float(np.abs(values).sum())
    if len(values) <= EXACT:
        return float(np.mean(np.abs(_all_signs(len(values)) @ values) >= observed))
    if len(values) > MOST_FLIPPED:
        return float(2 * ndtr(-abs(float(values.sum())) / math.sqrt(float((values**2).sum()))))
    flipped = _drawn_signs(1 << (len(values) - 1).bit_length(), seed)[:, : len(values)] @ values
    return (1 + int(np.count_nonzero(np.abs(flipped) >= observed))) / (1 + FLIPS)


def rank_biserial(differences: ArrayLike) -> float:
    """Matched-pairs rank-biserial correlation: ranks in favor minus ranks against, as fractions; zeros favor neither.

    Returns:
        In [-1, 1]: 1 if all differences are positive, 0 if none is in favor or against; nan without cases.

    Source: Kerby 2014; zeros ranked as by Pratt 1959.
    """
    values = np.asarray(differences, dtype=float)
    ranks = mid_ranks(np.abs(values))
    return float((np.sign(values) * ranks).sum() / ranks.sum()) if len(values) else math.nan


def cohens_d_z(differences: ArrayLike) -> float:
    """Mean of the differences in their standard deviations (Cohen's d_z).

    Returns:
        0 if no case differs; nan with fewer than two cases or equal differences.

    Source: Cohen 1988, section 2.3.5.
    """
    values = np.asarray(differences, dtype=float)
    if len(values) and not values.any():
        return 0.0
    sd = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return float(values.mean()) / sd if sd > 1e-12 * float(np.abs(values).max(initial=0.0)) else math.nan


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values so that the chance of any false claim among them stays at the level.

    Args:
        p_values: P-values; nan for a comparison that could not be made; it stays nan and does not count.

    Source: Holm 1979.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]
    adjusted = np.full(len(p), math.nan)
    steps = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps * p[order]))
    return [float(value) for value in adjusted]


def holm_level(p_values: Sequence[float], place: int, level: float) -> float:
    """Largest p-value at one place that Holm's correction would take for a claim, the others being as they are.

    Args:
        p_values: P-values; nan for a comparison that could not be made.
        place: Place of the one that is asked about.
        level: Level of the family.
    """
    others = np.array([p for index, p in enumerate(p_values) if index != place and not math.isnan(p)])
    steps = np.arange(len(others) + 1, 1, -1)
    claimed = np.sort(others) <= level / steps
    # Those before the first that is not claimed; the one asked about comes after them.
    return level / (len(others) + 1 - int(np.argmin([*claimed, False])))


@lru_cache(maxsize=EXACT + 1)
def _all_signs(count: int) -> Array:
    """(2**count, count) every pattern of signs."""
    return np.where((np.arange(1 << count)[:, None] >> np.arange(count)) & 1, -1.0, 1.0)


@lru_cache(maxsize=2)
def _drawn_signs(count: int, seed: int) -> Array:
    """(flips, count) drawn signs."""
    return np.random.default_rng(seed).choice([-1.0, 1.0], size=(FLIPS, count))
