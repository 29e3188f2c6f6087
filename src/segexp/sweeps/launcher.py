"""From a Hydra multirun to jobs: the launcher behind ``hydra/launcher=local``, ``slurm`` and ``ray``."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypedDict, cast

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf

from segexp.errors import require_choice, short_path
from segexp.stopping import without_deadline
from segexp.sweeps.changed import AGAIN, KEEP, Composed, settle_changed
from segexp.sweeps.engine import Engine
from segexp.sweeps.jobs import Job, digest, folder_name, job_overrides, key_of, varying, with_replicates
from segexp.sweeps.ledger import FAILED, INTERRUPTED, LEDGER, QUEUED, Ledger
from segexp.sweeps.pool import Pool, Tracked, last_lines
from segexp.sweeps.summary import mean_monitored, report
from segexp.sweeps.watch import watcher


class SweepSettings(TypedDict):
    """Group ``sweep`` of the configuration."""

    seeds: list[int] | None
    folds: list[int] | None
    retry: str | None
    changed: str | None
    fail_fast: bool
    dry_run: bool


class Sweep:
    """A sweep folder with its ledger; makes the jobs and runs them.

    Args:
        config: Configuration of the multirun, Hydra's own node included.
        engine: Engine that runs the jobs.

    Raises:
        ValueError: The sweep group has an invalid value, or the command is not ``train``.
    """

    def __init__(self, config: DictConfig, engine: Engine) -> None:
        name = config.hydra.job.config_name
        if name != "train":
            raise ValueError(f"-m with segexp {name}: only the runs of segexp train are swept; leave -m out")
        self.settings = cast(SweepSettings, OmegaConf.to_container(config.sweep, resolve=True))
        require_choice("sweep.retry", self.settings["retry"], [None, FAILED])
        require_choice("sweep.changed", self.settings["changed"], [None, KEEP, AGAIN])
        self.folder = Path(config.hydra.sweep.dir)
        self.engine = engine
        self.ledger = Ledger(self.folder / LEDGER)
        self.command = (name, *_search_path(config))

    def jobs(self, words: Sequence[str], shown: Iterable[str]) -> list[Job]:
        """Make the jobs of one set of overrides: one, or one per seed and fold.

        Args:
            words: Overrides.
            shown: Keys of the overrides that the folder's name shows; a job that has run before keeps its folder.
        """
        known = self.ledger.entries()
        jobs = []
        for own, replicate in with_replicates(job_overrides(words), self.settings["seeds"], self.settings["folds"]):
            ident = digest(own)
            keys = [*shown, *(key_of(word) for word in replicate)]
            name = known[ident].name if ident in known else folder_name(own, keys)
            jobs.append(Job(own, self.folder / name, self.command, replicate))
        return jobs

    def pool(self, **hooks: Any) -> Pool:
        """Return a pool that runs jobs of this sweep; for ``hooks`` see `Pool`."""
        retry, fail_fast = self.settings["retry"], self.settings["fail_fast"]
        return Pool(self.engine, self.ledger, watcher(), retry, fail_fast, **hooks)


def launch(
    config: DictConfig, engine: Engine, batches: Sequence[Sequence[str]], composed: Composed | None = None
) -> list[JobReturn]:
    """Run all jobs of a grid, for Hydra.

    Args:
        config: Configuration of the multirun, Hydra's own node included.
        engine: Engine that runs the jobs.
        batches: Sets of overrides.
        composed: Function that composes a set of overrides; None = it is not looked for what has changed.

    Returns:
        Per set of overrides the monitored metric, averaged over seeds and folds.

    Raises:
        ValueError: Jobs failed; names them, why, and the end of their logs. All others have ended well.
    """
    most = config.hydra.sweeper.get("max_batch_size")
    if most is not None:
        engine.jobs_at_once = min(engine.jobs_at_once, most)
    # From sets of overrides to jobs, one per seed and fold.
    sweep = Sweep(config, engine)
    shown = varying([job_overrides(words) for words in batches])
    groups = [sweep.jobs(words, shown) for words in batches]
    jobs = [job for group in groups for job in group]
    if sweep.settings["dry_run"]:
        from segexp.sweeps.estimate import print_estimate

        print_estimate(jobs, engine.jobs_at_once, getattr(engine, "threads", None))
        return [_returned(config, words, None) for words in batches]
    if composed is not None:
        settled = iter(settle_changed(jobs, composed, sweep.settings["changed"], sweep.ledger))
        groups = [[next(settled) for _ in group] for group in groups]
        jobs = [job for group in groups for job in group]
    # Run all, whatever becomes of each; only then complain.
    print(f"{len(jobs)} jobs in {sweep.folder}, {engine.jobs_at_once} at once")
    without_deadline()
    ended = sweep.pool().run(jobs)
    report(jobs, sweep.folder)
    refuse_failures(ended)
    return [_returned(config, words, mean_monitored(group)) for words, group in zip(batches, groups, strict=True)]


def refuse_failures(ended: Sequence[Tracked]) -> None:
    """Report what did not end well, and why.

    Raises:
        ValueError: Jobs failed, or were stopped by somebody else.
    """
    failed = [item for item in ended if item.state == FAILED]
    stopped = sum(item.state == INTERRUPTED for item in ended)
    queued = sum(item.state == QUEUED for item in ended)
    problems = []
    if failed:
        count = f"{len(failed)} of {len(ended)} jobs"
        problems.append(f"{count} failed; the same command with sweep.retry=failed runs them again")
    if stopped:
        problems.append(f"{stopped} were stopped from outside; the same command resumes them")
    if queued:
        problems.append(f"{queued} were not started (sweep.fail_fast)")
    lines = ["; ".join(problems)]
    for item in failed:
        end = [f"  | {line}" for line in last_lines(item.job, 6).splitlines()]
        lines += [f"{item.job.name}: {item.why}", *end, f"  all of it: {short_path(item.job.files.log_path)}"]
    if problems:
        raise ValueError("\n".join(lines))


def _search_path(config: DictConfig) -> list[str]:
    """Arguments with which a job finds the same configuration files."""
    words = []
    for source in config.hydra.runtime.config_sources:
        if source.provider == "command-line":
            words += ["--config-dir", source.path]
    given = cast(list[str], OmegaConf.to_container(config.hydra.overrides.hydra, resolve=False))
    return words + [word for word in given if re.match(r"\+*hydra\.searchpath=", word)]


def _returned(config: DictConfig, words: Sequence[str], value: float | None) -> JobReturn:
    return JobReturn(overrides=list(words), cfg=config, hydra_cfg=None, status=JobStatus.COMPLETED, _return_value=value)
