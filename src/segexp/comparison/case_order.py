"""The cases of a run in the order of their scores: which is the worst, the median and the best one."""

import math
from collections.abc import Sequence
from statistics import mean

from segexp.runs.files import Rows


def number_of(text: str) -> float:
    """Number in a table of a run; nan for anything else."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def case_scores(rows: Rows, metric: str, higher_is_better: bool = True) -> dict[str, float]:
    """Mean score of each case over the classes that are defined in it, the worst case first.

    Args:
        rows: Rows of cases.csv; cases without any score are left out.
        metric: Name of the metric.
        higher_is_better: Whether a higher score is the better one.
    """
    by_case: dict[str, list[float]] = {}
    for row in rows:
        value = number_of(row.get(metric, ""))
        if math.isfinite(value):
            by_case.setdefault(row["case"], []).append(value)
    means = {case: mean(values) for case, values in by_case.items()}
    return dict(sorted(means.items(), key=lambda item: item[1], reverse=not higher_is_better))


def worst_median_best(cases: Sequence[str]) -> dict[str, str]:
    """Name the worst, the median and the best of ordered cases, each case once."""
    if not cases:
        return {}
    places = {"worst": 0, "median": len(cases) // 2, "best": len(cases) - 1}
    found: dict[str, str] = {}
    for rank, index in places.items():
        if cases[index] not in found.values():
            found[rank] = cases[index]
    return found
