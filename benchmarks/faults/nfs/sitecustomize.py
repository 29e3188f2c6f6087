"""Lets the file calls of Python answer as those of a network file system (NFS) do; for the processes of a test alone.

In the folder ``NFS_FOLDER`` a call that changes names is done, and reports an error now and then all the same: the
answer of the server was lost, the client asked again, and the second try found its work done (ENOENT, EEXIST), or the
handle gone (ESTALE). A file that this process has open and that is removed or replaced lives on as ``.nfs…`` beside it
until the process ends; it stays if the process is killed, as after a crash of the machine. Times of files are whole
seconds.
"""

import atexit
import errno
import os
import random
import stat
from collections.abc import Callable
from typing import Any

FOLDER = os.environ.get("NFS_FOLDER", "")
FRACTION = 0.05  # of calls that report an error though they did what they should

_draw = random.Random(os.getpid())
_kept: list[tuple[int, str]] = []
_unlink, _rename, _link, _stat, _lstat, _fstat = os.unlink, os.rename, os.link, os.stat, os.lstat, os.fstat


def _inside(path: Any) -> bool:
    return not isinstance(path, int) and os.path.abspath(os.fsdecode(path)).startswith(FOLDER + os.sep)


def _keep_open(path: Any) -> None:
    """Leave a second name to a file that this process has open and that is about to lose its name."""
    try:
        known = _lstat(path)
    except OSError:
        return
    if not stat.S_ISREG(known.st_mode) or known.st_nlink > 1:
        return
    for number in os.listdir("/proc/self/fd"):
        try:
            if os.path.samestat(_fstat(int(number)), known):
                name = os.path.join(os.path.dirname(os.fsdecode(path)), f".nfs{known.st_ino:016x}{len(_kept):08x}")
                _link(path, name)
                _kept.append((os.getpid(), name))
                return
        except OSError:
            continue


def _sent_again(call: Callable[..., Any], numbers: tuple[int, ...], paths: int, loses: int = -1) -> Callable[..., Any]:
    """The call, whose answer may be lost.

    Args:
        call: Function of the module os.
        numbers: Errors that the second try may find.
        paths: Number of the leading arguments that are paths.
        loses: Place of the argument whose file loses its name; -1 = none.
    """

    def called(*arguments: Any, **more: Any) -> Any:
        ours = len(arguments) >= paths and not more and all(map(_inside, arguments[:paths]))
        if ours and loses >= 0:
            _keep_open(arguments[loses])
        answer = call(*arguments, **more)
        if ours and _draw.random() < FRACTION:
            number = _draw.choice(numbers)
            raise OSError(number, os.strerror(number), *arguments[:1])
        return answer

    return called


def _coarse(call: Callable[..., os.stat_result]) -> Callable[..., os.stat_result]:
    """The call, whose answer holds times in whole seconds."""

    def called(path: Any, *arguments: Any, **more: Any) -> os.stat_result:
        found = call(path, *arguments, **more)
        facts = {name: getattr(found, name) for name in ("st_blksize", "st_blocks", "st_rdev")}
        for name in ("st_atime", "st_mtime", "st_ctime"):
            facts[name] = float(int(getattr(found, name)))
            facts[f"{name}_ns"] = int(facts[name]) * 10**9
        return os.stat_result(tuple(found), facts)

    return called


def _forget() -> None:
    for process, name in _kept:
        if process == os.getpid():
            try:
                _unlink(name)
            except OSError:
                continue


if FOLDER:
    os.rename = _sent_again(os.rename, (errno.ENOENT, errno.ESTALE), 2, loses=1)
    os.replace = _sent_again(os.replace, (errno.ENOENT, errno.ESTALE), 2, loses=1)
    os.link = _sent_again(os.link, (errno.EEXIST,), 2)
    os.symlink = _sent_again(os.symlink, (errno.EEXIST,), 2)
    os.mkdir = _sent_again(os.mkdir, (errno.EEXIST,), 1)
    os.unlink = _sent_again(os.unlink, (errno.ENOENT, errno.ESTALE), 1, loses=0)
    os.remove = os.unlink
    os.rmdir = _sent_again(os.rmdir, (errno.ENOENT,), 1)
    os.stat, os.lstat, os.fstat = _coarse(os.stat), _coarse(os.lstat), _coarse(os.fstat)
    atexit.register(_forget)
