"""A score against the number of training cases: the power law a - b n^-c, and how far it can be believed.

Intervals are profile likelihoods, because the law is far from linear in c and its parameters have bounds: a value
belongs to the interval where some law that has it fits nearly as well as the best one.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, least_squares
from scipy.special import fdtri, stdtrit

from segexp.comparison.statistics.scores import Array, Scores, shared
from segexp.comparison.statistics.variance import Part, case_part

LEAST_SIZES = 4  # three parameters, and one to see whether they fit
LEAST_RANGE = 4.0  # largest number of training cases in smallest ones
EXPONENTS = np.geomspace(0.05, 3.0, 160)
LEAST_DF = 2  # degrees of freedom that tell noise from trend
CHANCE = 0.05


@dataclass(frozen=True)
class Estimate:
    """A value and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Points:
    """What was measured, in a score of which more is better.

    Args:
        sizes: (k,) numbers of training cases, ascending.
        means: (k,) mean scores.
        runs: (k,) number of replicates of each.
        variance: Variance of the mean of one replicate around the law.
        df: Its degrees of freedom.
        case_means: (k, cases) mean over the replicates of each case.
        folds: (cases,) fold of each case.
        bound: Best value that the score can have; inf = none.
    """

    sizes: Array
    means: Array
    runs: Array
    variance: float
    df: float
    case_means: Array
    folds: np.ndarray
    bound: float

    def loss(self, predicted: Array) -> Array:
        """Squared distances (…) of laws (…, k) from the means, each weighed by its runs."""
        squares: Array = ((self.means - predicted) ** 2 * self.runs).sum(-1)
        return squares


@dataclass(frozen=True)
class PowerLaw:
    """Score a - b n^-c of a training with n cases, a at most the best value, b at least 0.

    Args:
        a: Score that endless cases lead to.
        b: What a training with a single case lacks of it.
        c: How fast that shrinks; 0.05 to 3.
        points: Points that it was fitted to.
    """

    a: float
    b: float
    c: float
    points: Points

    def at(self, cases: float) -> float:
        """Score of a training with so many cases."""
        return float(self.a - self.b * cases**-self.c)

    def score(self, cases: float) -> Estimate:
        """Score of a training with so many cases; of inf cases, a."""
        return self._estimate(self.at(cases), _fixed_score(self.points, cases), self._weights(cases))

    def gain(self, before: float, after: float) -> Estimate:
        """What a training with ``after`` cases scores beyond one with ``before``."""
        weights = self._weights(after) - self._weights(before)
        found = self._estimate(self.at(after) - self.at(before), _fixed_gain(self.points, before, after), weights)
        return Estimate(found.value, max(found.low, 0.0), found.high)

    def exponent(self) -> Estimate:
        """The exponent c; an end at 0.05 or 3 is that of the search."""
        losses = np.array([self.points.loss(_best(self.points, c)) for c in EXPONENTS])
        inside = EXPONENTS[losses <= self._worst_loss()]
        return Estimate(self.c, min(self.c, *inside), max(self.c, *inside))

    def _worst_loss(self) -> float:
        """Squared distance up to which a law belongs to the interval."""
        least = float(self.points.loss(self.a - self.b * self.points.sizes**-self.c))
        return least + self.points.variance * float(fdtri(1, self.points.df, 1 - CHANCE))

    def _estimate(self, value: float, loss: Callable[[float], float], weights: Array) -> Estimate:
        """Interval of a value of the law: of its profile, and of the draw of cases, which all sizes share."""
        worst, part = self._worst_loss(), self._case_part(weights)
        cases = float(stdtrit(part.df, 1 - CHANCE / 2)) * math.sqrt(part.variance)
        step = max(abs(value), 1.0) * 1e-3
        low, high = (_end(value, sign * step, loss, worst) for sign in (-1, 1))
        bound = self.points.bound
        return Estimate(
            value, value - math.hypot(value - low, cases), min(value + math.hypot(high - value, cases), bound)
        )

    def _case_part(self, weights: Array) -> Part:
        return case_part(weights @ self.points.case_means, self.points.folds)

    def _weights(self, cases: float) -> Array:
        """How much the mean of each size counts in the score at another one; the exponent is taken for known."""
        powers, then = self.points.sizes**-self.c, cases**-self.c
        runs = self.points.runs
        if self.a >= self.points.bound - 1e-9:  # a is not free
            weights: Array = then * runs * powers / (runs * powers**2).sum()
            return weights
        design = np.stack([np.ones_like(powers), -powers], axis=1)
        solved: Array = np.array([1.0, -then]) @ np.linalg.solve((design.T * runs) @ design, design.T * runs)
        return solved


def points_of(tables: Sequence[Scores], sizes: Sequence[float], higher_is_better: bool, bound: float) -> Points:
    """Gather what was measured, on the cases that all sizes score.

    Args:
        tables: Scores of each number of training cases.
        sizes: These numbers.
        higher_is_better: Whether a higher score is the better one; else scores are turned round.
        bound: Best value of a score that is not turned round.
    """
    order = np.argsort(sizes)
    tables = shared([tables[place] for place in order])
    sign = 1.0 if higher_is_better else -1.0
    case_means = sign * np.stack([table.case_means for table in tables])
    replicates = [sign * np.nanmean(table.values, axis=1) for table in tables]
    runs = np.array([float(len(values)) for values in replicates])
    squares = sum(float(((values - values.mean()) ** 2).sum()) for values in replicates)
    df = float(runs.sum() - len(runs))
    points = Points(
        np.array(sizes, dtype=float)[order],
        np.array([values.mean() for values in replicates]),
        runs,
        squares / df if df else math.nan,
        df,
        case_means,
        tables[0].folds,
        bound,
    )
    return _with_scatter(points, squares)


def _with_scatter(points: Points, squares: float) -> Points:
    """Judge the noise by how sizes scatter around the best law, too; by that alone where replicates agree too well.

    Replicates that share their training cases have the luck of these in common: only the law can tell.
    """
    left = len(points.sizes) - 3
    if left < 1:
        return points
    scatter = min(float(points.loss(_best(points, c))) for c in EXPONENTS)
    if points.df and scatter / left <= points.variance * float(fdtri(left, points.df, 0.9)):
        df = points.df + left
        return _replaced(points, (squares + scatter) / df, df)
    return _replaced(points, scatter / left, float(left))


def _replaced(points: Points, variance: float, df: float) -> Points:
    return Points(**{**vars(points), "variance": variance, "df": df})


def refusal(points: Points, names: str = "training cases") -> str:
    """Say why no law can be fitted; empty where one can."""
    count, span = len(points.sizes), float(points.sizes[-1] / points.sizes[0])
    if count < LEAST_SIZES:
        return f"{count} sizes: a power law has three parameters, give {LEAST_SIZES} numbers of {names} or more"
    if span < LEAST_RANGE:
        return (
            f"the largest number of {names} is {span:.2g} times the smallest: give a range of {LEAST_RANGE:g} or more"
        )
    if points.case_means.shape[1] - len(np.unique(points.folds)) < 1:
        return "all sizes share fewer than 2 scored cases: score the same cases with each"
    if points.df < LEAST_DF:
        return f"{points.df:.0f} degrees of freedom tell noise from trend: give two seeds or more, or more sizes"
    if not has_trend(points):
        return f"no trend: no gain of more {names} can be told from noise"
    return ""


def has_trend(points: Points) -> bool:
    """Whether the score rises with the logarithm of the size beyond noise; False where nothing tells the noise."""
    if points.df < 1:
        return False
    slope, se = _log_slope(points)
    return slope >= float(stdtrit(points.df, 1 - CHANCE / 2)) * se


def _log_slope(points: Points) -> tuple[float, float]:
    """Slope of the score against the logarithm of the size, and its standard error."""
    logs = np.log(points.sizes)
    centered = logs - np.average(logs, weights=points.runs)
    spread = float((points.runs * centered**2).sum())
    return float((points.runs * centered * points.means).sum()) / spread, math.sqrt(points.variance / spread)


def fit(points: Points) -> PowerLaw:
    """Fit the law by least squares, each size weighed by its runs, from the best exponent of a grid on."""
    losses = [float(points.loss(_best(points, c))) for c in EXPONENTS]
    c = float(EXPONENTS[int(np.argmin(losses))])
    a, b = _amplitudes(points, c)
    root = np.sqrt(points.runs)
    found = least_squares(
        lambda law: root * (points.means - law[0] + law[1] * points.sizes ** -law[2]),
        (min(a, points.bound - 1e-12), b + 1e-12, c),
        bounds=((-np.inf, 0.0, EXPONENTS[0] * 0.999), (points.bound, np.inf, EXPONENTS[-1] * 1.001)),
        x_scale=(1.0, max(b, 1e-3), c),
    )
    better = 2 * found.cost <= min(losses)
    a, b, c = (float(value) for value in found.x) if better else (a, b, c)
    return PowerLaw(a, b, c, points)


def _amplitudes(points: Points, c: float) -> tuple[float, float]:
    """Best a and b of an exponent, within their bounds."""
    powers, runs = points.sizes**-c, points.runs
    center, mean = np.average(powers, weights=runs), np.average(points.means, weights=runs)
    spread = powers - center
    b = max(0.0, -float((runs * spread * points.means).sum() / (runs * spread**2).sum()))
    a = float(mean + b * center)
    if a > points.bound:
        a = points.bound
        b = max(0.0, float((runs * powers * (a - points.means)).sum() / (runs * powers**2).sum()))
    return a, b


def _best(points: Points, c: float) -> Array:
    """Means that the best law of an exponent has (k,)."""
    a, b = _amplitudes(points, c)
    return a - b * points.sizes**-c


def _fixed_score(points: Points, cases: float) -> Callable[[float], float]:
    """Least squared distance of the laws that have a given score at so many cases."""
    then = np.zeros_like(EXPONENTS) if math.isinf(cases) else cases**-EXPONENTS
    shapes = points.sizes ** -EXPONENTS[:, None] - then[:, None]
    squares = np.maximum((points.runs * shapes**2).sum(1), 1e-300)

    def loss(score: float) -> float:
        if score > points.bound:
            return math.inf
        free = -(points.runs * shapes * (points.means - score)).sum(1) / squares
        most = (points.bound - score) / np.maximum(then, 1e-300) if math.isfinite(points.bound) else np.inf
        b = np.clip(free, 0.0, most)
        return float(points.loss(score - b[:, None] * shapes).min())

    return loss


def _fixed_gain(points: Points, before: float, after: float) -> Callable[[float], float]:
    """Least squared distance of the laws that have a given gain between two sizes."""
    powers = points.sizes ** -EXPONENTS[:, None]
    steps = before**-EXPONENTS - after**-EXPONENTS

    def loss(gain: float) -> float:
        if gain < 0:
            return math.inf
        falls = (gain / steps)[:, None] * powers
        a = np.minimum(np.average(points.means + falls, axis=1, weights=points.runs), points.bound)
        return float(points.loss(a[:, None] - falls).min())

    return loss


def _end(value: float, step: float, loss: Callable[[float], float], worst: float) -> float:
    """Go from a value in steps that double until laws fit too badly; find where they just do not."""
    inside, worst = value, max(worst, loss(value))  # where the noise is finer than the grid of exponents
    for _ in range(60):
        outside = value + step
        if loss(outside) > worst:
            return float(brentq(lambda x: min(loss(x), 1e300) - worst, inside, outside, xtol=1e-7, rtol=1e-6))
        inside, step = outside, 2 * step
    return math.copysign(math.inf, step)
