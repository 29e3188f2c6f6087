"""What results.json and cases.csv hold: the metrics of a run with their protocol in words."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from segexp.runs.record import CaseNames, Headline, SplitName

Metrics = dict[str, float | None]  # by name; None = undefined
Row = dict[str, str | float]  # of one case and class: split, case, class, and one column per metric
Diagram = dict[str, list[float | None]]  # bins of a reliability diagram: probability, share, pixels


class Training(TypedDict, total=False):
    """What the training took."""

    minutes: float
    epochs: int
    patches_per_second: float
    peak_memory_mib: float
    energy_wh: float | None


class Results(TypedDict, total=False):
    """Content of results.json: metrics by split, how they came about, and what they cost."""

    headline: Headline
    train: Metrics
    val: Metrics
    test: Metrics
    observers: dict[str, dict[str, Metrics]]
    curves: dict[str, dict[str, dict[str, Diagram]]]
    undefined: dict[str, dict[str, int]]
    protocol: dict[str, dict[str, str]]
    cases: CaseNames
    chosen_on_val: dict[str, float | str]
    training: Training
    evaluation: Mapping[str, Any]
    without_postprocess: dict[str, Metrics]


def rows_of_cases(rows: Mapping[str, Sequence[Row]], names: Mapping[str, Sequence[str]]) -> list[Row]:
    """Gather the rows of cases.csv, one per case and class.

    Args:
        rows: Rows of each split, as the metrics gave them: the column "case" is the index of the case.
        names: Names of the cases of each split, in order.
    """
    return [
        {"split": split, **row, "case": names[split][int(row["case"])]} for split, own in rows.items() for row in own
    ]


def headline(metrics: Mapping[str, Mapping[str, float | None]], monitor: str) -> Headline:
    """Pick the metric that stands for the run: the monitored one, on the test cases where there are any."""
    split: SplitName = "test" if "test" in metrics else "val"
    name = monitor.partition("/")[2]
    chosen = "" if split == "test" else "; these cases also chose the epoch, so this is no test score"
    return {
        "split": split,
        "metric": name,
        "value": metrics[split][name],
        "note": f"scored on whole {split} cases{chosen}",
    }
