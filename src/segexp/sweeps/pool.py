"""Runs jobs a few at a time; one that fails does not stop the others."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from segexp.runs.claim import owner
from segexp.stopping import Stopped
from segexp.sweeps.engine import Engine, Running
from segexp.sweeps.jobs import Job
from segexp.sweeps.ledger import DONE, FAILED, INTERRUPTED, PRUNED, QUEUED, RUNNING, Entry, Ledger
from segexp.sweeps.progress import Progress

POLL_SECONDS = 0.2
KILL_SECONDS = 10.0  # until a killed process has ended
ELSEWHERE = "another process"


@dataclass
class Tracked:
    """A job and its state.

    Args:
        job: Job.
        state: State, as in the ledger.
        why: Reason for that state.
        running: Process of the job, if it is ours; a job that another process works on has none.
    """

    job: Job
    state: str = QUEUED
    why: str = ""
    running: Running | None = None
    progress: Progress = field(init=False)
    stopping: str = ""  # state that it will have once it has stopped
    started: float = 0.0  # seconds since 1970

    def __post_init__(self) -> None:
        self.progress = Progress(self.job.files)

    @property
    def where(self) -> str:
        """Process, device or machine that it runs on, as shown to the user."""
        if self.state != RUNNING:
            return ""
        return ELSEWHERE if self.running is None else self.running.where


class Watcher(Protocol):
    """Shows jobs while they run."""

    def update(self, jobs: list[Tracked]) -> None:
        """Show the present state; called several times a second."""

    def close(self) -> None:
        """Show the final state."""


@dataclass(eq=False)
class Pool:
    """Runs jobs, and keeps ledger and watcher informed.

    Args:
        engine: Engine that starts them.
        ledger: Ledger of their states.
        watcher: Display of their progress.
        retry: "failed" = run again what failed earlier; None = leave it as it is.
        fail_fast: Whether to start no more jobs once one has failed.
        on_epoch: Function that gets each new row of a job's metrics.csv; True stops the job as pruned.
        on_end: Function that gets each job that ended, also one that had ended earlier.
    """

    engine: Engine
    ledger: Ledger
    watcher: Watcher
    retry: str | None = None
    fail_fast: bool = False
    on_epoch: Callable[[Tracked, dict[str, str]], bool] | None = None
    on_end: Callable[[Tracked], None] | None = None
    tracked: list[Tracked] = field(init=False, default_factory=list)
    waiting: list[Tracked] = field(init=False, default_factory=list)

    def run(self, jobs: Iterable[Job]) -> list[Tracked]:
        """Run all jobs.

        Args:
            jobs: Jobs to run. A sequence is queued at once; of an iterator the next job is only asked for when there
                is room.

        Returns:
            All of them, ended; with ``fail_fast`` some may still be queued.

        Raises:
            Stopped: A signal came; the jobs have ended, their last epochs in their checkpoints.
        """
        self.waiting = [self._admit(job) for job in jobs] if isinstance(jobs, Sequence) else []
        source = iter(()) if isinstance(jobs, Sequence) else iter(jobs)
        try:
            while True:
                self._fill(source)
                alive = [item for item in self.tracked if item.state == RUNNING]
                for item in alive:
                    self._update(item)
                self.watcher.update(self.tracked)
                if not alive:
                    break
                time.sleep(POLL_SECONDS)
        except BaseException:
            self._stop_all()
            raise
        finally:
            self.watcher.close()
            self.engine.close()
        return self.tracked

    def _fill(self, source: Iterator[Job]) -> None:
        while sum(item.running is not None for item in self.tracked) < self.engine.jobs_at_once:
            if self.fail_fast and any(item.state == FAILED for item in self.tracked):
                return
            # Queued jobs come first; then the source is asked for another one.
            if not self.waiting:
                job = next(source, None)
                if job is None:
                    return
                self.waiting.append(self._admit(job))
            self._begin(self.waiting.pop(0))

    def _admit(self, job: Job) -> Tracked:
        item = Tracked(job)
        self.tracked.append(item)
        if job.id not in self.ledger.entries():
            self._note(item, QUEUED, overrides=list(job.overrides))
        return item

    def _begin(self, item: Tracked) -> None:
        """Start a job, unless it has ended before; a failed one is started again with ``retry``."""
        before = self.ledger.entries().get(item.job.id)
        state, why = verdict(item.job, before)
        # What an earlier driver or somebody else has ended is not run again.
        if state != QUEUED and not (state == FAILED and self.retry == FAILED):
            self._end(item, state, why, known=before is not None and before.state == state)
            return
        item.started = time.time()
        item.running = self.engine.start(item.job)
        if item.running is None:
            item.state = RUNNING  # of another driver, or of one that died: wait for its end
        else:
            self._note(item, RUNNING, where=item.running.where)

    def _update(self, item: Tracked) -> None:
        """Read the progress of a job, prune it if asked to, and note its end."""
        for row in item.progress.refresh():
            prune = self.on_epoch is not None and self.on_epoch(item, row)
            if prune and item.running is not None and not item.stopping:
                item.stopping = PRUNED
                item.running.stop()
        if item.running is None:
            self._update_elsewhere(item)
            return
        status = item.running.poll()
        if status is not None:
            item.running = None
            self._end(item, *self._judge(item, status))

    def _update_elsewhere(self, item: Tracked) -> None:
        """Note the end of a job that another process works on: nobody has its folder any more."""
        if owner(item.job.folder) is not None:
            return
        state, why = verdict(item.job, self.ledger.entries().get(item.job.id))
        if state in (DONE, FAILED, PRUNED):
            self._end(item, state, why)
        else:  # cut off: resumed here
            item.state = QUEUED
            self.waiting.insert(0, item)

    def _judge(self, item: Tracked, status: int) -> tuple[str, str]:
        if item.job.fault:
            return FAILED, item.job.fault
        # A run.json that is older than this start tells of an earlier one.
        written = item.job.files.record_path
        fresh = written.is_file() and written.stat().st_mtime >= item.started - 1
        record = item.job.files.record() if fresh else {}
        recorded = record.get("status")
        if recorded == DONE and status == 0:
            return DONE, ""
        # A job that was asked to stop is not to blame for how it ended.
        if item.stopping:
            return item.stopping, "its validation curve was worse than those of earlier trials"
        if recorded == FAILED:
            return FAILED, record["why"]
        if status < 0:
            return FAILED, f"killed by signal {-status}{', as when memory runs out' if status == -9 else ''}"
        if recorded == INTERRUPTED or status > 128:  # by a signal, maybe before it had a record
            return INTERRUPTED, "stopped from outside"
        return FAILED, f"ended with status {status}: {last_lines(item.job, 1)}"

    def _end(self, item: Tracked, state: str, why: str, known: bool = False) -> None:
        """Note the end of a job; ``known`` = the ledger has it already."""
        if known:
            item.state = state
            item.why = why
        else:
            self._note(item, state, why=why)
        item.progress.refresh()
        if self.on_end is not None:
            self.on_end(item)

    def _note(self, item: Tracked, state: str, **facts: object) -> None:
        item.state = state
        item.why = str(facts.get("why", ""))
        self.ledger.add(item.job.id, item.job.name, state, **facts)

    def _stop_all(self) -> None:
        """Ask all jobs to stop, wait, and kill those that do not; a second Ctrl-C kills at once."""
        mine = [(item, item.running) for item in self.tracked if item.running is not None]
        for _, running in mine:
            running.stop()
        # All share one period of grace.
        until = time.monotonic() + self.engine.stop_seconds
        try:
            for _, running in mine:
                _wait(running, until - time.monotonic())
        except (KeyboardInterrupt, Stopped):
            pass
        # Whoever still runs is killed; what became of each goes into the ledger.
        for item, running in mine:
            if running.poll() is None:
                running.kill()
                _wait(running, KILL_SECONDS)
            done = item.job.is_done
            self._note(item, DONE if done else INTERRUPTED, why="" if done else "the sweep was stopped")


def _wait(running: Running, seconds: float) -> None:
    until = time.monotonic() + seconds
    while running.poll() is None and time.monotonic() < until:
        time.sleep(0.05)


def verdict(job: Job, before: Entry | None) -> tuple[str, str]:
    """State of a job that no live process works on, from its files and the ledger.

    Returns:
        (state, why); "queued" if it is to be run or resumed.
    """
    if job.fault:
        return FAILED, job.fault
    if job.is_done:
        return DONE, ""
    if before is not None and before.state in (FAILED, PRUNED):
        return before.state, before.why
    record = job.files.record()
    # Its driver died before it could note that, or the ledger has lost it.
    if record.get("status") == FAILED and before is not None and before.state in (RUNNING, QUEUED):
        return FAILED, record["why"]
    return QUEUED, ""


def last_lines(job: Job, count: int) -> str:
    """End of a job's log."""
    path = job.files.log_path
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 20_000))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return "\n".join([line.rstrip() for line in lines if line.strip()][-count:])
