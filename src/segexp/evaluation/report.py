"""What `train` and `evaluate` share: from the scores of whole cases to results.json and the table that is printed."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from segexp.data import DataModule
from segexp.data.prepared import spacing_of, target_of, target_tensor
from segexp.errors import short_path
from segexp.metrics import score_observer, undefined
from segexp.training.task import Task

Sides = dict[str, dict[str, Any]]


def figures_of(sides: Sides, task: Task, data: DataModule) -> dict[str, Any]:
    """Gather figures, human reference, curves and protocol of each side, as results.json has them."""
    return {
        **{side: result["figures"] for side, result in sides.items()},
        "observers": {side: observers(task, data, side) for side in sides},
        "curves": {side: result["curves"] for side, result in sides.items()},
        "undefined": {side: undefined(result["rows"]) for side, result in sides.items()},
        "protocol": {side: result["protocol"] for side, result in sides.items()},
        "cases": vars(data.split),
    }


def observers(task: Task, data: DataModule, side: str) -> dict[str, dict[str, float]]:
    """Score further human observers, where all cases of a side have them, against the truth: the human reference."""
    cases = [prepared.original for prepared in data.cases(side)]
    names = set.intersection(*(set(case.others) for case in cases))
    truths = [target_tensor(target_of(case), data.labels.regions) for case in cases]
    others = {name: [target_tensor(case.others[name], data.labels.regions) for case in cases] for name in sorted(names)}
    spacings = [spacing_of(case, data.geometry.distance_unit) for case in cases]
    return {
        name: score_observer(task.metrics, truths, labels, spacings, data.labels.num_classes)
        for name, labels in others.items()
    }


def print_figures(content: dict[str, Any], others: Mapping[str, Mapping[str, float]] | None = None) -> None:
    """Print the figures of the headline's side.

    Args:
        content: Of results.json.
        others: Further columns, title -> figures.
    """
    side = content["headline"]["split"]
    figures, per_class = content[side], content["undefined"][side]
    columns = {**(others or {}), **{f"observer {name}": seen for name, seen in content["observers"][side].items()}}
    table = Table("figure", "value", *columns, title=content["headline"]["note"])
    for name, value in figures.items():
        means = [mean for mean in figures if mean not in per_class and name.startswith(f"{mean}_")]
        if name not in per_class or all(figures[mean] != value for mean in means):  # of one class, the mean says it all
            table.add_row(name, *(_number(column.get(name)) for column in (figures, *columns.values())))
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
