"""Claims of run folders: one process works in a folder, whatever others start on this machine or on another.

The claim is the file ``.lock``, made once and whole (a link of a finished file), and an exclusive flock of it, which a
child may inherit and which ends with its last holder, however that ends. What the file holds, and a beat of its time
stamp, tell the processes of machines that share files but no locks.
"""

import fcntl
import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from segexp.errors import short_path
from segexp.runs.folder import RunFolder
from segexp.stopping import give_up
from segexp.writing import link, move, part_beside, remove

BEAT_SECONDS = 30.0
LOOK_SECONDS = 0.5  # between two looks at the clock: a machine may have slept
STALE_SECONDS = 600.0  # without a beat, after which the process of another machine counts as gone
ORPHAN_SECONDS = 10.0  # for which a lock may be held though its owner is gone
MOST_BYTES = 1000  # of the file, which somebody else may have written


@dataclass(frozen=True)
class Owner:
    """Process that works in a folder.

    Args:
        host: Name of its machine.
        pid: Number of the process there.
        start: Time at which it took the folder, in ISO format.
        signer: Number of the process that wrote this: itself, or the one that started it and left it the folder.
        beat: Time of its last beat, in seconds since 1970.
    """

    host: str
    pid: int
    start: str
    signer: int
    beat: float = field(default=0.0, compare=False)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.start}"

    @property
    def is_here(self) -> bool:
        """Whether it runs, or ran, on this machine."""
        return self.host == socket.gethostname()

    @property
    def lives(self) -> bool:
        """Whether it runs on this machine, or showed on another one that it does."""
        if not self.is_here:
            return time.time() - self.beat < STALE_SECONDS
        try:
            os.kill(self.pid, 0)
        except OSError as error:
            return isinstance(error, PermissionError)  # it is there, but somebody else's
        return True


class Claim:
    """A folder that was taken; who leaves the context has released it.

    Args:
        path: Path to the lock.
        file: Open lock; None = the process has inherited it.
        owner: What the lock says.
    """

    def __init__(self, path: Path, file: int | None, owner: Owner) -> None:
        self.path = path
        self.owner = owner
        self._file = file

    def __enter__(self) -> "Claim":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def fileno(self) -> int:
        """Number of the open file, for a child to inherit."""
        assert self._file is not None
        return self._file

    def hand_over(self, pid: int) -> None:
        """Name the child that has inherited the lock as its owner; this process holds it no more."""
        _sign(self.fileno(), pid)
        self._close()

    def release(self) -> None:
        """Free the folder."""
        with suppress(OSError):
            if _read(self.path) == self.owner:
                remove(self.path)
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
        self._file = None


def take(folder: Path) -> Claim | None:
    """Take a folder; None while a live process, here or on another machine, works in it.

    Raises:
        OSError: The folder cannot be made, or nothing can be written there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = RunFolder(folder).lock_path
    begun = time.monotonic()
    while (claim := _take_over(path) if path.exists() else _create(path)) is None:
        known = _read(path)
        if (known is not None and known.lives) or time.monotonic() - begun > ORPHAN_SECONDS:
            return None
        time.sleep(0.05)  # children of a killed process may live on, and who looks at a lock holds it for a moment
    return claim


def owner(folder: Path) -> Owner | None:
    """Process that works in a folder; None where none does."""
    path = RunFolder(folder).lock_path
    if not path.is_file():
        return None
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:  # removed in this moment, or another user's alone
        return _read(path)
    try:
        return _holder(file, path, fcntl.LOCK_SH)
    finally:
        os.close(file)


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold a folder, and show so to other machines.

    Raises:
        BlockingIOError: Another process works there; names it and the remedy.
        OSError: The folder cannot be made, or nothing can be written there.
    """
    claim = take(folder)
    if claim is None:
        lock = RunFolder(folder).lock_path
        raise BlockingIOError(
            f"{short_path(folder)} is in use ({owner(folder) or 'another process'}): wait for that process or end it; "
            f"if it cannot be alive, remove {short_path(lock)}"
        )
    ended = threading.Event()
    threading.Thread(target=_beat, args=(claim, ended), daemon=True).start()
    try:
        with claim:
            yield
    finally:
        ended.set()


def _create(path: Path) -> Claim | None:
    """Make the lock, held and whole from its first moment; None where another process was faster."""
    part = part_beside(path)
    file = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    with suppress(OSError):  # a file system without locks: what the file holds must do
        fcntl.flock(file, fcntl.LOCK_EX)
    try:
        mine = _sign(file)
        _publish(part, path)
    except FileExistsError:
        os.close(file)
        return None
    finally:
        remove(part)
    return Claim(path, file, mine)


def _publish(part: Path, path: Path) -> None:
    """Give a file its name, unless there is one of this name."""
    try:
        link(part, path)
    except FileExistsError:
        raise
    except OSError as error:  # a file system without links
        if path.exists():
            raise FileExistsError(path) from error
        move(part, path)


def _take_over(path: Path) -> Claim | None:
    """Take a lock whose holder has gone, or has handed it over to this process; None where somebody holds it."""
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    holder = _holder(file, path, fcntl.LOCK_EX)
    if holder is None and _is_at(file, path):
        return Claim(path, file, _sign(file))
    os.close(file)
    if holder is not None and holder.is_here and holder.pid == os.getpid() != holder.signer:
        return Claim(path, None, holder)
    return None


def _holder(file: int, path: Path, kind: int) -> Owner | None:
    """Lock a file that is open; return who holds it, if that fails, or lives on a machine that this one cannot see."""
    known = _read(path)
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return known or Owner("this machine", 0, "an unknown time", 0)
    except OSError:  # a file system without locks
        return known if known is not None and known.lives else None
    # What is free here may be held on a machine that shares files but no locks.
    return known if known is not None and not known.is_here and known.lives else None


def _is_at(file: int, path: Path) -> bool:
    """Whether an open file still has its name: its holder may just have removed it."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _sign(file: int, pid: int = 0) -> Owner:
    """Write into a lock who holds it: this process, or the child of it with that number."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    mine = Owner(socket.gethostname(), pid or os.getpid(), now, os.getpid())
    content = {"host": mine.host, "pid": mine.pid, "start": mine.start, "signer": mine.signer}
    os.ftruncate(file, 0)
    os.pwrite(file, json.dumps(content).encode(), 0)
    os.fsync(file)
    return mine


def _read(path: Path) -> Owner | None:
    """What a lock says; None where it says nothing that can be trusted."""
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(MOST_BYTES))
            beat = os.fstat(file.fileno()).st_mtime
        start = datetime.fromisoformat(content["start"]).isoformat()
        known = Owner(str(content["host"]), int(content["pid"]), start, int(content["signer"]), beat)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return known if re.fullmatch(r"[\w.-]{1,255}", known.host) and known.pid > 0 else None


def _beat(claim: Claim, ended: threading.Event) -> None:
    """Show other machines that this process lives; end it where one of them has taken the folder meanwhile.

    The clock of the day goes on while a machine sleeps: who wakes up looks before it shows a sign of life.
    """
    last = time.time()
    while not ended.wait(LOOK_SECONDS):
        if abs(time.time() - last) < BEAT_SECONDS:
            continue
        last = time.time()
        other = _read(claim.path)
        if other is not None and other != claim.owner:
            give_up(
                f"{short_path(claim.path.parent)} was taken over by {other}, as this process had given no sign of life "
                f"for {STALE_SECONDS / 60:.0f} minutes: it ends and writes nothing more"
            )
        with suppress(OSError):  # a folder that was removed ends the run where it next writes
            os.utime(claim.path)
