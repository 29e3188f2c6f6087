"""A file is there whole or not at all, whatever happens meanwhile; what was made beside it is gone afterwards."""

import errno
import os
import resource
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from segexp.writing import (
    STALE_SECONDS,
    WriteError,
    hidden_folder,
    link,
    move,
    remove,
    remove_folder,
    replacing,
    write_bytes,
    write_text,
)
from tests.conftest import python

KILLED = """
import os
from pathlib import Path
from segexp.writing import hidden_folder, replacing

with hidden_folder(Path()) as folder, replacing(Path("a.txt")) as part:
    folder.mkdir()
    part.write_text("half")
    os.kill(os.getpid(), 9)
"""


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let no file grow beyond a size, as on a disk that is full by then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_with_the_mode_of_umask(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with replacing(tmp_path / "a.txt") as part:
        part.write_text("new")
        assert (tmp_path / "a.txt").read_text() == "old"
        assert part.suffix == ".txt"
    assert (tmp_path / "a.txt").read_text() == "new"
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o666 & ~_umask()
    assert listed(tmp_path) == ["a.txt"]


def _umask() -> int:
    kept = os.umask(0)
    os.umask(kept)
    return kept


def test_an_error_leaves_what_was_there(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a.txt") as part:
        part.write_text(f"new {1 / 0}")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert listed(tmp_path) == ["a.txt"]


def test_a_full_disk_leaves_what_was_there_and_is_named(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with file_size_limit(1000), pytest.raises(WriteError, match=r"a.txt cannot be written: File too large"):
        write_bytes(tmp_path / "a.txt", bytes(10_000))
    assert (tmp_path / "a.txt").read_text() == "old"
    assert listed(tmp_path) == ["a.txt"]


def test_a_folder_that_is_gone_is_named(tmp_path):
    (tmp_path / "run").mkdir()
    write_text(tmp_path / "run" / "a.txt", "old")
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(WriteError, match=r"a.txt cannot be written: its folder .*run is gone"):
        write_text(tmp_path / "run" / "a.txt", "new")


def test_an_error_of_another_file_stays_its_own(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"), replacing(tmp_path / "a.txt"):
        (tmp_path / "elsewhere").read_text()
    assert not listed(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write what is read-only")
def test_a_read_only_file_is_left_alone(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    (tmp_path / "a.txt").chmod(0o444)
    with pytest.raises(WriteError, match="it is read-only"):
        write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_link_is_replaced_and_not_followed(tmp_path):
    write_text(tmp_path / "kept.txt", "kept")
    (tmp_path / "a.txt").symlink_to("kept.txt")
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "kept.txt").read_text() == "kept"
    assert (tmp_path / "a.txt").read_text() == "new"


def test_what_a_killed_process_leaves_is_cleared_by_the_next(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    for _ in range(2):
        assert python(tmp_path, "-c", KILLED).returncode == -signal.SIGKILL
        assert (tmp_path / "a.txt").read_text() == "old"
        assert len(listed(tmp_path)) == 3  # of the last one alone
    python(tmp_path, "-c", "from pathlib import Path; from segexp.writing import *; write_text(Path('b.txt'), 'b')")
    assert listed(tmp_path) == ["a.txt", "b.txt"]


def test_parts_of_living_processes_and_other_machines_stay(tmp_path):
    living = tmp_path / f".part-{os.getppid()}-0-{socket.gethostname()}-a.txt"
    fresh = tmp_path / ".part-1-0-elsewhere-a.txt"
    old = tmp_path / ".part-1-1-elsewhere-a.txt"
    for path in (living, fresh, old):
        path.touch()
    os.utime(old, (0, time.time() - STALE_SECONDS - 60))
    write_text(tmp_path / "b.txt", "b")
    assert listed(tmp_path) == sorted([living.name, fresh.name, "b.txt"])


def answer_lost(monkeypatch, name: str, number: int, done: bool = True) -> None:
    """Let a call of the module os report an error, as over NFS, whether it was done or not."""
    real = getattr(os, name)

    def called(*given: Any, **more: Any) -> None:
        if done:
            real(*given, **more)
        raise OSError(number, os.strerror(number), given[0])

    monkeypatch.setattr(os, name, called)


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ESTALE])
def test_a_name_that_was_changed_though_an_error_came_counts_as_changed(tmp_path, monkeypatch, number):
    write_text(tmp_path / "a.txt", "old")
    answer_lost(monkeypatch, "replace", number)
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "new"
    (tmp_path / "folder").mkdir()
    move(tmp_path / "folder", tmp_path / "moved")
    answer_lost(monkeypatch, "unlink", number)
    remove(tmp_path / "a.txt")
    assert listed(tmp_path) == ["moved"]


def test_a_link_that_was_made_though_an_error_came_counts_as_made(tmp_path, monkeypatch):
    write_text(tmp_path / "a.txt", "a")
    write_text(tmp_path / "c.txt", "c")
    with pytest.raises(FileExistsError):
        link(tmp_path / "a.txt", tmp_path / "c.txt")
    answer_lost(monkeypatch, "link", errno.EEXIST)
    link(tmp_path / "a.txt", tmp_path / "b.txt")
    assert (tmp_path / "b.txt").read_text() == "a"


def test_a_name_that_was_not_changed_is_an_error(tmp_path, monkeypatch):
    for name in ("a.txt", "b.txt"):
        write_text(tmp_path / name, name)
    for name in ("replace", "unlink", "link"):
        answer_lost(monkeypatch, name, errno.ESTALE, done=False)
    for call in (move, link):
        with pytest.raises(OSError, match="Stale"):
            call(tmp_path / "a.txt", tmp_path / "b.txt")
    with pytest.raises(OSError, match="Stale"):
        remove(tmp_path / "b.txt")
    assert (tmp_path / "b.txt").read_text() == "b.txt"


def filled(folder: Path) -> Path:
    (folder / "sub").mkdir(parents=True)
    for name in ("a", "sub/b"):
        (folder / name).write_text(name)
    return folder


def test_a_folder_that_was_made_is_gone(tmp_path):
    with hidden_folder(tmp_path) as folder:
        assert folder.parent == tmp_path
        assert folder.name.startswith(".part-")
        filled(folder).joinpath("a").rename(tmp_path / "kept")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_folder_that_was_not_made_is_no_error(tmp_path):
    with hidden_folder(tmp_path / "nowhere"):
        pass
    assert not list(tmp_path.iterdir())


def test_an_error_inside_is_passed_on(tmp_path):
    def fail() -> None:
        with hidden_folder(tmp_path) as folder:
            filled(folder)
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("call", ["unlink", "rmdir", "close"])
def test_ctrl_c_while_it_is_emptied(tmp_path, monkeypatch, call):
    """Of close: in the main thread, shutil.rmtree closes the folder a second time and raises an OSError."""
    real, calls = getattr(os, call), []

    def stopped(*given: Any, **more: Any) -> None:
        real(*given, **more)
        calls.append(given)
        if len(calls) == 1:
            signal.raise_signal(signal.SIGINT)

    def empty() -> None:
        with hidden_folder(tmp_path) as folder:
            filled(folder)
            monkeypatch.setattr(os, call, stopped)
            remove_folder(folder)

    with pytest.raises(KeyboardInterrupt):
        empty()
    assert calls
    assert not list(tmp_path.iterdir())
