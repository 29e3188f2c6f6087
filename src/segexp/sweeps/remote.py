"""Jobs on other machines: the order of a driver, the process there, and the driver's view of it."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from segexp.runs.claim import owner
from segexp.sweeps.engine import Running
from segexp.sweeps.jobs import Job
from segexp.sweeps.ledger import FAILED
from segexp.sweeps.local import LocalJob, claim, environment, start_process

HELD = 75  # status of a submission whose job a live process works on; "try later" in sysexits.h
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Order:
    """A job on its way to another machine.

    Args:
        job: Job whose folder has the same absolute path on all machines.
        cwd: Folder at which relative paths of its configuration start.
        before: Time stamp of its run.json when it was handed over; 0 = there was none.
    """

    job: Job
    cwd: Path
    before: int

    @classmethod
    def of(cls, job: Job) -> "Order":
        """Make an order of a job, in the present folder and at the present time."""
        anywhere = replace(job, folder=job.folder.absolute())
        return cls(anywhere, Path.cwd(), _stamp(anywhere))

    def ended(self) -> int | None:
        """Exit status of a job that another process has ended since the order was made; None if it is to be run."""
        if self.job.is_done:
            return 0
        if self.job.fault:
            return 1
        failed = self.job.files.record().get("status") == FAILED
        return 1 if failed and _stamp(self.job) != self.before else None


class RemoteJob:
    """A job on the machine that runs it; its methods may be called from several threads."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self._running: LocalJob | None = None

    def start(self, env: dict[str, str] | None = None) -> int | None:
        """Start the process, as holder of the job's lock; ``env`` None = the environment of this machine.

        Returns:
            None once it runs; else a status: 75 where a live process has the job, that of a job that has ended.
        """
        os.chdir(self.order.cwd)
        # Time has passed since the order was made: somebody else may have run the job, or run it now.
        status = self.order.ended()
        if status is not None:
            return status
        lock = claim(self.order.job)
        if lock is None:
            return 0 if self.order.job.is_done else HELD
        with signals_of_a_job():
            process = start_process(self.order.job, lock, environment(None, None) if env is None else env)
            self._running = LocalJob(process, self.where(), lambda: None)
        return None

    def run(self) -> int:
        """Start the process, wait for its end and return its status."""
        status = self.start()
        while status is None:
            time.sleep(POLL_SECONDS)
            status = self.poll()
        return status

    def where(self) -> str:
        """Name of this machine."""
        return socket.gethostname()

    def poll(self) -> int | None:
        """Exit status, negative for the signal that killed it; None while it runs."""
        return None if self._running is None else self._running.poll()

    def stop(self) -> None:
        """Interrupt the process, as Ctrl-C would."""
        if self._running is not None:
            self._running.stop()

    def kill(self) -> None:
        """Kill the process with its children."""
        if self._running is not None:
            self._running.kill()

    def finish(self, seconds: float) -> None:
        """Interrupt the process, wait for its end, and kill it if that takes longer than ``seconds``."""
        until = time.monotonic() + seconds
        self.stop()
        while self._running is not None and self.poll() is None:
            if time.monotonic() > until:
                self.kill()
            time.sleep(POLL_SECONDS)


class Submission:
    """A job that was handed to a cluster, as its driver sees it.

    It has ended when nothing holds its lock any more. Where another driver's process turns out to have the job, its end
    is waited for; if it was cut off, the job is handed over again by ``submit``, which returns the running job.
    """

    def __init__(self, job: Job, submit: Callable[[Order], Running]) -> None:
        self.job = job
        self._submit = submit
        self._stopping = False
        self._status: int | None = None
        self._hand_over()

    def poll(self) -> int | None:
        """Exit status, negative for the signal that killed it; None while it runs."""
        if self._status is None:
            self._status = self._handle.poll()
            self.where = self._handle.where
        if self._status is None or owner(self.job.folder) is not None:
            return None
        if self._status != HELD:
            return self._status
        # Another process had the job, and has ended: with the job, or before its end.
        status = self._order.ended()
        if status is None and self._stopping:
            return HELD
        if status is None:
            self._hand_over()
        return status

    def stop(self) -> None:
        """Ask it to end cleanly."""
        self._stopping = True
        self._handle.stop()

    def kill(self) -> None:
        """End it now."""
        self._stopping = True
        self._handle.kill()

    def _hand_over(self) -> None:
        self._order = Order.of(self.job)
        self._status = None
        self._handle = self._submit(self._order)
        self.where = self._handle.where


def submit(job: Job, hand_over: Callable[[Order], Running]) -> Submission | None:
    """Hand a job to a cluster; None where a live process works in its folder or has finished it."""
    lock = claim(job)
    if lock is None:
        return None
    lock.release()  # the process on the other machine takes it
    return Submission(job, hand_over)


def start_beside(order: Order, words: list[str], rank: int, env: dict[str, str]) -> LocalJob:
    """Start a further process of a job that another task holds the lock of; its log is ``log-rank<rank>.txt``."""
    os.chdir(order.cwd)
    with (order.job.folder / f"log-rank{rank}.txt").open("ab") as log, signals_of_a_job():
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=env, start_new_session=True
        )
    return LocalJob(process, socket.gethostname(), lambda: None)


def note(job: Job, text: str) -> None:
    """Add a line to the log of a job, which the sweep shows when it fails."""
    with job.files.log_path.open("a", encoding="utf-8") as log:
        log.write(f"{text.rstrip()}\n")


@contextmanager
def signals_of_a_job() -> Iterator[None]:
    """Let processes that start inside be interrupted, and not receive the signal that announces a cluster's limit.

    Ray blocks SIGINT in its processes, and a child inherits that. SLURM may send its signal to children, too; it is for
    the process that waits for them, which then interrupts them.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _stamp(job: Job) -> int:
    path = job.files.record_path
    return path.stat().st_mtime_ns if path.is_file() else 0
