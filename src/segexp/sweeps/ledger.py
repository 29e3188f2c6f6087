"""ledger.jsonl: states of the jobs of a sweep, one line per change, written by any number of drivers.

Each line ends with the CRC-32 of what stands before it. Where a killed driver has left half a line, the next one notes
that it was cut off; any other line that cannot be read is damaged, and named.
"""

import fcntl
import json
import logging
import os
import re
import socket
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NotRequired, TypedDict, cast

_log = logging.getLogger(__name__)
LEDGER = "ledger.jsonl"
CUT_OFF = b" (cut off)"  # end of a line whose writer was killed
SIGNED = re.compile(rb'(.*), "crc32": "([0-9a-f]{8})"\}')
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
        self._count = 0  # lines of these

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
                file.write(CUT_OFF + b"\n")
            file.write(_signed(line) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def entries(self) -> dict[str, Entry]:
        """State of each job by its id, from the lines that were added since the last call and those before.

        A line that was cut off is left out; so is a damaged one, which a warning names.
        """
        for line in self._new_lines():
            before = self._entries.get(line["job"])
            starts = (before.starts if before else 0) + (line["state"] == RUNNING)
            self._entries[line["job"]] = Entry(line["name"], line["state"], line.get("why", ""), starts)
        return dict(self._entries)

    def _new_lines(self) -> Iterator[Line]:
        """Lines that were added since the last call."""
        for text in self._new():
            self._count += 1
            line = _checked(text)
            if line is not None:
                yield line
            elif not text.endswith(CUT_OFF):
                _log.warning("%s: line %d is damaged and left out; take a copy of the file", self.path, self._count)

    def _new(self) -> list[bytes]:
        if not self.path.is_file():
            return []
        with self.path.open("rb") as file:
            file.seek(self._read)
            added = file.read()
        added = added[: added.rfind(b"\n") + 1]  # whole lines
        self._read += len(added)
        return added.split(b"\n")[:-1]


def _signed(line: Mapping[str, object]) -> bytes:
    text = json.dumps(line, ensure_ascii=False).encode()
    return text[:-1] + f', "crc32": "{zlib.crc32(text):08x}"}}'.encode()


def _checked(text: bytes) -> Line | None:
    """Read a line; None if it is not what was written. Lines of earlier versions have no checksum."""
    signed = SIGNED.fullmatch(text)
    content = signed[1] + b"}" if signed else text
    if signed and int(signed[2], 16) != zlib.crc32(content):
        return None
    try:
        line = json.loads(content)
    except ValueError:
        return None
    whole = isinstance(line, dict) and all(isinstance(line.get(key), str) for key in ("job", "name", "state"))
    return cast(Line, line) if whole else None
