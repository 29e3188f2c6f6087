"""From rows per case and class to headline figures."""

from collections.abc import Iterable, Mapping
from math import isnan, nan
from statistics import fmean
from typing import Any

Columns = dict[str, dict[str, list[float]]]


def summarize(rows: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Average per class over cases, then over classes; what is undefined (nan) is left out of both.

    Args:
        rows: One mapping per case and class: ``case``, ``class`` and any number of metrics.

    Returns:
        ``<metric>_<class>``, the mean over the cases, and the headline ``<metric>``, the mean of these over the
        classes; nan where nothing is defined.
    """
    figures = {}
    for metric, classes in _columns(rows).items():
        means = {name: mean_of_defined(values) for name, values in classes.items()}
        figures[metric] = mean_of_defined(means.values())
        figures.update({f"{metric}_{name}": mean for name, mean in means.items()})
    return figures


def joined(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Bring the rows of several metrics together: one per case and class, in the order in which they first come."""
    together: dict[tuple[Any, Any], dict[str, Any]] = {}
    for row in rows:
        together.setdefault((row["case"], row["class"]), {}).update(row)
    return list(together.values())


def case_means(rows: Iterable[Mapping[str, Any]], metric: str) -> dict[int, float]:
    """Average a metric of each case over the classes that are defined there; nan where none is."""
    values: dict[int, list[float]] = {}
    for row in rows:
        values.setdefault(row["case"], []).append(row.get(metric, nan))
    return {case: mean_of_defined(found) for case, found in values.items()}


def mean_of_defined(values: Iterable[float]) -> float:
    """Average what is not nan; nan if nothing is left."""
    defined = [value for value in values if not isnan(value)]
    return fmean(defined) if defined else nan


def undefined(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Count the cases that `summarize` left out, per ``<metric>_<class>``."""
    return {
        f"{metric}_{name}": sum(map(isnan, values))
        for metric, classes in _columns(rows).items()
        for name, values in classes.items()
    }


def _columns(rows: Iterable[Mapping[str, Any]]) -> Columns:
    columns: Columns = {}
    for row in rows:
        for metric, value in row.items():
            if metric not in ("case", "class"):
                columns.setdefault(metric, {}).setdefault(row["class"], []).append(value)
    return columns
