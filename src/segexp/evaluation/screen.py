"""What a training says on the screen: before its first step what it is, after its last one what came of it."""

import shlex
import shutil
import sys
from collections.abc import Mapping
from math import isclose, isnan
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger

from segexp.comparison.statistics.intervals import Interval, weighted_interval
from segexp.comparison.statistics.scores import Scores
from segexp.data import DataModule
from segexp.errors import short_path, some
from segexp.metrics import SplitResult
from segexp.runs.configuration import Config
from segexp.runs.folder import RunFolder
from segexp.runs.results import Results
from segexp.terminal import Console
from segexp.training.forecast import machine_of

RESAMPLES = 2000
Intervals = dict[str, Interval]  # by score


def rows_above(data: DataModule, choices: Mapping[str, Any]) -> dict[str, str]:
    """Rows of the data, for the table that stands before the first step."""
    counts = [f"{len(names)} {split}" for split, names in vars(data.split).items() if names]
    classes = data.labels.regions or data.labels.class_names
    name = choices.get("data") or type(data.source).__name__
    return {"data": f"{name}: {', '.join(counts)} cases", "classes": some(classes, 6)}


def rows_below(config: Config, trainer: pl.Trainer, folder: RunFolder, choices: Mapping[str, Any]) -> dict[str, str]:
    """Rows of loss, device, choice and folder, likewise."""
    loss = choices.get("loss") or str(config["loss"]["_target_"]).rpartition(".")[2]
    better = "lower" if config["monitor_mode"] == "min" else "higher"
    board = any(isinstance(logger, TensorBoardLogger) for logger in trainer.loggers)
    curves = {"curves": _board(folder.path)} if board else {}
    return {
        "loss": str(loss),
        "device": f"{device_of(trainer)}, {trainer.precision}",
        "best epoch by": f"{config['monitor']}, {better} is better",
        "run folder": str(short_path(folder.path)),
        **curves,
    }


def device_of(trainer: pl.Trainer) -> str:
    """Name what computes, such as "2 CPU cores"."""
    several = f"{trainer.world_size} × " if trainer.world_size > 1 else ""
    return several + machine_of(trainer, "CPU ")


def intervals_of(result: SplitResult) -> Intervals:
    """95 % intervals over the cases, of every score that is a mean over cases and classes.

    Args:
        result: Scores of one split.

    Returns:
        Interval of each score whose mean over the cases that define it in all classes is the score; others have none.
    """
    found: Intervals = {}
    labels = dict.fromkeys(row.label for row in result.rows)
    names = dict.fromkeys(name for row in result.rows for name in row.scores)
    for name in names:
        of = {label: {r.case: r.scores.get(name, np.nan) for r in result.rows if r.label == label} for label in labels}
        tables = {label: _table(scores) for label, scores in of.items()}
        tables = {label: table for label, table in tables.items() if table.cases}
        wanted = {name: list(tables.values())} | {f"{name}_{label}": [table] for label, table in tables.items()}
        for score, several in wanted.items():
            value = result.scores.get(score, np.nan)
            if isnan(value) or not several:
                continue
            interval = weighted_interval(several, [1 / len(several)] * len(several), resamples=RESAMPLES)
            if isclose(interval.value, value, abs_tol=1e-6) and not isnan(interval.low):
                found[score] = interval
    return found


def _table(scores: Mapping[int, float]) -> Scores:
    """Scores of the cases that define them."""
    return Scores.of_one_run({str(case): score for case, score in scores.items() if not isnan(score)})


def range_of(interval: Interval | None, unit: str) -> str:
    """Write an interval; of a fraction it does not reach beyond 0 and 1."""
    if interval is None:
        return ""
    shown = interval.in_unit(unit)
    return f"{shown.low:.4f} to {shown.high:.4f}"


def print_next(results: Results, folder: Path, board: bool) -> None:
    """Print the best epoch, the run folder, and commands that go on from here, ready for a shell."""
    console = Console()
    chosen = results["chosen_on_val"]
    shown = short_path(folder)
    lines = [("best epoch", f"{int(chosen['epoch']) + 1} of {results['training']['epochs']}, by {chosen['by']}")]
    lines += [("run folder", str(shown))]
    segexp, word = _program("segexp"), shlex.quote(f"run={shown}")
    lines += [
        ("score it", f"{segexp} evaluate {word} tune=true"),
        ("predict", f"{segexp} predict {word} input=IMAGES output=FOLDER"),
        ("compare", f"{segexp} compare {shlex.quote(str(shown))} ANOTHER_RUN"),
    ]
    if board:
        lines.append(("look at it", _board(folder)))
    for head, text in lines:
        console.print(f"{head:12} {text}", soft_wrap=True, highlight=False, markup=False)


def _board(folder: Path) -> str:
    """Command that shows the curves."""
    return f"{_program('tensorboard')} --logdir {shlex.quote(str(short_path(folder)))}"


def _program(name: str) -> str:
    """Name of a program of this environment as the shell finds it."""
    own = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    return name if found and Path(found).absolute() == own.absolute() else shlex.quote(str(short_path(own)))


def undefined_words(undefined: Mapping[str, int]) -> str:
    """Say which scores are undefined in how many cases; nothing where none is."""
    told = [f"{name} in {count} cases" for name, count in undefined.items() if count]
    return f"undefined, and left out: {some(told, 4)}" if told else ""
