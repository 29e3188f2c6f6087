"""Search instead of a grid: the sweeper behind ``hydra/sweeper=optuna``. Optuna is imported when it is used."""

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from segexp.errors import require_at_least
from segexp.runs.claim import claimed
from segexp.stopping import without_deadline
from segexp.sweeps.changed import refuse_changed
from segexp.sweeps.launcher import Sweep, refuse_failures
from segexp.sweeps.objectives import read_objectives
from segexp.writing import write_text


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
    """Run or resume a study until enough of its trials have ended.

    Args:
        config: Configuration of the multirun, Hydra's own node included.
        launcher: Launcher whose engine runs the trials.
        arguments: Overrides of the command line.
        check: Function that composes sets of overrides and raises where one does not fit.
        trials: Number of trials that end in all.
        objectives: Metrics of the validation cases or of the training, or "parameters"; None = the monitored metric.
        directions: "maximize" or "minimize" per objective; None = the usual ones.
        params: Search space beside the command line's.
        sampler: Node of the sampler.
        pruner: Node of the pruner.

    Raises:
        ValueError: A setting does not fit, or trials failed; names them, why, and the end of their logs.
    """
    _require_optuna(launcher)
    from segexp.sweeps.plots import report
    from segexp.sweeps.space import describe, examples, overrides, read_space
    from segexp.sweeps.study import Study

    require_at_least("hydra.sweeper.trials", trials, 1, integer=True)
    # What is searched, what is fixed, and what is optimized.
    sweep = Sweep(config, launcher.engine())  # type: ignore[attr-defined]
    extra = [f"{key}={'null' if value is None else value}" for key, value in (params or {}).items()]
    space, fixed = read_space([*extra, *arguments])
    monitor = config.monitor.replace("/", ".")
    aims = read_objectives(objectives, directions, monitor, config.monitor_mode)
    study = Study(sweep, space, fixed, aims, monitor, trials, sampler, pruner)
    # A mistyped key is refused before the first trial.
    check([[*fixed, *overrides(params)] for params in examples(space)])
    once = f"{sweep.engine.jobs_at_once} runs at once"
    if sweep.settings["dry_run"]:
        aim = " and ".join(f"{item.direction} {item.name}" for item in aims)
        print(f"{trials} trials would {aim} over {describe(space)}, {once}; nothing was run")
        return
    # Run trial after trial; report also where some failed.
    without_deadline()
    with claimed(sweep.folder):  # trials without a live driver are then known as such
        print(f"study of {trials} trials in {sweep.folder}, {once}")
        write_text(sweep.folder / "multirun.yaml", OmegaConf.to_yaml(config))
        study.open(sweep.folder / "study.journal")
        refuse_changed(study.runs(), launcher.composed, sweep.settings["changed"])  # type: ignore[attr-defined]
        sweep.pool(on_epoch=study.on_epoch, on_end=study.on_end).run(study.jobs())
        report(sweep.folder, study.optuna, [item.name for item in aims], [*sweep.command, *fixed])
    refuse_failures(study.ended())


def _require_optuna(launcher: Launcher) -> None:
    missing = [name for name in ("optuna", "cmaes", "plotly") if find_spec(name) is None]
    if missing:
        raise ValueError(f"hydra/sweeper=optuna needs {', '.join(missing)}: pip install 'segexp[search]'")
    if not hasattr(launcher, "engine"):
        raise ValueError(
            f"hydra/sweeper=optuna with {type(launcher).__name__}: only segexp's own launchers can prune and resume "
            "trials; use hydra/launcher=local, slurm or ray"
        )
