"""Several drivers, as on several machines, at one sweep folder; and what a machine does with a job that others have."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from segexp.runs.claim import take
from segexp.sweeps.ledger import DONE, INTERRUPTED, RUNNING
from segexp.sweeps.local import environment
from segexp.sweeps.remote import HELD, Order, RemoteJob, Submission, submit
from tests.sweeps.tiny_job import TinyJob, lines_of

ROOT = Path(__file__).parents[2]
WRITER = """
import sys
from pathlib import Path
from segexp.sweeps.ledger import Ledger

ledger = Ledger(Path(sys.argv[1]))
for number in range(200):
    ledger.add(f"{sys.argv[2]}-{number}", "name", "running", filling="x" * (number * 37 % 9000))
"""
DRIVER = """
import sys, time
from pathlib import Path
from rich.console import Console
from segexp.sweeps.ledger import Ledger
from segexp.sweeps.local import LocalEngine
from segexp.sweeps.pool import Pool
from segexp.sweeps.watch import PlainLines
from tests.sweeps.test_remote import tiny_jobs

folder = Path(sys.argv[1])
(folder / f"ready-{sys.argv[2]}").touch()
while len(list(folder.glob("ready-*"))) < 3:
    time.sleep(0.01)
engine = LocalEngine(jobs_at_once=2, gpus_per_job=0)
ended = Pool(engine, Ledger(folder / "ledger.jsonl"), PlainLines(Console())).run(tiny_jobs(folder, 12))
sys.exit(any(item.state != "done" for item in ended))
"""


def tiny_jobs(folder: Path, count: int, *words: str) -> list[TinyJob]:
    jobs = [(f"value=0.{number + 1:02}", *(words or ("epochs=2",))) for number in range(count)]
    return [TinyJob(overrides, folder / overrides[0]) for overrides in jobs]


def at_the_same_time(script: str, folder: Path, count: int) -> list[int]:
    """Statuses of several processes that run a script, given the folder and a number."""
    words = [sys.executable, "-c", script, str(folder)]
    started = [subprocess.Popen([*words, str(number)], cwd=ROOT) for number in range(count)]
    return [process.wait(timeout=120) for process in started]


def eventually(there: Callable[[], object], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.05)


def status(job: TinyJob) -> str:
    return job.files.record().get("status", "")


def test_lines_of_several_drivers_are_whole_and_none_is_lost(tmp_path):
    assert at_the_same_time(WRITER, tmp_path / "ledger.jsonl", 4) == [0] * 4
    lines = lines_of(tmp_path)
    assert {line["job"] for line in lines} == {f"{who}-{number}" for who in range(4) for number in range(200)}
    assert len(lines) == 800
    assert len({line["driver"] for line in lines}) == 4


def test_several_drivers_share_the_jobs_of_one_folder_and_none_runs_twice(tmp_path):
    assert at_the_same_time(DRIVER, tmp_path, 3) == [0] * 3
    lines = lines_of(tmp_path)
    starts = [line for line in lines if line["state"] == RUNNING]
    assert Counter(line["name"] for line in starts) == {job.name: 1 for job in tiny_jobs(tmp_path, 12)}
    assert len({line["driver"] for line in starts}) > 1  # they did divide them
    ends = {line["name"]: line["state"] for line in lines if line["state"] not in (RUNNING, "queued")}
    assert set(ends.values()) == {DONE}


def test_a_job_of_two_submissions_runs_once(tmp_path):
    (job,) = tiny_jobs(tmp_path, 1, "epochs=10")
    first, second = RemoteJob(Order.of(job)), RemoteJob(Order.of(job))
    assert first.start() is None
    assert second.run() == HELD
    assert first.poll() is None
    eventually(lambda: first.poll() is not None)
    assert first.poll() == 0
    assert second.run() == 0  # done meanwhile
    assert RemoteJob(Order.of(job)).run() == 0
    assert job.files.record()["status"] == DONE


def test_a_job_that_failed_while_a_second_submission_waited_is_not_tried_again(tmp_path):
    (job,) = tiny_jobs(tmp_path, 1, "do=raise")
    waiting = RemoteJob(Order.of(job))
    assert RemoteJob(Order.of(job)).run() == 1
    pid = job.files.record()["pid"]
    assert waiting.run() == 1
    assert job.files.record()["pid"] == pid
    assert RemoteJob(Order.of(job)).run() == 1  # ordered after the failure: that is a retry
    assert job.files.record()["pid"] != pid


def test_stopping_waits_for_a_clean_end_and_kills_what_does_not_heed(tmp_path):
    (slow,) = tiny_jobs(tmp_path / "slow", 1, "seconds=60")
    (deaf,) = tiny_jobs(tmp_path / "deaf", 1, "seconds=60", "do=hang")
    for job, seconds, expected in ((slow, 30, 1), (deaf, 0.5, -signal.SIGKILL)):
        remote = RemoteJob(Order.of(job))
        assert remote.start() is None
        eventually(lambda job=job: status(job) == RUNNING)
        remote.finish(seconds)
        eventually(lambda remote=remote: remote.poll() is not None)
        assert remote.poll() == expected
    assert (status(slow), status(deaf)) == (INTERRUPTED, RUNNING)


def test_a_process_can_be_interrupted_and_lives_through_the_signal_of_the_cluster(tmp_path):
    (job,) = tiny_jobs(tmp_path, 1, "seconds=0.2", "epochs=5")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # as Ray does in its workers
    try:
        remote = RemoteJob(Order.of(job))
        assert remote.start() is None
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, set())
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    eventually(lambda: status(job) == RUNNING)
    os.kill(job.files.record()["pid"], signal.SIGUSR2)
    eventually((job.folder / "metrics.csv").is_file)
    remote.finish(30)
    assert status(job) == INTERRUPTED


class Handle:
    """What tells a driver of a submission that runs in this process."""

    where = "here"

    def __init__(self, order: Order) -> None:
        self.remote = RemoteJob(order)
        self.status = self.remote.start()

    def poll(self) -> int | None:
        return self.remote.poll() if self.status is None else self.status

    def stop(self) -> None:
        self.remote.stop()

    def kill(self) -> None:
        self.remote.kill()


def test_a_submission_goes_on_with_what_another_driver_lost(tmp_path):
    (job,) = tiny_jobs(tmp_path, 1, "seconds=0.3", "epochs=8")
    others = RemoteJob(Order.of(job))
    assert others.start() is None
    orders: list[Order] = []
    ours = Submission(job, lambda order: orders.append(order) or Handle(order))
    assert ours.poll() is None  # another's, and it lives
    assert submit(job, Handle) is None
    eventually(lambda: (job.folder / "checkpoints" / "last.ckpt").is_file())
    others.kill()
    eventually(lambda: others.poll() is not None)
    eventually(lambda: ours.poll() is not None)
    assert ours.poll() == 0
    assert (len(orders), status(job)) == (2, DONE)


def test_the_lock_of_a_submission_is_free_for_the_machine_that_runs_it(tmp_path):
    (job,) = tiny_jobs(tmp_path, 1)
    submission = submit(job, Handle)
    assert submission is not None
    assert take(job.folder) is None  # the process has it now
    eventually(lambda: submission.poll() is not None)
    assert submission.poll() == 0


def test_a_single_task_of_slurm_looks_like_a_plain_process(monkeypatch):
    from pytorch_lightning.plugins.environments import SLURMEnvironment

    monkeypatch.setenv("SLURM_NTASKS", "1")
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("SLURM_JOB_NAME", "name")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "4")
    assert SLURMEnvironment.detect()
    env = environment(None, None)
    monkeypatch.delenv("SLURM_NTASKS")
    assert not SLURMEnvironment.detect()
    assert "SLURM_NTASKS" not in env
    assert env["SLURM_CPUS_PER_TASK"] == "4"
