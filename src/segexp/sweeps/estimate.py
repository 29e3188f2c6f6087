"""``sweep.dry_run=true``: what a sweep would run, and an estimate of its time and disk from measured steps."""

import heapq
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from segexp.sweeps.jobs import Job, key_of, varying
from segexp.sweeps.local import environment
from segexp.sweeps.watch import duration
from segexp.terminal import Console, Table

LEFT_OUT = (
    "Left out, where minutes= does not say what a job takes: validation, the final scoring, and time to load patches "
    "beyond the step."
)


@dataclass(frozen=True)
class Estimate:
    """Time and disk that a job will take.

    Args:
        parameters: Number of parameters of the network.
        training: Seconds of all training steps.
        start: Seconds of imports and set-up before them.
        disk: Bytes of the checkpoints.
        error: Reason why the job cannot run; empty if it can.
    """

    parameters: int = 0
    training: float = 0.0
    start: float = 0.0
    disk: int = 0
    error: str = ""

    @property
    def seconds(self) -> float:
        """Seconds of the whole job, as far as they were measured."""
        return self.start + self.training


def print_estimate(jobs: Sequence[Job], jobs_at_once: int, threads: int | None = None) -> None:
    """List the jobs with what each takes, and what all take; run none of them.

    Args:
        jobs: Jobs of the sweep. Those that differ only in seed and fold share one measurement.
        jobs_at_once: Number of jobs that run at a time.
        threads: Number of CPU threads of each; None = no limit.
    """
    # Each job gets the estimate of the experiment that it repeats.
    groups: dict[tuple[str, ...], list[Job]] = {}
    for job in jobs:
        groups.setdefault(tuple(sorted(job.settings)), []).append(job)
    measured = {}
    for number, (settings, members) in enumerate(groups.items(), start=1):
        print(f"measuring {number} of {len(groups)}: {members[0].name}", flush=True)
        measured[settings] = measure(members[0], threads)
    estimates = [measured[tuple(sorted(job.settings))] for job in jobs]
    console = Console()
    console.print(_table(jobs, estimates))
    # One line for each error, with the jobs that have it.
    numbers: dict[str, list[str]] = {}
    for number, estimate in enumerate(estimates, start=1):
        if estimate.error:
            numbers.setdefault(estimate.error, []).append(str(number))
    lines = [f"job {', '.join(which)}: {error}" for error, which in numbers.items()]
    for text in [*lines, _total(estimates, jobs_at_once), LEFT_OUT]:
        console.print(text, soft_wrap=True, highlight=False)


def measure(job: Job, threads: int | None = None) -> Estimate:
    """Take a few training steps of a job in a process of its own with so many CPU threads; None = no limit."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "step.json"
        files = [f"path='{path}'", f"hydra.run.dir='{folder}'"]
        words = [sys.executable, "-m", "segexp", "benchmark", *job.command[1:], "subject=step", *job.settings, *files]
        begin = time.monotonic()
        ended = subprocess.run(
            words, capture_output=True, text=True, env=environment(None, threads), stdin=subprocess.DEVNULL, check=False
        )
        whole = time.monotonic() - begin
        if ended.returncode or not path.is_file():
            lines = ended.stderr.strip().splitlines() or [f"measuring ended with status {ended.returncode}"]
            return Estimate(error=lines[-1].strip().removeprefix("segexp benchmark: "))
        cost = json.loads(path.read_text(encoding="utf-8"))
    # What the process took beyond the measured steps is its start.
    start = max(whole - cost["measuring_seconds"], 0.0)
    training = cost["training_seconds"]
    if cost["minutes"] is not None:
        training = max(0.0, 60 * cost["minutes"] - start)  # with all that is left out elsewhere
    return Estimate(cost["parameters"], training, start, cost["run_bytes"])


def makespan(seconds: Iterable[float], at_once: int) -> float:
    """Time until all jobs have ended when the next one starts wherever one ends first.

    Args:
        seconds: Seconds of each job, in the order in which they start.
        at_once: Number of jobs that run at a time.
    """
    free = [0.0] * max(at_once, 1)
    for each in seconds:
        heapq.heapreplace(free, free[0] + each)
    return max(free)


def _table(jobs: Sequence[Job], estimates: Sequence[Estimate]) -> Table:
    keys = varying([job.overrides for job in jobs])
    table = Table("job", *(key.rpartition(".")[2] for key in keys))
    for heading in ("parameters", "start", "training", "disk"):
        table.add_column(heading, justify="right", no_wrap=True)
    for number, (job, estimate) in enumerate(zip(jobs, estimates, strict=True), start=1):
        values = {key_of(word): word.partition("=")[2] for word in job.overrides}
        cost = ["–", "–", "error", "–"]
        if not estimate.error:
            times = [duration(estimate.start), duration(estimate.training)]
            cost = [f"{estimate.parameters:,}", *times, _size(estimate.disk)]
        table.add_row(str(number), *(values.get(key, "") for key in keys), *cost)
    return table


def _total(estimates: Sequence[Estimate], jobs_at_once: int) -> str:
    good = [estimate for estimate in estimates if not estimate.error]
    whole = duration(makespan([estimate.seconds for estimate in good], jobs_at_once))
    disk = _size(sum(estimate.disk for estimate in good))
    return f"{len(good)} jobs, {jobs_at_once} at once: about {whole}; checkpoints: {disk}"


def _size(count: int) -> str:
    """Write a number of bytes: 12.3 MB, 4.56 GB."""
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"
