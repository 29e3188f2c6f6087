"""Grids of `-m`: all sets of overrides are run, whatever becomes of each, by any launcher; one summary at the end."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from segexp.errors import require_at_least, short_path
from segexp.sweeps.estimate import print_estimate
from segexp.sweeps.jobs import Job, job_overrides, quoted, with_replicates
from segexp.sweeps.launcher import SweepSettings
from segexp.sweeps.summary import report
from segexp.writing import write_text

Words = Sequence[str]


def settle_folder(config: DictConfig) -> None:
    """Name the folder of a multirun once: its jobs compose their own configuration, with the overrides of one job."""
    folder = str(config.hydra.sweep.dir)
    config.hydra.sweep.dir = folder
    config.hydra.overrides.hydra.append(f"hydra.sweep.dir={quoted(Path(folder))}")


def run_grid(
    config: DictConfig,
    launcher: Launcher,
    words: Words,
    most: int | None,
    check: Callable[[Sequence[Words]], None],
) -> Sequence[JobReturn]:
    """Run a grid to its end.

    Args:
        config: Configuration of the multirun, Hydra's own node included.
        launcher: Launcher that runs the jobs: ours takes all at once and limits itself, any other gets batches.
        words: Overrides, those with several values swept.
        most: Number of jobs that a launcher is given at a time; None = all.
        check: Function that composes sets of overrides and raises where one does not fit.

    Raises:
        ValueError: A set of overrides does not fit, or jobs failed; names them and why.
    """
    if most is not None:
        require_at_least("hydra.sweeper.max_batch_size", most, 1, integer=True)
    (sets,) = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(list(words)), None)
    check(sets)
    if hasattr(launcher, "engine"):
        return launcher.launch(sets, initial_job_idx=0)
    return _run_batches(config, launcher, sets, most)


def _run_batches(
    config: DictConfig, launcher: Launcher, sets: Sequence[Words], most: int | None
) -> Sequence[JobReturn]:
    """Hand the jobs to a launcher that is not ours, batch by batch."""
    settings = cast(SweepSettings, OmegaConf.to_container(config.sweep, resolve=True))
    folder = Path(config.hydra.sweep.dir)
    repeated = [one for words in sets for one in with_replicates(words, settings["seeds"], settings["folds"])]
    jobs = [
        Job(job_overrides(words), folder / str(number), replicate=replicate)
        for number, (words, replicate) in enumerate(repeated)
    ]
    if settings["dry_run"]:
        print_estimate(jobs, 1)
        return []
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "multirun.yaml", OmegaConf.to_yaml(config))
    ended: list[JobReturn] = []
    while len(ended) < len(jobs) and not (settings["fail_fast"] and _failures(ended)):
        start = len(ended)
        batch = [list(words) for words, _ in repeated[start : start + (most or len(jobs))]]
        ended += launcher.launch(batch, initial_job_idx=start)
    if config.hydra.job.config_name == "train":
        report(jobs, folder)
    _refuse_failures(jobs, ended)
    return ended


def _failures(ended: Sequence[JobReturn]) -> list[int]:
    """Numbers of the jobs that failed."""
    return [number for number, one in enumerate(ended) if one.status == JobStatus.FAILED]


def _refuse_failures(jobs: Sequence[Job], ended: Sequence[JobReturn]) -> None:
    failed = _failures(ended)
    if not failed:
        return
    count = f"{len(failed)} of {len(jobs)} jobs failed"
    if len(ended) < len(jobs):
        count += f"; {len(jobs) - len(ended)} were not started (sweep.fail_fast)"
    lines = [f"job {number} ({short_path(jobs[number].folder)}): {ended[number]._return_value}" for number in failed]
    raise ValueError("\n".join([count, *lines]))
