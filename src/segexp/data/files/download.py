"""Download files with pinned SHA-256: progress, retries, and resume where a broken download stopped."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from segexp.data.cache.hashes import hash_file
from segexp.writing import move, remove

_ATTEMPTS = 4
_TIMEOUT_S = 30.0
_CHUNK = 1 << 16
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP answers that may differ in a moment

_log = logging.getLogger(__name__)


class DownloadError(OSError):
    """A file could not be downloaded; the message names it and tells why."""


@dataclass(frozen=True)
class RemoteFile:
    """A file to download.

    Attributes:
        url: URL of the file, http or https; proxies come from the environment.
        path: Path to save it at, relative to the root, with forward slashes.
        sha256: SHA-256 in hexadecimal digits.
        size: Number of bytes.
    """

    url: str
    path: str
    sha256: str
    size: int


def fetch_all(files: Sequence[RemoteFile], root: Path, wait: Callable[[float], None] = time.sleep) -> None:
    """Download the files that are not yet under ``root`` with the right SHA-256, behind one progress bar.

    A lock file (``root/.download.lock``, held by flock, so the system frees it even after a crash) lets one process
    download at a time; the others wait and then find the files.

    Args:
        files: Files to download; those already there are skipped.
        root: Folder that receives them; made if missing.
        wait: Function that sleeps the given seconds between attempts.

    Raises:
        DownloadError: A file could not be downloaded, see ``fetch``.
        OSError: ``root`` cannot be written or locked.
    """
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root / ".download.lock"):
        paths = {file: root / file.path for file in files}
        missing = [file for file, path in paths.items() if not path.is_file() or hash_file(path) != file.sha256]
        if not missing:
            return
        columns = (TextColumn("download"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with Progress(*columns) as bar:
            task = bar.add_task("download", total=sum(file.size for file in missing))
            finished = 0

            def show(done: int) -> None:
                bar.update(task, completed=finished + done)

            for file in missing:
                fetch(file, root, show, wait)
                finished += file.size


def fetch(
    file: RemoteFile, root: Path, progress: Callable[[int], None], wait: Callable[[float], None] = time.sleep
) -> None:
    """Download one file; nothing stands under its name before size and SHA-256 are right.

    Bytes gather in ``<path>.part``. A later attempt, or a later call, asks the server for the missing rest only.
    Not for two processes at once on one path: ``fetch_all`` holds the lock for that.

    Args:
        file: File to download.
        root: Folder that its path is relative to.
        progress: Function that is called with the number of bytes of this file that are there.
        wait: Function that sleeps the given seconds (1, 2, 4) between the four attempts.

    Raises:
        DownloadError: The server refuses, sends too much, stays away for all attempts, or the SHA-256 is wrong.
    """
    path = root / file.path
    part = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(_ATTEMPTS):
        try:
            _continue(file.url, part, file.size, progress)
            break
        except DownloadError:
            raise
        except (OSError, HTTPException) as error:
            _give_up_or_wait(file.url, error, attempt, wait)
    sha256 = hash_file(part)
    if sha256 != file.sha256:
        remove(part)
        raise DownloadError(
            f"{file.url} has SHA-256 {sha256} where {file.sha256} is expected: it was deleted; try again"
        )
    move(part, path)


def _continue(url: str, part: Path, size: int, progress: Callable[[int], None]) -> None:
    """Ask for the bytes that ``part`` lacks and append them; start again where the server sends the whole file."""
    done = part.stat().st_size if part.exists() else 0
    if done == size:
        return
    request = Request(url, headers={"Range": f"bytes={done}-"} if 0 < done < size else {})
    with urlopen(request, timeout=_TIMEOUT_S) as response:
        done = done if response.status == 206 else 0
        with part.open("ab" if done else "wb") as file:
            while chunk := response.read(_CHUNK):
                done += len(chunk)
                if done > size:
                    break
                file.write(chunk)
                progress(done)
    if done > size:
        remove(part)
        raise DownloadError(f"{url} sends more than the expected {size} bytes: the file has changed at its source")
    if done < size:
        raise ConnectionError(f"the connection ended after {done} of {size} bytes")


def _give_up_or_wait(url: str, error: Exception, attempt: int, wait: Callable[[float], None]) -> None:
    if isinstance(error, HTTPError):
        error.close()
        if error.code not in _PASSING:
            raise DownloadError(f"{url} cannot be downloaded ({error})") from error
    if attempt + 1 == _ATTEMPTS:
        raise DownloadError(f"{url} cannot be downloaded, {_ATTEMPTS} attempts failed (last: {error})") from error
    _log.warning("download of %s broke off (%s), next attempt in %g s", url, error, 2.0**attempt)
    wait(2.0**attempt)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    import fcntl  # POSIX only; elsewhere the rest of the package still imports

    with path.open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _log.warning("another process downloads into %s: waiting for it", path.parent)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
