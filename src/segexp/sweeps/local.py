"""Jobs as processes of this machine, each with its share of GPUs and CPU threads."""

import os
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

from segexp.errors import require_at_least
from segexp.sweeps.jobs import Job
from segexp.sweeps.ledger import take

TASK_OF_SLURM = (  # they make Lightning take the process for one of several that SLURM started
    *("SLURM_NTASKS", "SLURM_NPROCS", "SLURM_NTASKS_PER_NODE", "SLURM_TASKS_PER_NODE"),
    *("SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID"),
)
# of another job, or of the process that starts this one; the new one must find its own
LEFT_BEHIND = (
    *("RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"),
    *("PL_GLOBAL_SEED", "PL_SEED_WORKERS", "HYDRA_FULL_ERROR"),
    *TASK_OF_SLURM,
)
CORES_PER_JOB = 4  # where there is no GPU and jobs_at_once is "auto"


class LocalEngine:
    """Runs jobs on this machine.

    Args:
        jobs_at_once: "auto" = as many as there are GPUs for, or one for every four cores where jobs need no GPU.
        gpus_per_job: Each job sees only its own; 0 = none; "auto" = one where there are any.
        threads_per_job: CPU threads; "auto" = an equal share of the cores.
        stop_seconds: Between asking a job to stop and killing it.

    Raises:
        ValueError: A number is out of range, or a job needs more GPUs than there are.
    """

    def __init__(
        self,
        jobs_at_once: int | str = "auto",
        gpus_per_job: int | str = "auto",
        threads_per_job: int | str = "auto",
        stop_seconds: float = 60,
    ) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        gpus = visible_gpus() if gpus_per_job != 0 else []
        each = min(len(gpus), 1) if gpus_per_job == "auto" else gpus_per_job
        require_at_least("hydra.launcher.gpus_per_job", each, 0, integer=True)
        if int(each) > len(gpus):
            raise ValueError(f"hydra.launcher.gpus_per_job={each}: this machine shows {len(gpus)} GPUs")
        self.shares = [gpus[start : start + int(each)] for start in range(0, len(gpus) - int(each) + 1, int(each) or 1)]
        most = len(self.shares) if each else max(1, cores // CORES_PER_JOB)
        self.jobs_at_once = int(_number("jobs_at_once", jobs_at_once, most))
        if not each:
            self.shares = [[] for _ in range(self.jobs_at_once)]
        if self.jobs_at_once > len(self.shares):
            raise ValueError(
                f"hydra.launcher.jobs_at_once={jobs_at_once} with gpus_per_job={each} needs more GPUs than the "
                f"{len(gpus)} here: leave it at auto"
            )
        self.threads = int(_number("threads_per_job", threads_per_job, max(1, cores // self.jobs_at_once)))
        require_at_least("hydra.launcher.stop_seconds", stop_seconds, 0)
        self.stop_seconds = stop_seconds

    def start(self, job: Job) -> "LocalJob | None":
        """Start a job; None where a living process works in its folder or has finished it."""
        lock = claim(job)
        if lock is None:
            return None
        gpus = self.shares.pop(0)
        where = f"GPU {','.join(gpus)}" if gpus else "CPU"
        process = start_process(job, lock, environment(gpus, self.threads))
        return LocalJob(process, where, lambda: self.shares.append(gpus))

    def close(self) -> None:
        """Hold nothing, let go of nothing."""


class LocalJob:
    """A process with its children.

    Args:
        process: Leader of its own process group.
        where: Device, for people.
        on_end: Called once when it has ended.
    """

    def __init__(self, process: subprocess.Popen, where: str, on_end: Callable[[], None]) -> None:
        self.process, self.where = process, f"{where}, process {process.pid}"
        self._on_end: Callable[[], None] | None = on_end

    def poll(self) -> int | None:
        """Exit status, negative for the signal that killed it; None while it runs."""
        status = self.process.poll()
        if status is not None and self._on_end is not None:
            self.kill()  # what a dead leader may have left behind
            self._on_end()
            self._on_end = None
        return status

    def stop(self) -> None:
        """Interrupt the leader, as Ctrl-C would."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """Kill the whole group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)


def claim(job: Job) -> BinaryIO | None:
    """Take the lock of a job; None where a living process holds it, or one has finished the job meanwhile."""
    lock = take(job.folder)
    if lock is not None and job.is_done:
        lock.close()
        return None
    return lock


def start_process(job: Job, lock: BinaryIO, env: dict[str, str]) -> subprocess.Popen:
    """Start a job in a session of its own; the process holds the lock of its folder as long as it lives."""
    if not job.files.last_checkpoint.is_file():  # curves of a start that reached no checkpoint would be drawn twice
        for path in [*job.files.events, job.files.curves_path]:
            path.unlink(missing_ok=True)
    with lock, job.files.log_path.open("ab") as log:
        return subprocess.Popen(
            job.words(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=env,
            pass_fds=[lock.fileno()],
            start_new_session=True,
        )


def environment(gpus: list[str] | None, threads: int | None) -> dict[str, str]:
    """Environment of a fresh job: nothing of other jobs, a port of its own, its share of the devices.

    Args:
        gpus: It may see; None = as they are.
        threads: It may use; None = as many as it likes.
    """
    env = {key: value for key, value in os.environ.items() if key not in LEFT_BEHIND}
    env["MASTER_PORT"] = str(_free_port())
    if gpus is not None:
        env["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    if threads is not None:
        env["OMP_NUM_THREADS"] = str(threads)
    return env


def visible_gpus() -> list[str]:
    """Names, for CUDA_VISIBLE_DEVICES, of the GPUs that this process may use; asks the driver, not torch."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name for name in given.split(",") if name and name != "-1"]
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    return [str(index) for index, line in enumerate(listed.splitlines()) if line.startswith("GPU")]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _number(name: str, value: int | str, automatic: int) -> int | str:
    if value == "auto":
        return automatic
    require_at_least(f"hydra.launcher.{name}", value, 1, integer=True)
    return value
