"""Two processes (gloo) that are stopped, or of which one dies: both are gone within seconds, with the cause told."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT, SMALL

WORDS = [*SMALL, "trainer=ddp_cpu", "trainer.max_epochs=500", "callbacks.progress.enabled=false"]


class Run:
    """A training on two processes in a folder, with what it printed."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder / "run"
        env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
        self.printed = folder / "printed.txt"
        command = [sys.executable, str(ROOT / "train.py"), *WORDS, f"hydra.run.dir={self.folder}", *words]
        with self.printed.open("w") as file:
            self.process = subprocess.Popen(
                command, cwd=folder, env=env, stdout=file, stderr=file, start_new_session=True
            )

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: object) -> None:
        if self.members():
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def members(self) -> list[int]:
        """Living processes of the run."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, _, group = path.read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue
            if int(group) == self.process.pid and state != "Z":
                found.append(int(path.parent.name))
        return found

    def reaches(self, there: Callable[[], object]) -> None:
        until = time.monotonic() + 200
        while not there():
            assert self.process.poll() is None, self.printed.read_text()
            assert time.monotonic() < until
            time.sleep(0.01)

    def end(self) -> tuple[int, dict[str, str], list[str]]:
        """Exit status, record, and lines about the end; all processes are gone by then or within a second."""
        status = self.process.wait(200)
        until = time.monotonic() + 3
        while self.members():
            assert time.monotonic() < until
            time.sleep(0.05)
        told = [line for line in self.printed.read_text().splitlines() if line.startswith("segexp")]
        return status, json.loads((self.folder / "run.json").read_text()), told


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="only Linux tells which processes there are")
@pytest.mark.slow
@pytest.mark.parametrize("whom", ["first", "all"])
def test_sigterm_ends_all_processes_within_ten_seconds(tmp_path, whom):
    with Run(tmp_path) as run:
        run.reaches((run.folder / "checkpoints" / "last.ckpt").is_file)
        begun = time.monotonic()
        (os.kill if whom == "first" else os.killpg)(run.process.pid, signal.SIGTERM)
        status, record, told = run.end()
        assert time.monotonic() - begun < 13  # with what `end` waits for the others
    assert (status, record["status"]) == (143, "interrupted")
    remedy = f"resume with: {sys.executable} {ROOT / 'train.py'} resume=run"
    assert record["why"] == f"stopped by SIGTERM; {remedy}"
    assert told == [f"segexp train: stopped by SIGTERM; {remedy}"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="only Linux tells which processes there are")
def test_a_process_that_is_killed_ends_the_run_with_this_cause(tmp_path):
    with Run(tmp_path) as run:
        run.reaches((run.folder / "metrics.csv").is_file)
        (other,) = [pid for pid in run.members() if pid != run.process.pid]
        os.kill(other, signal.SIGKILL)
        status, record, told = run.end()
    cause = f"rank 1 of 2 (process {other}) was killed by SIGKILL, as when memory runs out"
    assert (status, record["status"], record["why"]) == (1, "failed", f"ChildProcessError: {cause}")
    assert told == [f"segexp train: {cause}"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="only Linux tells which processes there are")
def test_a_process_that_fails_alone_tells_why(tmp_path):
    fault = ["+callbacks.fault._target_=tests.integration.spy.FaultOfRank", "+callbacks.fault.rank=1"]
    with Run(tmp_path, *fault) as run:
        status, record, told = run.end()
    assert (status, record["status"]) == (1, "failed")
    cause = r"rank 1 of 2 \(process \d+\) failed: OSError: planted"
    assert re.fullmatch(f"ChildProcessError: {cause}", record["why"])
    (line,) = told
    assert re.fullmatch(f"segexp train: {cause}", line)
