"""What `train` and `evaluate` share: from the scores of whole cases to results.json and the table that is printed."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.table import Table

from segexp.data import DataModule
from segexp.data.prepared import spacing_of, target_of, target_tensor
from segexp.errors import short_path
from segexp.metrics import MetricInfo, SplitResult, score_observer, undefined
from segexp.runs.record import SplitName
from segexp.runs.results import MetricFacts, Results
from segexp.training.task import Task

Splits = Mapping[str, SplitResult]


def results_of(splits: Splits, task: Task, data: DataModule) -> Results:
    """Gather scores, human reference, curves and descriptions of each split, as results.json has them."""
    content: Results = {
        "observers": {split: observers(task, data, split) for split in splits},
        "curves": {split: result.curves for split, result in splits.items()},
        "undefined": {split: undefined(result.rows) for split, result in splits.items()},
        "metrics": {name: _facts(info) for result in splits.values() for name, info in result.info.items()},
        # A threshold may be chosen on one split and fixed on another, so each has its own protocol.
        "protocol": {
            split: {name: info.protocol for name, info in result.info.items()} for split, result in splits.items()
        },
        "cases": vars(data.split),
    }
    for split, result in splits.items():
        content[cast(SplitName, split)] = dict(result.scores)
    return content


def _facts(info: MetricInfo) -> MetricFacts:
    """What holds of a score on all splits."""
    return {
        "higher_is_better": info.higher_is_better,
        "unit": info.unit,
        "computed_from": info.computed_from,
        "targets": info.targets,
    }


def rows_of_cases(splits: Splits, names: Mapping[str, Sequence[str]]) -> list[dict[str, str | float]]:
    """Gather the rows of cases.csv, one per case and class.

    Args:
        splits: Scores of each split.
        names: Names of the cases of each split, in order.
    """
    return [
        {"split": split, "case": names[split][row.case], "class": row.label, **row.scores}
        for split, result in splits.items()
        for row in result.rows
    ]


def observers(task: Task, data: DataModule, split: str) -> dict[str, dict[str, float]]:
    """Score further human observers, where all cases of a split have them, against the truth: the human reference."""
    cases = [prepared.original for prepared in data.cases(split)]
    names = set.intersection(*(set(case.others) for case in cases))
    truths = [target_tensor(target_of(case), data.labels.regions) for case in cases]
    others = {name: [target_tensor(case.others[name], data.labels.regions) for case in cases] for name in sorted(names)}
    spacings = [spacing_of(case, data.geometry.distance_unit) for case in cases]
    return {
        name: score_observer(task.metrics, truths, labels, spacings, data.labels.num_classes)
        for name, labels in others.items()
    }


def print_scores(content: Results, others: Mapping[str, Mapping[str, float | None]] | None = None) -> None:
    """Print the scores of the headline's split.

    Args:
        content: Content of results.json.
        others: Scores of further columns, by title.
    """
    split = content["headline"]["split"]
    scores = content[split]
    per_class = content["undefined"][split]
    columns = dict(others or {})
    columns |= {f"observer {name}": seen for name, seen in content["observers"][split].items()}
    table = Table("metric", "value", *columns, title=content["headline"]["note"])
    for name, value in scores.items():
        means = [mean for mean in scores if mean not in per_class and name.startswith(f"{mean}_")]
        if name not in per_class or all(scores[mean] != value for mean in means):  # of one class, the mean says it all
            table.add_row(name, *(_number(column.get(name)) for column in (scores, *columns.values())))
    Console().print(table)


def print_folder(run_dir: Path, board: bool = False) -> None:
    """Print the run folder and, where TensorBoard has them, how to look at the curves."""
    shown = short_path(run_dir)
    console = Console()
    console.print(f"run folder   {shown}", soft_wrap=True, highlight=False)
    if board:
        tensorboard = short_path(Path(sys.executable).with_name("tensorboard"))
        console.print(f"look at it   {tensorboard} --logdir {shown}", soft_wrap=True, highlight=False)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
