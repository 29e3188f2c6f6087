"""Who works in a folder: real processes here, and other machines by what they would leave in the lock."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from segexp.runs.claim import STALE_SECONDS, claimed, owner, take
from segexp.runs.folder import RunFolder
from tests.conftest import python

ROOT = Path(__file__).parents[2]
HOLD = """
import sys, time
from pathlib import Path
from segexp.runs.claim import take
claim = take(Path(sys.argv[1]))
print(claim is not None, flush=True)
time.sleep(float(sys.argv[2]))
"""
RACE = """
import os, sys, time
from pathlib import Path
from segexp.runs.claim import take
folder = Path(sys.argv[1])
folder.with_name(f"ready-{os.getpid()}").touch()
while len(list(folder.parent.glob("ready-*"))) < int(sys.argv[2]):
    time.sleep(0.005)
claim = take(folder)
print(claim is not None, flush=True)
time.sleep(3)
"""


SLEEPER = """
import sys, time
from pathlib import Path
from segexp.runs import claim
claim.BEAT_SECONDS = 0.05
claim.LOOK_SECONDS = 0.01
folder = Path(sys.argv[1])
with claim.claimed(folder):
    lock = folder / ".lock"
    lock.write_text(lock.read_text().replace('"host": "', '"host": "other-'))  # as another machine would
    time.sleep(20)
    (folder / "written").touch()
"""


def holder(folder: Path, argument: float = 60, script: str = HOLD) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", script, str(folder), str(argument)]
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env)


def leave_lock(folder: Path, age: float, **facts: object) -> Path:
    """Leave the lock of a process of another machine, whose last beat was some seconds ago."""
    folder.mkdir(exist_ok=True)
    content = {"host": "elsewhere", "pid": 7, "start": "2026-01-02T03:04:05+00:00", "signer": 7}
    path = RunFolder(folder).lock_path
    path.write_text(json.dumps(content | facts))
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_a_claim_is_held_by_one_process_named_to_others_and_free_after_its_end(tmp_path):
    folder = tmp_path / "run"
    with holder(folder) as process:
        assert process.stdout.readline() == "True\n"
        assert take(folder) is None
        found = owner(folder)
        assert (found.host, found.pid) == (socket.gethostname(), process.pid)
        with pytest.raises(BlockingIOError, match=rf"in use \(process {process.pid} on {socket.gethostname()}, since"):
            claimed(folder).__enter__()
        process.send_signal(signal.SIGKILL)
    assert owner(folder) is None
    with take(folder):
        assert owner(folder).pid == os.getpid()
    assert not list(folder.iterdir())


@pytest.mark.slow
def test_of_many_that_start_at_once_one_gets_the_folder(tmp_path):
    racers = [holder(tmp_path / "run", 8, RACE) for _ in range(8)]
    told = [process.communicate()[0] for process in racers]
    assert sorted(told) == ["False\n"] * 7 + ["True\n"]


def test_an_abandoned_lock_goes_to_one_of_many(tmp_path):
    folder = tmp_path / "run"
    with holder(folder) as process:
        process.stdout.readline()
        process.kill()
    racers = [holder(folder, 8, RACE) for _ in range(8)]
    assert sorted(process.communicate()[0] for process in racers) == ["False\n"] * 7 + ["True\n"]


def test_a_lock_of_another_machine_counts_until_it_is_stale(tmp_path):
    path = leave_lock(tmp_path, age=STALE_SECONDS / 2)
    assert take(tmp_path) is None
    with pytest.raises(BlockingIOError, match="process 7 on elsewhere") as refused, claimed(tmp_path):
        pass
    assert f"if it cannot be alive, remove {path}" in str(refused.value)
    path.unlink()  # as the message says
    take(tmp_path).release()
    leave_lock(tmp_path, age=STALE_SECONDS + 60)
    assert owner(tmp_path) is None
    with take(tmp_path):
        assert owner(tmp_path).host == socket.gethostname()


def test_a_holder_shows_other_machines_that_it_lives(tmp_path, monkeypatch):
    monkeypatch.setattr("segexp.runs.claim.BEAT_SECONDS", 0.05)
    monkeypatch.setattr("segexp.runs.claim.LOOK_SECONDS", 0.01)
    with claimed(tmp_path):
        path = RunFolder(tmp_path).lock_path
        os.utime(path, (0, 0))
        until = time.monotonic() + 30
        while path.stat().st_mtime == 0:
            assert time.monotonic() < until
            time.sleep(0.02)


def test_who_slept_and_lost_the_folder_ends_and_writes_nothing(tmp_path):
    done = python(tmp_path, "-c", SLEEPER, tmp_path / "run")
    assert done.returncode == 1
    assert "run was taken over by process" in done.stderr
    assert f"on other-{socket.gethostname()}" in done.stderr
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]


def test_a_child_inherits_the_folder_and_frees_it(tmp_path):
    claim = take(tmp_path)
    script = HOLD.replace(
        "time.sleep(float(sys.argv[2]))", "sys.stdin.readline(); claim.release(); sys.stdin.readline()"
    )
    words = [sys.executable, "-c", "import sys; sys.stdin.readline()\n" + script, str(tmp_path), "0"]
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, text=True, env=env, pass_fds=[claim.fileno()], **pipes) as child:
        claim.hand_over(child.pid)
        assert owner(tmp_path).pid == child.pid
        assert take(tmp_path) is None
        print(file=child.stdin, flush=True)
        assert child.stdout.readline() == "True\n"
        print(file=child.stdin, flush=True)
        until = time.monotonic() + 30
        while owner(tmp_path) is not None:
            assert time.monotonic() < until
        print(file=child.stdin, flush=True)


@pytest.mark.parametrize("content", ["", "no JSON", "[]", '{"host": "\\u001b[31m", "pid": 1}', '{"pid": "x"}'])
def test_a_lock_that_says_nothing_to_be_trusted_is_free(tmp_path, content):
    RunFolder(tmp_path).lock_path.write_text(content)
    assert owner(tmp_path) is None
    with take(tmp_path):
        pass


def test_without_links_and_locks_what_the_file_holds_must_do(tmp_path, monkeypatch):
    """As on some file systems: os.link and flock fail there."""

    def refused(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("os.link", refused)
    monkeypatch.setattr("fcntl.flock", refused)
    with take(tmp_path):
        assert take(tmp_path) is None
        assert owner(tmp_path).pid == os.getpid()
    assert not list(tmp_path.iterdir())
