"""ledger.jsonl: states of the jobs of a sweep, one line per change, written by any number of drivers."""

import fcntl
import json
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NotRequired, TypedDict

QUEUED, RUNNING, DONE, FAILED, INTERRUPTED, PRUNED = "queued", "running", "done", "failed", "interrupted", "pruned"


class Line(TypedDict):
    """A line of the ledger: a job came to a state. Time, driver, ``where`` and ``overrides`` are for people to read."""

    job: str
    name: str
    state: str
    why: NotRequired[str]


@dataclass
class Entry:
    """State of a job in the ledger.

    Args:
        name: Name of the job's folder.
        state: Last state.
        why: Reason for that state.
        starts: Number of times that the job was started.
    """

    name: str
    state: str
    why: str = ""
    starts: int = 0


class Ledger:
    """A file to which lines are only ever added, each whole or not at all; drivers on several machines may share it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries: dict[str, Entry] = {}
        self._read = 0  # bytes of the file that are in the entries

    def add(self, job: str, name: str, state: str, **facts: object) -> None:
        """Add a line.

        Args:
            job: Id of the job.
            name: Name of its folder.
            state: "queued", "running", "done", "failed", "interrupted" or "pruned".
            facts: Further facts, such as ``why``.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        driver = f"{socket.gethostname()}:{os.getpid()}"
        line = {"time": now, "job": job, "name": name, "state": state, **facts, "driver": driver}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # The last writer may have died in the middle of its line.
            file.seek(max(file.seek(0, os.SEEK_END) - 1, 0))
            if file.read() not in (b"", b"\n"):
                file.write(b"\n")
            file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def entries(self) -> dict[str, Entry]:
        """State of each job by its id, from the lines that were added since the last call and those before."""
        for line in self._new_lines():
            before = self._entries.get(line["job"])
            starts = (before.starts if before else 0) + (line["state"] == RUNNING)
            self._entries[line["job"]] = Entry(line["name"], line["state"], line.get("why", ""), starts)
        return dict(self._entries)

    def _new_lines(self) -> list[Line]:
        """Whole lines that were added since the last call; one that was cut off is left out."""
        if not self.path.is_file():
            return []
        with self.path.open("rb") as file:
            file.seek(self._read)
            added = file.read()
        added = added[: added.rfind(b"\n") + 1]
        self._read += len(added)
        lines = []
        for text in added.decode(errors="replace").splitlines():
            with suppress(json.JSONDecodeError):
                lines.append(json.loads(text))
        return lines
