"""One scorer for all methods, and the table of what they scored."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.equal_minutes.datasets import DataSet, read_labels
from benchmarks.equal_minutes.methods import NAMES, Outcome
from segexp.comparison.statistics.intervals import Interval, weighted_interval
from segexp.comparison.statistics.scores import Run, gather
from segexp.data.case import Case
from segexp.metrics import ObjectScores, OverlapScores

RESAMPLES = 2000
Scores = dict[str, dict[str, float]]  # score: case: value


@dataclass(frozen=True)
class Row:
    """What one method scored on one set.

    Args:
        data_set: Name of the set.
        minutes: Minutes that training might take.
        method: Name of the method.
        outcome: What it took.
        scores: Scores of each test case.
        load: Load of the machine before it began.
        date: Day.
    """

    data_set: str
    minutes: float
    method: str
    outcome: Outcome
    scores: Scores
    load: float
    date: str


def score(data_set: DataSet, cases: Sequence[Case], predictions: Path) -> Scores:
    """Score the masks of all test cases.

    Raises:
        FileNotFoundError: A mask is missing.
        ValueError: A mask has another size than its case.
    """
    metrics = {"Dice": OverlapScores(data_set.class_names)}
    if data_set.objects:
        metrics["object F1"] = ObjectScores(data_set.class_names)
    for number, case in enumerate(cases):
        target = torch.from_numpy(np.asarray(case.target)).long()[None]
        labels = read_labels(predictions / f"{case.name}{data_set.suffix}")
        if labels.shape != target.shape[1:]:
            raise ValueError(
                f"{predictions}: the mask of {case.name} has size {labels.shape}, not {tuple(target.shape[1:])}"
            )
        instances = None if case.instances is None else torch.from_numpy(case.instances)[None]
        for metric in metrics.values():
            metric.take(one_hot(labels, len(data_set.class_names)), target, torch.tensor([number]), None, instances)
    keys = {"Dice": "dice", "object F1": "object_f1"}
    several = len(data_set.class_names) > 2
    scores: Scores = {}
    for name, metric in metrics.items():
        for row in metric.compute().rows:
            title = f"{name} {row.label}" if several else name
            scores.setdefault(title, {})[cases[row.case].name] = row.scores[keys[name]]
    return scores


def one_hot(labels: np.ndarray, classes: int) -> torch.Tensor:
    """Turn labels (*S) into probabilities (1, C, *S) of 0 and 1; of two classes the second may have any value but 0."""
    numbers = torch.from_numpy((labels > 0 if classes == 2 else labels).astype(np.int64))
    return torch.nn.functional.one_hot(numbers, classes).movedim(-1, 0)[None].float()


def table(rows: Sequence[Row]) -> str:
    """Format the rows as Markdown, a table per set."""
    parts = []
    for data_set in dict.fromkeys(row.data_set for row in rows):
        parts += [table_of_set([row for row in rows if row.data_set == data_set]), ""]
    return "\n".join(parts)


def table_of_set(rows: Sequence[Row]) -> str:
    """Format the rows of one set."""
    names = list(rows[0].scores)
    columns = [column for name in names for column in (name, "segexp ahead by")]
    cells = [
        rows[0].data_set,
        "minutes",
        *columns,
        "trained, min",
        "before, min",
        "predicted, s",
        "parameters",
        "steps",
        "note",
    ]
    lines = [f"| {' | '.join(cells)} |", f"| --- |{' ---: |' * (len(cells) - 2)} --- |"]
    for row in sorted(rows, key=lambda row: (row.minutes, list(NAMES).index(row.method))):
        own = next((each for each in rows if (each.method, each.minutes) == ("segexp", row.minutes)), None)
        scored = [cell for name in names for cell in score_cells(row, own, name)]
        took = row.outcome
        cells = [NAMES[row.method], f"{row.minutes:g}", *scored, f"{took.train / 60:.1f}", f"{took.prepare / 60:.1f}"]
        cells += [f"{took.predict:.0f}", f"{took.parameters:,}", f"{took.steps:,}", took.note]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def score_cells(row: Row, own: Row | None, name: str) -> list[str]:
    """Format a mean over the cases and how far segexp is ahead of it, each with its interval."""
    mean = interval([row.scores[name]], [1.0])
    if own is None or own is row:
        return [shown(mean), ""]
    return [shown(mean), shown(interval([own.scores[name], row.scores[name]], [1.0, -1.0]), sign="+")]


def interval(scores: Sequence[dict[str, float]], weights: Sequence[float]) -> Interval:
    """Bootstrap the weighted sum of means over the cases."""
    return weighted_interval([gather([Run(0, None, each)]) for each in scores], weights, resamples=RESAMPLES)


def shown(value: Interval, sign: str = "") -> str:
    """Format a value and its interval."""
    return f"{value.value:{sign}.3f} ({value.low:{sign}.3f} to {value.high:{sign}.3f})"
