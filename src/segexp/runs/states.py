"""State of the runs on the disk: which have ended, which are running, which were left by a process that is gone."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from segexp.runs.claim import owner
from segexp.runs.files import Json
from segexp.runs.folder import epoch_seconds
from segexp.runs.runs import Run

RUNNING, STALE = "running", "stale"
STOPPED = ("failed", "interrupted")


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
        value = None if headline is None else headline.get("value")
        if headline is None or value is None:
            return None
        return f"{headline.get('split')}/{headline.get('metric')}", value

    @property
    def resumable(self) -> bool:
        """Whether training could be resumed from a checkpoint."""
        return any(path.is_file() for path in self.run.files.checkpoints)

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
    """Correct the status: "stale" where no process has what says "running", "running" where one has what had ended."""
    status = run.status
    if status == RUNNING or status in STOPPED:
        if owner(run.folder) is not None:
            status = RUNNING
        elif status == RUNNING:
            status = STALE
    return replace(run, record=run.record | {"status": status})


def measured(run: Run) -> RunState:
    """Measure age, size and time of a run."""
    since = run.record.get("end") or run.record.get("start") or "1970-01-01T00:00:00+00:00"
    age = time.time() - datetime.fromisoformat(since).timestamp()
    size = sum(stat.st_size for stat in _files(run.folder))
    seconds = epoch_seconds(run.curves)
    return RunState(run, age, size, sum(seconds) / 60 if seconds else None)


def _files(folder: Path) -> Iterator[os.stat_result]:
    """Facts of all files below a folder, links not followed; a running job may remove some meanwhile."""
    for base, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                yield (Path(base) / name).lstat()
