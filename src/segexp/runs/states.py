"""State of the runs on the disk: which have ended, which are running, which were left by a process that is gone."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from segexp.runs.files import Json
from segexp.runs.folder import epoch_seconds
from segexp.runs.runs import Run

RUNNING, STALE = "running", "stale"
STOPPED = ("failed", "interrupted")
STALE_SECONDS = 3600  # without a touched file


@dataclass(frozen=True)
class RunState:
    """A run with its state, age and size.

    Args:
        run: The run; its status is done, failed, interrupted, running or stale.
        age: Seconds since it ended, or started if it has not ended.
        size: Bytes of all its files.
        minutes: Minutes of training and validation, over all epochs; None = no epoch yet.
    """

    run: Run
    age: float
    size: int
    minutes: float | None

    @property
    def headline(self) -> tuple[str, float] | None:
        """Name and value of the headline metric; None before the end, or if it is undefined."""
        headline = self.run.results.get("headline")
        if headline is None or headline["value"] is None:
            return None
        return f"{headline['split']}/{headline['metric']}", headline["value"]

    @property
    def resumable(self) -> bool:
        """Whether training could be resumed from a checkpoint."""
        return self.run.files.last_checkpoint.is_file()

    def plain(self) -> dict[str, Json]:
        """Plain values for JSON."""
        name, value = self.headline or (None, None)
        return {
            "run": str(self.run.folder),
            "state": self.run.status,
            "why": self.run.record.get("why", ""),
            "metric": name,
            "value": value,
            "age_seconds": round(self.age),
            "size_bytes": self.size,
            "minutes": self.minutes,
            "resumable": self.resumable,
        }


def with_state(run: Run) -> Run:
    """Correct the status: "stale" where nobody works on what says "running", "running" where a sweep starts it anew."""
    status = run.status
    if status == RUNNING:
        # A process works on a run if it has touched a file lately, holds the lock, or has a file open to write.
        lately = time.time() - max(stat.st_mtime for stat in _files(run.folder)) < STALE_SECONDS
        if not (lately or _locked(run.files.lock_path) or any(_opened_to_write(run.folder.resolve()))):
            status = STALE
    elif status in STOPPED and _locked(run.files.lock_path):
        status = RUNNING
    return replace(run, record=run.record | {"status": status})


def measured(run: Run) -> RunState:
    """Measure age, size and time of a run."""
    since = run.record.get("end") or run.record.get("start") or "1970-01-01T00:00:00+00:00"
    age = time.time() - datetime.fromisoformat(since).timestamp()
    size = sum(stat.st_size for stat in _files(run.folder))
    seconds = epoch_seconds(run.curves)
    return RunState(run, age, size, sum(seconds) / 60 if seconds else None)


def _locked(path: Path) -> bool:
    """Whether a job of a sweep is alive, on whatever machine: it holds the lock of its folder."""
    import fcntl  # POSIX only

    if not path.is_file():
        return False
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _opened_to_write(folder: Path) -> Iterator[Path]:
    """Files below a folder that a process of this user and machine writes to; known on Linux alone."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if link.readlink().is_relative_to(folder):
                info = (link.parents[1] / "fdinfo" / link.name).read_text(encoding="ascii")
                flags = next(line.split()[1] for line in info.splitlines() if line.startswith("flags:"))
                if int(flags, 8) & (os.O_WRONLY | os.O_RDWR):
                    yield link


def _files(folder: Path) -> Iterator[os.stat_result]:
    """Facts of all files below a folder, links not followed; a running job may remove some meanwhile."""
    for base, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                yield (Path(base) / name).lstat()
