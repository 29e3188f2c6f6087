"""What a job of a sweep costs beyond its training, with our launcher and with Hydra's own, in one run on one machine.

    python -m benchmarks.sweeps                       # writes the table into benchmarks/README.md
    python -m benchmarks.sweeps --print --jobs 2      # a quick look

Each row is the same sweep of nearly empty jobs (two steps of a tiny network), started anew from the shell. Hydra's
basic launcher and joblib with one job at a time run all jobs in the driver's own process, joblib with two in two
processes that take job after job; ours starts a process per job.
"""

import argparse
import csv
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.tables import machine, publish

TINY = (
    *(
        "data.source.size=[48,48]",
        "data.source.count=5",
        "data.sampling.patch_size=[32,32]",
        "data.sampling.patches_per_epoch=8",
    ),
    *(
        "data.sampling.batch_size=4",
        "model.base_channels=4",
        "model.depth=2",
        "trainer=cpu",
        "trainer.precision=32-true",
    ),
    *("trainer.max_epochs=1", "callbacks.progress.enabled=false"),
)
LAUNCHERS = {  # row: words, jobs at a time
    "local": (["hydra/launcher=local", "hydra.launcher.jobs_at_once=1"], 1),
    "joblib": (["hydra/launcher=joblib", "hydra.launcher.n_jobs=1"], 1),
    "basic": (["hydra/launcher=basic"], 1),
    "local, 2 at once": (["hydra/launcher=local", "hydra.launcher.jobs_at_once=2"], 2),
    "joblib, 2 at once": (["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"], 2),
}
PEER = {"local": "joblib", "basic": "joblib", "local, 2 at once": "joblib, 2 at once"}


@dataclass(frozen=True)
class Overhead:
    """Seconds per job beyond the training: on the clock, and of the processors."""

    wall: float
    cpu: float


def sweep(words: list[str], at_once: int, jobs: int) -> Overhead:
    """Run one sweep and subtract what its runs report of their epochs, training and validation, in metrics.csv."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}
    with tempfile.TemporaryDirectory() as folder:
        seeds = f"seed={','.join(map(str, range(jobs)))}"
        command = [sys.executable, "-m", "segexp", "train", "-m", *TINY, seeds, *words, f"hydra.sweep.dir={folder}"]
        before, start = _cpu(), time.perf_counter()
        subprocess.run(command, env=env, check=True, capture_output=True, cwd=folder)
        wall, cpu = time.perf_counter() - start, _cpu() - before
        tables = list(Path(folder).rglob("metrics.csv"))
        assert len(tables) == len(list(Path(folder).rglob("results.json"))) == jobs
        training = statistics.fmean(_epochs(path) for path in tables)
    return Overhead(wall / jobs - training / at_once, cpu / jobs - training)


def _cpu() -> float:
    """Seconds of user and system time of all children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _epochs(path: Path) -> float:
    with path.open(newline="", encoding="utf-8") as file:
        return sum(float(row["seconds"]) + float(row["validation_seconds"]) for row in csv.DictReader(file))


def measure(rounds: int, jobs: int) -> list[str]:
    """Run all rows in turn, several rounds, and return the lines of the table."""
    found: dict[str, list[Overhead]] = {name: [] for name in LAUNCHERS}
    for _ in range(rounds):
        for name, (words, at_once) in LAUNCHERS.items():
            found[name].append(sweep(words, at_once, jobs))
            print(f"{name}: {found[name][-1]}", flush=True)
    lines = ["| launcher | s / job | : joblib | processor s / job | : joblib |", "| --- | ---: | ---: | ---: | ---: |"]
    for name, rows in found.items():
        cells = []
        for kind in ("wall", "cpu"):
            own = [getattr(row, kind) for row in rows]
            peer = [getattr(row, kind) for row in found[PEER.get(name, name)]]
            ratio = statistics.median(a / b for a, b in zip(own, peer, strict=True))
            cells += [f"{statistics.median(own):.2f}", f"{ratio:.2f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Measure, then write or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=8, help="of each sweep")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--print", action="store_true", help="leave benchmarks/README.md alone")
    options = parser.parse_args()
    load = f"load of the machine before: {os.getloadavg()[0]:.1f}"
    head = f"{machine()}\n"
    head += f"sweeps of {options.jobs} jobs, 1 thread each, median of {options.rounds} rounds; {load}\n\n"
    text = head + "\n".join(measure(options.rounds, options.jobs)) + "\n"
    publish("benchmarks.sweeps", text, options.print)


if __name__ == "__main__":
    main()
