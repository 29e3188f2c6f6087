"""Jobs that are copies of a loaded process: real ones, told apart from fresh ones by nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from segexp.runs.claim import Claim
from segexp.runs.folder import RunFolder
from segexp.sweeps import warm
from segexp.sweeps.jobs import Job
from segexp.sweeps.local import LocalJob, environment, start_process
from segexp.sweeps.local import claim as claim_of
from segexp.sweeps.warm import ForkedProcess, Template
from tests.conftest import SMALL, table, trained

SHORT = (*SMALL, "name=test", "trainer=cpu", "trainer.max_epochs=1", "page=false")

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="jobs are copies on Linux alone")


@pytest.fixture(scope="module")
def template():
    made = Template(environment([], 1))
    yield made
    made.close()


def started(template: Template, folder: Path, *words: str) -> ForkedProcess:
    job = Job((*SHORT, *words), folder)
    lock = claim_of(job)
    assert lock is not None
    process = start_process(job, lock, environment([], 1) | {"OF_THE_JOB": "yes"}, template)
    assert isinstance(process, ForkedProcess)
    return process


def ended(process: ForkedProcess) -> int:
    until = time.monotonic() + 200
    while process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert process.returncode is not None
    return process.returncode


def test_a_copy_trains_as_a_fresh_process_does(template, tmp_path):
    assert ended(started(template, tmp_path / "copy")) == 0
    copy, fresh = RunFolder(tmp_path / "copy"), RunFolder(trained(tmp_path / "fresh", *SHORT))
    for part in ("val", "test"):
        assert copy.results()[part] == fresh.results()[part]
    losses = [[row["train/loss"] for row in table(folder.path / "metrics.csv")] for folder in (copy, fresh)]
    assert losses[0] == losses[1]
    assert set(SHORT) <= set(copy.record()["overrides"])
    assert "1 of 1 epochs trained" in copy.log_path.read_text()
    assert not copy.lock_path.exists()


def test_each_copy_ends_on_its_own_and_tells_how(template, tmp_path):
    failing = started(template, tmp_path / "failing", "optimizer.lr=-1")
    killed = started(template, tmp_path / "killed")
    assert ended(failing) == 1
    assert "optimizer.lr" in RunFolder(tmp_path / "failing").log_path.read_text()
    lock = json.loads(RunFolder(tmp_path / "killed").lock_path.read_text())
    assert lock["pid"] == killed.pid != os.getpid()
    assert os.getpgid(killed.pid) == os.getsid(killed.pid) == killed.pid
    killed.send_signal(signal.SIGKILL)
    assert ended(killed) == -signal.SIGKILL
    killed.send_signal(signal.SIGKILL)  # it is gone: no other process is hit


def test_a_copy_waits_for_its_folder(template, tmp_path):
    with (tmp_path / "log").open("wb") as log:
        process, gate = template.start(["--version"], environment([], 1), log.fileno(), log.fileno())
        time.sleep(0.1)
        assert process.poll() is None
        os.close(gate)  # who asked for it has failed
    assert ended(process) == 1
    assert (tmp_path / "log").read_text() == ""


def test_a_template_that_is_stuck_is_given_up(monkeypatch, caplog):
    monkeypatch.setattr(warm, "ANSWER_SECONDS", 0.2)
    stuck = Template(environment([], 1))
    assert stuck._process is not None
    os.kill(stuck._process.pid, signal.SIGSTOP)
    assert stuck.start(["--version"], {}, 1, 1) is None
    assert "it has not loaded everything within 0 s" in caplog.text
    assert stuck._process is None


def test_a_copy_that_is_killed_before_it_begins_is_a_job_that_failed(template, tmp_path, monkeypatch):
    hand_over = Claim.hand_over

    def too_late(lock: Claim, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        hand_over(lock, pid)

    monkeypatch.setattr(Claim, "hand_over", too_late)
    assert ended(started(template, tmp_path / "killed")) == -signal.SIGKILL


def test_what_a_killed_job_leaves_is_no_zombie(template):
    ready, told = os.pipe()
    code = f"import os, time; os.fork() or os.write({told}, b'1'); time.sleep(100)"
    leader = subprocess.Popen([sys.executable, "-c", code], pass_fds=[told], start_new_session=True)
    assert os.read(ready, 1)  # the child of the job lives
    os.close(ready)
    os.close(told)
    job = LocalJob(leader, "CPU", lambda: None)
    leader.kill()
    leader.wait()
    assert job.poll() == -signal.SIGKILL
    with pytest.raises(ChildProcessError):
        os.waitpid(-leader.pid, os.WNOHANG)
    with pytest.raises(ProcessLookupError):
        os.killpg(leader.pid, 0)


def test_in_a_folder_that_was_removed_no_copy_is_made(tmp_path, monkeypatch, caplog):
    made = Template(environment([], 1))
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    made._ready = True
    assert made.start(["--version"], {}, 1, 1) is None
    assert "No such file or directory" in caplog.text


def test_a_copy_has_variables_and_folder_of_its_own(template, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with (tmp_path / "log").open("wb") as log:
        given = environment([], 1) | {"COLUMNS": "90", "SEGEXP_DATA_DIR": str(tmp_path / "mine")}
        process, gate = template.start(
            ["train", "data=isbi", "--cfg", "job", "--resolve"], given, log.fileno(), log.fileno()
        )
    with os.fdopen(gate, "wb") as opened:
        opened.write(b"1")
    assert ended(process) == 0
    assert f"root: {tmp_path / 'mine'}" in (tmp_path / "log").read_text()


def test_without_a_template_jobs_are_fresh_processes_and_that_is_said_once(tmp_path, caplog):
    broken = Template(environment([], 1) | {"PYTHONHOME": "/nowhere"})
    for _ in range(2):
        assert broken.start(["--version"], {}, 1, 1) is None
    assert [record.message for record in caplog.records] == [
        "jobs start as fresh processes, not as copies of one that has loaded everything: it ended before it had loaded "
        "everything"
    ]
    broken.close()


@pytest.mark.slow
def test_a_template_with_threads_of_its_own_is_not_copied(tmp_path, caplog):
    code = "import threading, time\nthreading.Thread(target=time.sleep, args=(100,), daemon=True).start()\n"
    (tmp_path / "sitecustomize.py").write_text(code)
    path = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    template = Template(environment([], 1) | {"PYTHONPATH": path})
    assert template.start(["--version"], {}, 1, 1) is None
    assert "threads were started: MainThread, Thread-1 (sleep)" in caplog.text


@pytest.mark.slow
def test_a_copy_starts_further_processes_of_its_own(template, tmp_path):
    words = ["trainer=ddp_cpu", "trainer.devices=2", "data.sampling.num_workers=1"]
    assert ended(started(template, tmp_path / "two", *words)) == 0
    assert RunFolder(tmp_path / "two").record()["status"] == "done"
