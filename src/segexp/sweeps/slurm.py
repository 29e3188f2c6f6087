"""Jobs on a SLURM cluster, through submitit."""

import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from segexp.errors import require_at_least, require_choice
from segexp.sweeps.engine import Engine
from segexp.sweeps.jobs import Job
from segexp.sweeps.remote import Order, Submission, note, submit
from segexp.sweeps.slurm_task import KILL, POLL_SECONDS, RUN, STOP, STOPPED, SlurmTask

QUEUE_SECONDS = 20.0  # between two looks at SLURM's queue
LOST_SECONDS = 30.0  # a job without a result that has not been in the queue for so long is dead
SPARE_SECONDS = 30  # between the end of stop_seconds and SLURM's own end of a job


class SlurmEngine(Engine):
    """Hands each job to SLURM as a separate submission.

    Args:
        jobs_at_once: Number of jobs that are submitted at a time, whether they run or wait.
        partition: Partition of the cluster; None = its default.
        nodes: Number of machines per job.
        tasks_per_node: Number of processes per machine; several, or several nodes, need trainer=slurm_ddp.
        gpus_per_node: Number of GPUs per machine.
        cpus_per_task: Number of CPU cores per process.
        mem_gb: Memory per machine in GB; None = the cluster's default.
        timeout_min: Time limit of a job in minutes; it is resumed in a new one.
        requeues: Number of times that a job that reached its limit is resumed.
        setup: Lines of shell that run before the job.
        additional: Further parameters of sbatch, by their long names; True = without a value.
        stop_seconds: Seconds between asking a job to stop and killing it.
        cluster: "slurm", or "local" = processes of this machine, to try things out.

    Raises:
        ValueError: A setting is out of range, submitit is not installed, or there is no SLURM on this machine.
    """

    def __init__(
        self,
        jobs_at_once: int = 100,
        partition: str | None = None,
        nodes: int = 1,
        tasks_per_node: int = 1,
        gpus_per_node: int = 1,
        cpus_per_task: int = 4,
        mem_gb: float | None = None,
        timeout_min: int = 240,
        requeues: int = 100,
        setup: list[str] | None = None,
        additional: dict[str, str | int | float | bool] | None = None,
        stop_seconds: float = 60,
        cluster: str = "slurm",
    ) -> None:
        counts = {"jobs_at_once": jobs_at_once, "nodes": nodes, "tasks_per_node": tasks_per_node}
        counts |= {"cpus_per_task": cpus_per_task, "timeout_min": timeout_min}
        for name, value in counts.items():
            require_at_least(f"hydra.launcher.{name}", value, 1, integer=True)
        for name, value in {"gpus_per_node": gpus_per_node, "requeues": requeues}.items():
            require_at_least(f"hydra.launcher.{name}", value, 0, integer=True)
        require_at_least("hydra.launcher.stop_seconds", stop_seconds, 0)
        require_choice("hydra.launcher.cluster", cluster, ["slurm", "local"])
        _require_submitit(cluster, nodes)
        self.jobs_at_once = jobs_at_once
        self.stop_seconds = stop_seconds
        self.cluster = cluster
        self.requeues = requeues
        self.tasks = nodes * tasks_per_node
        self._queue = Queue() if cluster == "slurm" else None
        self.parameters = {
            "nodes": nodes,
            "tasks_per_node": tasks_per_node,
            "gpus_per_node": gpus_per_node or None,
            "cpus_per_task": cpus_per_task,
            "mem_gb": mem_gb,
            "timeout_min": timeout_min,
            "slurm_partition": partition,
            "slurm_signal_delay_s": int(stop_seconds) + SPARE_SECONDS,
            "slurm_srun_args": ["--kill-on-bad-exit=1"],  # one process that fails ends the others
            "slurm_additional_parameters": {"requeue": True, **(additional or {})},
            f"{cluster}_setup": setup or None,
        }

    def start(self, job: Job) -> Submission | None:
        """Submit a job; None where a live process works in its folder or has finished it.

        Raises:
            ValueError: SLURM refused it, or its trainer waits for tasks that were not asked for.
        """
        if self.tasks == 1 and "trainer=slurm_ddp" in job.overrides:
            raise ValueError(
                "trainer=slurm_ddp with one task per job: give hydra.launcher.tasks_per_node=<GPUs per machine>, "
                "or trainer=gpu for one GPU"
            )
        return submit(job, self._submit)

    def _submit(self, order: Order) -> "SlurmJob":
        from submitit import AutoExecutor

        # A folder for this submission alone: the driver's word to the tasks, and theirs to one another.
        folder = order.job.folder.parent / "submitit" / f"{order.job.name[:60]}-{uuid.uuid4().hex[:8]}"
        folder.mkdir(parents=True)
        (folder / "word").write_text(RUN)
        (folder / "start.json").write_text("{}")
        requeues = {f"{self.cluster}_max_num_timeout": self.requeues}
        executor = AutoExecutor(folder, cluster=self.cluster, **requeues)
        executor.update_parameters(name=order.job.name, **self.parameters)
        task = SlurmTask(order, folder, self.stop_seconds)
        with _submitting():
            return SlurmJob(executor.submit(task), order.job, folder, self._queue)


class Queue:
    """Jobs of the user that wait or run, from squeue, which also works on clusters without accounting."""

    def __init__(self) -> None:
        self._asked = -QUEUE_SECONDS
        self._states: dict[str, str] = {}

    def state(self, job: str, since: float) -> str:
        """State of a job, such as "RUNNING"; "" if it is not in the queue, "UNKNOWN" if that is not known now.

        Args:
            job: Number of the job.
            since: Time of its submission, by the monotonic clock.
        """
        if time.monotonic() - self._asked > QUEUE_SECONDS:
            command = ["squeue", "--me", "--noheader", "--format=%i %T"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                self._asked = time.monotonic()
                self._states = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
        return self._states.get(job, "") if self._asked > since else "UNKNOWN"


class SlurmJob:
    """A job of the sweep as a job of submitit, with the folder of the submission; no ``queue`` with cluster=local."""

    def __init__(self, submitted: Any, job: Job, folder: Path, queue: Queue | None) -> None:
        self._first = submitted.task(0)
        self._job = job
        self._folder = folder
        self._queue = queue
        self.where = f"{'SLURM job' if queue else 'submitit, process'} {submitted.job_id}"
        self._begun = time.monotonic()
        self._next = self._begun  # time of the next look
        self._seen = self._begun  # time at which it was last in the queue
        self._stopping = False

    def poll(self) -> int | None:
        """Status of the first task; 1 and a line in the job's log where it ended without one."""
        if time.monotonic() < self._next:
            return None
        self._next = time.monotonic() + POLL_SECONDS
        # The result of the first task is that of the job.
        if self._first.paths.result_pickle.exists():
            error = self._first.exception()
            return self._lost(type(error).__name__) if error else int(self._first.result())
        if not self._is_gone():
            return None
        return STOPPED if self._stopping else self._lost("no result")

    def stop(self) -> None:
        """Let the tasks interrupt their processes; a job that still waits in the queue is withdrawn."""
        self._tell(STOP)
        if self._queue:
            subprocess.run(["scancel", "--state=PENDING", str(self._first.job_id)], check=False)

    def kill(self) -> None:
        """Let the tasks kill their processes, and SLURM the tasks."""
        self._tell(KILL)
        if self._queue:
            self._first.cancel(check=False)

    def _is_gone(self) -> bool:
        """Whether it has left the queue, long enough ago for a result to be seen on this machine."""
        if self._queue:
            queued = self._queue.state(str(self._first.job_id), self._begun) != ""
        else:
            queued = not self._first.done()
        if queued:
            self._seen = time.monotonic()
        wait = LOST_SECONDS if self._queue and not self._stopping else 0
        return not queued and time.monotonic() - self._seen >= wait

    def _lost(self, how: str) -> int:
        note(self._job, f"{self.where} ended with {how}, see {self._first.paths.stderr}")
        return 1

    def _tell(self, word: str) -> None:
        self._stopping = True
        # The file exists already: over NFS a change is seen when it is next opened.
        (self._folder / "word").write_text(word)


@contextmanager
def _submitting() -> Iterator[None]:
    """Submit from inside another job as if from outside, and explain in a sentence what sbatch does not accept.

    A Ctrl-C at the terminal is for the driver, which lets jobs end well: with cluster=local they would receive it, too.
    """
    from submitit.core.utils import FailedJobError, FailedSubmissionError
    from submitit.helpers import clean_env

    kept = {key: value for key, value in os.environ.items() if key == "SLURM_CONF" or key.startswith("SBATCH_")}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with clean_env():
            os.environ.update(kept)
            yield
    except (FailedJobError, FailedSubmissionError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"SLURM refused the job ({reason}): change hydra.launcher accordingly") from None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _require_submitit(cluster: str, nodes: int) -> None:
    try:
        import submitit  # noqa: F401
    except ImportError:
        raise ValueError("hydra/launcher=slurm needs submitit: pip install 'segexp[slurm]'") from None
    if cluster == "slurm" and not (shutil.which("sbatch") and shutil.which("srun")):
        raise ValueError(
            "hydra.launcher.cluster=slurm: this machine has no sbatch and srun; start the sweep on a login node of the "
            "cluster, or try it out here with hydra.launcher.cluster=local"
        )
    if cluster == "local" and nodes > 1:
        raise ValueError(f"hydra.launcher.nodes={nodes} with cluster=local: one machine is one node; give nodes=1")
