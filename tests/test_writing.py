"""A file is there whole or not at all, whatever happens meanwhile; what was made beside it is gone afterwards."""

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

from segexp.writing import STALE_SECONDS, WriteError, hidden_folder, remove_folder, replacing, write_bytes, write_text
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
