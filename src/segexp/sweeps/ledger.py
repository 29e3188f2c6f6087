"""ledger.jsonl: states of the jobs of a sweep, one line per change, written by any number of drivers."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, NotRequired, TypedDict

from segexp.runs.folder import RunFolder

QUEUED, RUNNING, DONE, FAILED, INTERRUPTED, PRUNED = "queued", "running", "done", "failed", "interrupted", "pruned"


class Line(TypedDict):
    """A line of the ledger: a job came to a state."""

    time: str
    job: str
    name: str
    state: str
    driver: str
    why: NotRequired[str]
    where: NotRequired[str]
    overrides: NotRequired[list[str]]


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
    """A file to which lines are only ever added, each whole or not at all.

    Args:
        path: Path to the file; drivers on several machines may share it.
    """

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
        line = {"time": _now(), "job": job, "name": name, "state": state, **facts, "driver": driver()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(self.path) as file:
            if not _ends_with_newline(file):  # the last writer died in the middle of its line
                file.write(b"\n")
            file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def lines(self) -> list[Line]:
        """All lines; one that was cut off is left out."""
        if not self.path.is_file():
            return []
        return list(_parsed(self.path.read_bytes()))

    def entries(self) -> dict[str, Entry]:
        """State of each job by its id, from the lines that were added since the last call and those before."""
        for line in _parsed(self._new()):
            before = self._entries.get(line["job"])
            starts = (before.starts if before else 0) + (line["state"] == RUNNING)
            self._entries[line["job"]] = Entry(line["name"], line["state"], line.get("why", ""), starts)
        return dict(self._entries)

    def _new(self) -> bytes:
        """Whole lines that were added since the last call."""
        if not self.path.is_file():
            return b""
        with self.path.open("rb") as file:
            file.seek(self._read)
            added = file.read()
        added = added[: added.rfind(b"\n") + 1]
        self._read += len(added)
        return added


def _parsed(content: bytes) -> Iterator[Line]:
    for text in content.decode(errors="replace").splitlines():
        try:
            yield json.loads(text)
        except json.JSONDecodeError:
            continue


def driver() -> str:
    """Name of this process among all machines."""
    return f"{socket.gethostname()}:{os.getpid()}"


def take(folder: Path) -> BinaryIO | None:
    """Take the lock of a job's folder; None while a live process, here or on another machine, holds it.

    A child that inherits the file holds the lock too; it is free once all its holders have ended, however they ended.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = RunFolder(folder).lock_path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    with path.open("ab+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _ends_with_newline(file: BinaryIO) -> bool:
    file.seek(0, os.SEEK_END)
    if file.tell() == 0:
        return True
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
