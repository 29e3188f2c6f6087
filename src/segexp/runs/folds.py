"""The best of several settings by the mean over folds of the monitored score."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from segexp.runs.results import Results

LEVEL = 0.95  # of the interval
OfFold = tuple[int | None, Results]  # fold of a run, and what it left


@dataclass(frozen=True)
class FoldMean:
    """Mean over folds of the monitored validation score of one setting.

    Attributes:
        metric: Name of the score.
        value: Mean over folds, each the mean over its seeds.
        low: Lower end of its interval, by Student's t over the folds.
        high: Upper end.
        folds: Number of folds.
        higher_is_better: Whether a higher score is the better one.
    """

    metric: str
    value: float
    low: float
    high: float
    folds: int
    higher_is_better: bool


def best_of_folds(settings: Mapping[str, Sequence[OfFold]]) -> tuple[str, FoldMean] | None:
    """Find the setting with the best mean over folds, among those that have a score in every fold.

    Args:
        settings: Runs of each setting, by its name.

    Returns:
        Name and mean of the best; None where no setting has all of two folds or more, or scores differ in kind.
    """
    folds = {fold for runs in settings.values() for fold, _ in runs if fold is not None}
    found = {name: _mean(runs, folds) for name, runs in settings.items()}
    means = {name: mean for name, mean in found.items() if mean is not None}
    if not means or len({(mean.metric, mean.higher_is_better) for mean in means.values()}) > 1:
        return None
    name = max(means, key=lambda key: means[key].value if means[key].higher_is_better else -means[key].value)
    return name, means[name]


def _mean(runs: Sequence[OfFold], folds: Iterable[int]) -> FoldMean | None:
    headlines = [results["headline"] for _, results in runs if results]
    values = [_of_fold(runs, fold) for fold in folds]
    if len(values) < 2 or not headlines or any(math.isnan(value) for value in values):
        return None
    from scipy.special import stdtrit  # the driver of a sweep reads its folds at the end alone

    mean, half = fmean(values), float(stdtrit(len(values) - 1, (1 + LEVEL) / 2)) * stdev(values) / len(values) ** 0.5
    better = headlines[0].get("higher_is_better", True)
    return FoldMean(headlines[0]["metric"], mean, mean - half, mean + half, len(values), better)


def _of_fold(runs: Sequence[OfFold], fold: int) -> float:
    """Mean of the monitored validation score over the seeds of a fold; nan where one lacks it."""
    values = []
    for own, results in runs:
        if own == fold:
            value = results["val"].get(results["headline"]["metric"]) if "val" in results else None
            values.append(math.nan if value is None else float(value))
    return fmean(values) if values else math.nan


def in_words(name: str, mean: FoldMean, count: int) -> str:
    """Say which of so many settings is best, how sure its score is, and why it is optimistic.

    Args:
        name: Name of the best setting.
        mean: Its mean.
        count: Number of settings.
    """
    where = f"95 % interval {mean.low:.4f} to {mean.high:.4f} (Student's t over the {mean.folds} folds)"
    if count == 1:
        return f"mean of val/{mean.metric} over {mean.folds} folds {mean.value:.4f}, {where}"
    return (
        f"val/{mean.metric} has its best mean over folds, {mean.value:.4f}, with {name}; {where}; chosen among {count} "
        "settings on these same cases, so optimistically biased, and the interval does not tell it from the others"
    )
