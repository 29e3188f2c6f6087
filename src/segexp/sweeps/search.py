"""Search instead of a grid: the sweeper behind ``hydra/sweeper=optuna``. Optuna is imported at use."""

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from segexp.errors import did_you_mean, require_at_least, require_choice
from segexp.sweeps.jobs import Job
from segexp.sweeps.launcher import Sweep, refuse_failures, stop_signals
from segexp.sweeps.ledger import take

if TYPE_CHECKING:
    from segexp.sweeps.study import Study

PARAMETERS = "parameters"  # the only objective from run.json; all others stand in results.json
DIRECTIONS = {"training.minutes": "minimize", PARAMETERS: "minimize", "training.patches_per_second": "maximize"}


def search(
    config: DictConfig,
    launcher: Launcher,
    arguments: Sequence[str],
    check: Callable[[Sequence[Sequence[str]]], None],
    trials: int,
    objectives: Sequence[str] | None,
    directions: Sequence[str] | None,
    params: Mapping[str, Any] | None,
    sampler: DictConfig,
    pruner: DictConfig,
) -> None:
    """Run a study, or go on with it, until enough of its trials have ended.

    Args:
        config: Of the multirun, Hydra's own node included.
        launcher: Whose engine runs the trials.
        arguments: Overrides of the command line.
        check: Composes sets of overrides and raises where one does not fit.
        trials: That end in all.
        objectives: Figures on the validation cases, of the training, or the number of parameters; None = the monitored.
        directions: "maximize" or "minimize" per objective; None = as usual for each.
        params: Search space beside the command line's.
        sampler: Node of the sampler.
        pruner: Node of the pruner.

    Raises:
        ValueError: A setting does not fit, or trials failed; names them, why, and the end of their logs.
    """
    _require_optuna(launcher)
    from segexp.sweeps.space import described, examples, overrides, read_space
    from segexp.sweeps.study import Study

    require_at_least("hydra.sweeper.trials", trials, 1, whole=True)
    sweep = Sweep(config, launcher.engine())  # type: ignore[attr-defined]
    extra = [f"{key}={'null' if value is None else value}" for key, value in (params or {}).items()]
    space, fixed = read_space([*extra, *arguments])
    aims = read_objectives(objectives, directions, config.monitor, config.monitor_mode)
    study = Study(sweep, space, fixed, aims, monitored(config.monitor), trials, sampler, pruner)
    check([[*fixed, *overrides(params)] for params in examples(space)])
    once = f"{sweep.engine.jobs_at_once} runs at once"
    if sweep.settings["dry_run"]:
        aim = " and ".join(f"{item.direction} {item.name}" for item in aims)
        print(f"{trials} trials would {aim} over {described(space)}, {once}; nothing was run")
        return
    with _only_driver(sweep.folder), stop_signals():
        print(f"study of {trials} trials in {sweep.folder}, {once}")
        OmegaConf.save(config, sweep.folder / "multirun.yaml")
        study.open(sweep.folder / "study.journal")
        sweep.pool(on_epoch=study.on_epoch, on_end=study.on_end).run(study.jobs())
        _report(study)
    refuse_failures(study.ended())


def _report(study: "Study") -> None:
    """Leave table and plots, print the best trials."""
    from segexp.sweeps.plots import print_best, write_plots, write_table

    names, sweep = [item.name for item in study.objectives], study.sweep
    write_table(sweep.folder, study.optuna, names)
    print_best(study.optuna, names, [*sweep.command, *study.fixed])
    write_plots(sweep.folder, study.optuna, names)


def _require_optuna(launcher: Launcher) -> None:
    """Refuse what cannot run a study.

    Raises:
        ValueError: A package is missing, or the launcher is none of ours.
    """
    missing = [name for name in ("optuna", "cmaes", "plotly") if find_spec(name) is None]
    if missing:
        raise ValueError(f"hydra/sweeper=optuna needs {', '.join(missing)}: pip install 'segexp[search]'")
    if not hasattr(launcher, "engine"):
        raise ValueError(
            f"hydra/sweeper=optuna with {type(launcher).__name__}: only segexp's own launchers can prune and resume "
            "trials; use hydra/launcher=local, slurm or ray"
        )


@contextmanager
def _only_driver(folder: Path) -> Iterator[None]:
    """Hold the lock of a study's folder: trials that no living driver cares for can then be told from others.

    Raises:
        ValueError: Another process holds it.
    """
    lock = take(folder)
    if lock is None:
        raise ValueError(f"{folder}: another process runs this study; wait for it, or give another sweep.name")
    with lock:
        yield


@dataclass(frozen=True)
class Objective:
    """A figure that is searched for.

    Args:
        name: Dotted path into results.json, or "parameters".
        direction: "maximize" or "minimize".
    """

    name: str
    direction: str

    def value(self, jobs: Sequence[Job]) -> float:
        """Mean over the runs of a trial.

        Raises:
            ValueError: A run has no such figure, or it is undefined.
        """
        return statistics.fmean(self._of_run(job) for job in jobs)

    def _of_run(self, job: Job) -> float:
        found: Any = job.record() if self.name == PARAMETERS else job.results()
        for part in self.name.split("."):
            if not isinstance(found, dict) or part not in found:
                known = found if isinstance(found, dict) else ()
                raise ValueError(f"objective {self.name}: the run has no {part!r}{did_you_mean(part, known)}")
            found = found[part]
        if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
            raise ValueError(f"objective {self.name} is {found}, not a number that can be compared")
        return float(found)


def monitored(monitor: str) -> str:
    """Name, as an objective, of the monitored figure: ``val/dice`` is val.dice."""
    return monitor.replace("/", ".")


def read_objectives(
    names: Sequence[str] | None, directions: Sequence[str] | None, monitor: str, mode: str
) -> list[Objective]:
    """Read what is searched for.

    Args:
        names: Of the figures; None = the monitored one.
        directions: Of each; None = as usual for each.
        monitor: Monitored figure, such as ``val/dice``.
        mode: "max" or "min", which is better.

    Raises:
        ValueError: A figure must not choose, or its direction is not known.
    """
    names = [monitored(monitor)] if names is None else list(names)
    usual = {**DIRECTIONS, monitored(monitor): f"{mode}imize"}
    for name in names:
        _refuse_objective(name)
    if directions is None:
        unknown = [name for name in names if name not in usual]
        if unknown:
            raise ValueError(
                f"hydra.sweeper.objectives: is more of {unknown[0]} better? say so by hydra.sweeper.directions="
                f"[{','.join(usual.get(name, '…') for name in names)}], maximize or minimize for each"
            )
        directions = [usual[name] for name in names]
    for direction in directions:
        require_choice("hydra.sweeper.directions", direction, ["maximize", "minimize"])
    if not names or len(names) != len(directions):
        raise ValueError(
            f"hydra.sweeper.objectives={list(names)} and directions={list(directions)} must be of one length, 1 or more"
        )
    return [Objective(name, direction) for name, direction in zip(names, directions, strict=True)]


def _refuse_objective(name: str) -> None:
    side = name.partition(".")[0]
    if side in ("test", "headline"):
        raise ValueError(f"hydra.sweeper.objectives: {name} is of the test cases, which must not choose; use val.…")
    if name != PARAMETERS and (side not in ("val", "training") or "." not in name):
        raise ValueError(
            f"hydra.sweeper.objectives: {name!r} is not val.<figure>, training.<figure> or {PARAMETERS}"
            f"{did_you_mean(name, [*DIRECTIONS, 'val.dice'])}"
        )
