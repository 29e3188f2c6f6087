"""Disks that killed processes write to: as it is, one that fills up, one that answers as NFS does."""

import errno
import os
import random
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.faults.processes import ROOT

MEGABYTES = 32  # of the disk that fills up
BALLAST = "ballast"


@dataclass(frozen=True)
class Disk:
    """A disk of killed processes.

    Args:
        around: Context around all that happens in a folder.
        before: Function of the folder, the bytes that an unbroken command takes, and a source of random numbers, called
            before a process is started that will be killed.
        after: Function of the folder, called before the command goes on.
        env: Variables of the processes, given the folder.
        excuse: What a process may print whose status is 1; empty = none may end so.
    """

    around: Callable[[Path], AbstractContextManager[object]] = nullcontext
    before: Callable[[Path, int, random.Random], object] = lambda *_: None
    after: Callable[[Path], object] = lambda *_: None
    env: Callable[[Path], Mapping[str, str]] = field(default=lambda _: {})
    excuse: str = ""


@contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """A small disk of its own at a folder."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, needed: int, draw: random.Random) -> None:
    """Leave room for a part of what the command will write."""
    state = os.statvfs(folder)
    room = int(draw.random() * needed)
    with (folder / BALLAST).open("wb") as file, suppress_full():
        os.posix_fallocate(file.fileno(), 0, max(state.f_bavail * state.f_frsize - room, 1))


@contextmanager
def suppress_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


def make_room(folder: Path) -> None:
    with suppress(FileNotFoundError):
        (folder / BALLAST).unlink()


def over_nfs(folder: Path) -> Mapping[str, str]:
    """Variables under which Python's calls answer as over NFS, see nfs/sitecustomize.py."""
    return {"PYTHONPATH": f"{Path(__file__).parent / 'nfs'}:{ROOT / 'src'}", "NFS_FOLDER": str(folder)}


DISKS = {
    "plain": Disk(),
    "full": Disk(mounted, fill, make_room, excuse="make room"),
    "nfs": Disk(env=over_nfs),
}
