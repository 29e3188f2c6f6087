"""From scores per case and class to headline scores."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isnan, nan
from statistics import fmean


@dataclass  # torchmetrics refuses frozen ones
class CaseScores:
    """Scores of one case and class.

    Args:
        case: Number of the case in its set.
        label: Name of the class or region.
        scores: Score by metric; nan = undefined.
    """

    case: int
    label: str
    scores: dict[str, float]


@dataclass
class BinScores:
    """Scores of one tenth of the slices of one volume and class.

    Args:
        case: Number of the case in its set.
        label: Name of the class or region.
        bin: Number of the tenth, 1 to 10, from the first slice that truth or prediction of the class occupies.
        slices: Number of slices that fall into it; 0 = its scores are undefined.
        slices_invented: Number of those where nothing is true.
        slices_missed: Number of those where nothing is predicted.
        scores: Score by metric; nan = undefined.
    """

    case: int
    label: str
    bin: int
    slices: int
    slices_invented: int
    slices_missed: int
    scores: dict[str, float]


def summarize(rows: Iterable[CaseScores]) -> dict[str, float]:
    """Average per class over cases, then over classes; what is undefined (nan) is left out of both.

    Returns:
        ``<metric>_<class>``, the mean over the cases, and the headline ``<metric>``, the mean of these over the
        classes; nan where nothing is defined.
    """
    scores = {}
    for metric, classes in _columns(rows).items():
        means = {name: mean_of_defined(values) for name, values in classes.items()}
        scores[metric] = mean_of_defined(means.values())
        scores.update({f"{metric}_{name}": mean for name, mean in means.items()})
    return scores


def case_means(rows: Iterable[CaseScores], metric: str) -> dict[int, float]:
    """Average a metric of each case over the classes that are defined there; nan where none is."""
    values: dict[int, list[float]] = {}
    for row in rows:
        values.setdefault(row.case, []).append(row.scores.get(metric, nan))
    return {case: mean_of_defined(scores) for case, scores in values.items()}


def mean_of_defined(values: Iterable[float]) -> float:
    """Average what is not nan; nan if nothing is left."""
    defined = [value for value in values if not isnan(value)]
    return fmean(defined) if defined else nan


def undefined(rows: Iterable[CaseScores]) -> dict[str, int]:
    """Count the cases that `summarize` left out, per ``<metric>_<class>``."""
    return {
        f"{metric}_{name}": sum(map(isnan, values))
        for metric, classes in _columns(rows).items()
        for name, values in classes.items()
    }


def _columns(rows: Iterable[CaseScores]) -> dict[str, dict[str, list[float]]]:
    """Values of all cases by metric and class."""
    columns: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        for metric, value in row.scores.items():
            columns.setdefault(metric, {}).setdefault(row.label, []).append(value)
    return columns
