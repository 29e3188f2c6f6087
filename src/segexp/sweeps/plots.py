"""Results of a study: a table, plots that open without network, and the best trials as command lines."""

import math
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from optuna import visualization
from optuna.importance import FanovaImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState

from segexp.errors import short_path
from segexp.runs.files import write_table
from segexp.runs.folder import RunFolder, epoch_seconds
from segexp.sweeps.space import overrides

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

SHOWN = 10  # best trials of several objectives that are printed


def report(folder: Path, study: optuna.Study, names: Sequence[str], command: Sequence[str]) -> None:
    """Write study.csv, one row per trial, and the plots; print the best trials.

    Args:
        folder: Sweep folder.
        study: Study of trials that have ended.
        names: Names of its objectives.
        command: Arguments that all trials share.
    """
    write_table(folder / "study.csv", [_row(folder, trial, names) for trial in study.get_trials(deepcopy=False)])
    _print_best(study, names, command)
    _write_plots(folder, study, names)


def _row(folder: Path, trial: FrozenTrial, names: Sequence[str]) -> dict[str, object]:
    values = trial.values or [""] * len(names)
    runs = trial.user_attrs.get("runs", [])
    # The time of training and validation, also of a stopped trial.
    seconds = [sum(epoch_seconds(RunFolder(folder / run).curves())) for run in runs]
    return {
        "number": trial.number,
        "state": trial.state.name.lower(),
        **dict(zip(names, values, strict=True)),
        **dict(word.lstrip("+").split("=", 1) for word in overrides(trial.params)),
        "minutes": round(sum(seconds) / 60, 3),
        "runs": " ".join(runs),
        "why": trial.user_attrs.get("why", ""),
    }


def _write_plots(folder: Path, study: optuna.Study, names: Sequence[str]) -> None:
    """Draw the plots as HTML, plotly.min.js once beside them; print what was drawn and what was not."""
    figures: dict[str, Figure] = {}
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if complete and len(names) == 1:
        figures["history"] = visualization.plot_optimization_history(study, target_name=names[0])
    elif complete and len(names) <= 3:
        figures["pareto"] = visualization.plot_pareto_front(study, target_names=list(names))
    for index, name in enumerate(names if complete else ()):
        end = "" if len(names) == 1 else f"_{name}"
        figures |= {f"{stem}{end}": figure for stem, figure in _of_one(_alone(study, index), name).items()}
    for stem, figure in figures.items():
        figure.write_html(folder / f"{stem}.html", include_plotlyjs="directory")
    drawn = ", ".join(f"{stem}.html" for stem in figures) or "no plots, as no trial was completed"
    print(f"sweep folder {short_path(folder)}: study.csv, {drawn}")


def _alone(study: optuna.Study, index: int) -> optuna.Study:
    """Completed trials with one of their values, so that the plots know its direction."""
    view = optuna.create_study(direction=study.directions[index])
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        view.add_trial(
            optuna.trial.create_trial(params=trial.params, distributions=trial.distributions, value=trial.values[index])
        )
    return view


def _of_one(study: optuna.Study, name: str) -> "dict[str, Figure]":
    figures = {"parallel": visualization.plot_parallel_coordinate(study, target_name=name)}
    values = [trial.values[0] for trial in study.get_trials(deepcopy=False)]
    if len(values) < 2:
        print(f"no importance of parameters for {name}: it takes two completed trials")
    elif math.isclose(min(values), max(values)):
        print(f"no importance of parameters for {name}: all trials have the same value")
    else:
        evaluator = FanovaImportanceEvaluator(seed=0)
        figures["importance"] = visualization.plot_param_importances(study, evaluator=evaluator, target_name=name)
    return figures


def _print_best(study: optuna.Study, names: Sequence[str], command: Sequence[str]) -> None:
    """Print how the trials ended, and the best with their command lines."""
    counts = Counter(trial.state for trial in study.get_trials(deepcopy=False))
    print("trials: " + ", ".join(f"{count} {state.name.lower()}" for state, count in counts.items()))
    best = study.best_trials if counts[TrialState.COMPLETE] else []
    alone = len(names) == 1
    for trial in best[: 1 if alone else SHOWN]:
        figures = ", ".join(f"{name} {value:.4g}" for name, value in zip(names, trial.values, strict=True))
        print(f"{'best' if alone else 'Pareto-optimal:'} trial {trial.number}: {figures}")
        print(f"  {shlex.join(['segexp', *command, *overrides(trial.params)])}")
    if not alone and len(best) > SHOWN:
        print(f"and {len(best) - SHOWN} more Pareto-optimal trials, see study.csv")
