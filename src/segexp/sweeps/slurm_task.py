"""Tasks of a submission: they run on a SLURM cluster in place of the driver."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from segexp.sweeps.local import LocalJob, environment
from segexp.sweeps.remote import HELD, Order, RemoteJob, start_beside

RUN, STOP, KILL = "run", "stop", "kill"  # what a driver writes into the word file of a submission
POLL_SECONDS = 1.0  # between two looks at a file system that many machines share
STOPPED = 130  # status of a job that was stopped before it began; that of Ctrl-C


class SlurmTask:
    """Runs a job, one call in each task of a submission, and resumes it after a requeue.

    The first task takes the job's lock and starts the process; the others then start the same command beside it.

    Args:
        order: Order of the job.
        folder: Folder of the submission.
        stop_seconds: Seconds between interrupting the process and killing it.
        attempt: Number of requeues so far.
    """

    def __init__(self, order: Order, folder: Path, stop_seconds: float, attempt: int = 0) -> None:
        self.order = order
        self.folder = folder
        self.stop_seconds = stop_seconds
        self.attempt = attempt
        self._remote = RemoteJob(order)

    def __call__(self) -> int:
        """Run the job; return the exit status of its process."""
        from submitit import JobEnvironment

        place = JobEnvironment()
        if self._word() != RUN:
            return STOPPED
        env = task_environment(place)
        if place.global_rank > 0:
            words = self._words_of_the_first()
            if words is None:
                return HELD
            status = self._wait(start_beside(self.order, words, place.global_rank, env))
            if status != 0:
                sys.exit(1)  # srun then ends the other tasks, which would wait for this one
            return status
        # The command is taken before the start, as the start may change what there is to resume.
        words = self.order.job.words()
        ended = self._remote.start(env)
        # The other tasks start the same command, or nothing.
        if place.num_tasks > 1:
            start = {"attempt": self.attempt, "words": words if ended is None else None}
            (self.folder / "start.json").write_text(json.dumps(start))
        return self._wait(self._remote) if ended is None else ended

    def checkpoint(self) -> Any:
        """Interrupt the process at the limit; submitit then requeues what this returns."""
        from submitit.helpers import DelayedSubmission

        self._remote.finish(self.stop_seconds)
        return DelayedSubmission(SlurmTask(self.order, self.folder, self.stop_seconds, self.attempt + 1))

    def _wait(self, running: RemoteJob | LocalJob) -> int:
        """Wait for the end of a process; stop or kill it when the driver asks for that."""
        heeded = RUN
        while (status := running.poll()) is None:
            word = self._word()
            if word != heeded and word in (STOP, KILL):
                running.stop() if word == STOP else running.kill()
                heeded = word
            time.sleep(POLL_SECONDS)
        return status

    def _word(self) -> str:
        return (self.folder / "word").read_text() or RUN  # empty in the moment of writing

    def _words_of_the_first(self) -> list[str] | None:
        """Wait for the command of the first task; None if it starts nothing."""
        while True:
            try:
                start = json.loads((self.folder / "start.json").read_text())
            except json.JSONDecodeError:  # in the moment of writing
                start = {}
            if start.get("attempt") == self.attempt:
                return start["words"]
            if self._word() != RUN:
                return None
            time.sleep(POLL_SECONDS)


def task_environment(place: Any) -> dict[str, str]:
    """Environment of a task's process.

    With several tasks Lightning reads SLURM's variables and derives the port from the job's number, equal for all
    tasks; local mode, which has none, sets the same ones. A single task is a plain process.
    """
    env = environment(None, None)
    if place.num_tasks == 1:
        return env
    del env["MASTER_PORT"]
    if place.cluster == "slurm":
        return env | {key: value for key, value in os.environ.items() if key.startswith("SLURM_")}
    return env | {
        "SLURM_JOB_ID": place.job_id,
        "SLURM_NTASKS": str(place.num_tasks),
        "SLURM_NTASKS_PER_NODE": str(place.num_tasks),
        "SLURM_NNODES": "1",
        "SLURM_NODELIST": "127.0.0.1",
        "SLURM_NODEID": "0",
        "SLURM_PROCID": str(place.global_rank),
        "SLURM_LOCALID": str(place.local_rank),
    }
