"""How files are written: made beside their place, synced, then moved there, so that a reader never sees half of one.

Parts that a killed process has left are removed by the next process that writes to their folder.
"""

import errno
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

HIDDEN = ".part-"  # start of the name of what is being made
STALE_SECONDS = 86_400  # after which also a part of another machine is taken for abandoned
TAIL = 40  # characters of the name that a part ends in; writers look at the suffix

_numbers = count()
_cleared: set[Path] = set()
_clearing = threading.Lock()


class WriteError(OSError):
    """A file could not be written; the message names it and the cause. What stood there before is untouched."""


@contextmanager
def replacing(path: Path, sync: bool = True) -> Iterator[Path]:
    """Give the path of a hidden part beside a file; once it is whole, it takes the place of the file.

    Where the part cannot be written, it is removed, and its bytes are free again. A link is replaced, not followed.

    Args:
        path: Path to the file; its folder must be there.
        sync: Whether to wait until the bytes are on the disk, so that they outlive a loss of power.

    Raises:
        WriteError: The file cannot be written.
    """
    part = part_beside(path)
    try:
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, "it is read-only", str(part))
        part.touch()
        mode = part.stat().st_mode  # as umask gives it
        yield part
        part.chmod(mode)
        settle(part, path, sync)
    except BaseException as error:
        with suppress(OSError):
            remove(part)
        # Not of another file, which was read or written meanwhile.
        if isinstance(error, OSError) and str(error.filename) in ("None", str(part)) and error.errno is not None:
            raise WriteError(f"{path} cannot be written: {_cause(path, error)}") from error
        raise


def settle(part: Path, path: Path, sync: bool = True) -> None:
    """Let a file that is whole take its place, in another folder of the same disk maybe."""
    if sync:
        _sync(part)
    move(part, path)
    if sync:
        _sync(path.parent)


def move(source: Path, target: Path) -> None:
    """Give a file or folder another name on the same disk, in the place of what has that name.

    On a network file system the answer of the server may be lost: the call then reports an error though it is done.

    Raises:
        OSError: It still has its old name.
    """
    known = source.lstat()
    try:
        source.replace(target)
    except OSError:
        if not _is(target, known):
            raise


def link(source: Path, target: Path) -> None:
    """Give a file a second name.

    Raises:
        FileExistsError: Something else has that name.
        OSError: Such as of a file system without links.
    """
    known = source.lstat()
    try:
        os.link(source, target)
    except OSError:  # maybe done all the same, see `move`
        if not _is(target, known):
            raise


def remove(path: Path) -> None:
    """Remove a file, if it is there.

    Raises:
        OSError: It is still there.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError:  # maybe done all the same, see `move`
        if os.path.lexists(path):
            raise


def _is(path: Path, known: os.stat_result) -> bool:
    """Whether a path leads to a file that was looked at before."""
    try:
        return os.path.samestat(path.lstat(), known)
    except OSError:
        return False


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole, as `replacing` does."""
    with replacing(path) as part:
        part.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a file in UTF-8 whole, as `replacing` does; line ends stay as they are."""
    write_bytes(path, text.encode("utf-8"))


@contextmanager
def hidden_folder(parent: Path) -> Iterator[Path]:
    """Name a hidden folder that whoever enters may make; afterwards it is removed, whenever Ctrl-C comes.

    ``tempfile.TemporaryDirectory`` leaves its folder if Ctrl-C comes while it is being made or emptied.

    Args:
        parent: Folder that it lies in, on the disk of the files to come, so that they can be moved into place.
    """
    folder = part_beside(parent / "folder")
    try:
        yield folder
    finally:
        remove_folder(folder)


def remove_folder(folder: Path) -> None:
    """Remove a folder, if it is there and as far as possible.

    ``shutil.rmtree`` runs in another thread, because Ctrl-C comes to the main one: there, it would leave the folder
    half removed, or raise an OSError (bad file descriptor) in place of KeyboardInterrupt.
    """
    remover = threading.Thread(target=shutil.rmtree, args=(folder, True))
    remover.start()
    remover.join()


def part_beside(path: Path) -> Path:
    """Name a part that no other process and thread has; removes what killed processes have left beside it."""
    with _clearing:
        if path.parent not in _cleared:
            _clear(path.parent)
        _cleared.add(path.parent)
    return path.with_name(f"{HIDDEN}{os.getpid()}-{next(_numbers)}-{socket.gethostname()}-{path.name[-TAIL:]}")


def _clear(folder: Path) -> None:
    """Remove the parts that nobody works on any more."""
    with suppress(OSError):  # not there, or not ours to look into
        for part in folder.glob(f"{HIDDEN}*"):
            if _abandoned(part):
                remove(part) if not part.is_dir() else remove_folder(part)


def _abandoned(part: Path) -> bool:
    """Whether the process that made a part has gone; on another machine, whether the part is a day old."""
    own, _, rest = part.name.removeprefix(HIDDEN).partition("-")
    if not rest.partition("-")[2].startswith(f"{socket.gethostname()}-") or not own.isdigit():
        return time.time() - part.lstat().st_mtime > STALE_SECONDS
    if int(own) == os.getpid():
        return True  # this process has written nothing here yet: an earlier one had its number, as in a container
    try:
        os.kill(int(own), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if path.is_dir() and os.name != "posix":
        return
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that knows no such thing
            raise
    finally:
        os.close(number)


def _cause(path: Path, error: OSError) -> str:
    if not path.parent.is_dir():
        return f"its folder {path.parent} is gone"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(path.parent).free
        return f"{error.strerror}, {free / 1e6:.1f} MB are free there: make room"
    return str(error.strerror or error)
