"""Jobs as processes of this machine, each with some of its GPUs and CPU threads."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

from segexp.errors import require_at_least
from segexp.runs.claim import Claim, take
from segexp.sweeps.engine import Engine
from segexp.sweeps.jobs import COMMAND, Job
from segexp.sweeps.warm import ForkedProcess, Template

# variables of another job, or of the process that starts this one; the new one must find its own
NOT_INHERITED = (
    *("RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"),
    *("PL_GLOBAL_SEED", "PL_SEED_WORKERS", "HYDRA_FULL_ERROR"),
    # with these Lightning takes the process for one of several that SLURM started
    *("SLURM_NTASKS", "SLURM_NPROCS", "SLURM_NTASKS_PER_NODE", "SLURM_TASKS_PER_NODE"),
    *("SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID"),
)
CORES_PER_JOB = 4  # where there is no GPU and jobs_at_once is "auto"
REAP_SECONDS = 1.0  # until killed processes have ended


class LocalEngine(Engine):
    """Runs jobs on this machine.

    Args:
        jobs_at_once: Number of jobs at a time; "auto" = as many as there are GPUs for, or one for every four cores
            where jobs need no GPU.
        gpus_per_job: Number of GPUs that a job sees, no other job's among them; "auto" = 1 where there are any.
        threads_per_job: Number of CPU threads of a job; "auto" = the cores divided evenly.
        stop_seconds: Seconds between asking a job to stop and killing it.
        warm: Whether jobs that use no GPU begin as copies of a process that has loaded everything, see ``Template``.

    Raises:
        ValueError: A number is out of range, or a job needs more GPUs than there are.
    """

    def __init__(
        self,
        jobs_at_once: int | str = "auto",
        gpus_per_job: int | str = "auto",
        threads_per_job: int | str = "auto",
        stop_seconds: float = 60,
        warm: bool = True,
    ) -> None:
        gpus = visible_gpus() if gpus_per_job != 0 else []
        each = _number("gpus_per_job", gpus_per_job, min(len(gpus), 1), least=0)
        if each > len(gpus):
            raise ValueError(f"hydra.launcher.gpus_per_job={each}: this machine shows {len(gpus)} GPUs")
        # Groups of GPUs that are free; a job takes one and gives it back at its end.
        self.free_gpus = [gpus[start : start + each] for start in range(0, len(gpus) - each + 1, each or 1)]
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        most = len(self.free_gpus) if each else max(1, cores // CORES_PER_JOB)
        self.jobs_at_once = _number("jobs_at_once", jobs_at_once, most)
        if not each:
            self.free_gpus = [[] for _ in range(self.jobs_at_once)]
        if self.jobs_at_once > len(self.free_gpus):
            given = f"hydra.launcher.jobs_at_once={jobs_at_once} with gpus_per_job={each}"
            raise ValueError(f"{given} needs more GPUs than the {len(gpus)} here: leave it at auto")
        self.threads = _number("threads_per_job", threads_per_job, max(1, cores // self.jobs_at_once))
        require_at_least("hydra.launcher.stop_seconds", stop_seconds, 0)
        self.stop_seconds = stop_seconds
        self.warm = warm and not each  # nobody has tried yet whether a GPU works in a copy
        self._template: Template | None = None

    def start(self, job: Job) -> "LocalJob | None":
        """Start a job; None where a live process works in its folder or has finished it."""
        lock = claim(job)
        if lock is None:
            return None
        gpus = self.free_gpus.pop(0)
        where = f"GPU {','.join(gpus)}" if gpus else "CPU"
        env = environment(gpus, self.threads)
        if self.warm and self._template is None:
            self._template = Template(env)
        process = start_process(job, lock, env, self._template)
        return LocalJob(process, where, lambda: self.free_gpus.append(gpus))

    def close(self) -> None:
        """End the process that jobs are copied from."""
        if self._template is not None:
            self._template.close()


class LocalJob:
    """A process that leads a group of its own; ``on_end`` is called once when it has ended."""

    def __init__(self, process: subprocess.Popen | ForkedProcess, where: str, on_end: Callable[[], None]) -> None:
        self.process = process
        self.where = f"{where}, process {process.pid}"
        self._on_end: Callable[[], None] | None = on_end

    def poll(self) -> int | None:
        """Exit status, negative for the signal that killed it; None while it runs."""
        status = self.process.poll()
        if status is not None and self._on_end is not None:
            self.kill()  # what a dead leader may have left behind
            _reap(self.process.pid)
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


def claim(job: Job) -> Claim | None:
    """Take the folder of a job; None where a live process has it, or one has finished the job in the meantime."""
    lock = take(job.folder)
    if lock is not None and job.is_done:
        lock.release()
        return None
    return lock


def start_process(
    job: Job, lock: Claim, env: dict[str, str], template: Template | None = None
) -> subprocess.Popen | ForkedProcess:
    """Start a job in a new session; the process holds the claim of its folder as long as it lives."""
    with ExitStack() as kept:
        kept.callback(lock.release)
        if not any(path.is_file() for path in job.files.checkpoints):
            job.files.clear_curves()
        words = job.words()
        with job.files.log_path.open("ab") as log:
            copied = None
            if template is not None and words[: len(COMMAND)] == COMMAND:
                copied = template.start(words[len(COMMAND) :], env, log.fileno(), lock.fileno())
            if copied is None:
                process: subprocess.Popen | ForkedProcess = subprocess.Popen(
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=env,
                    pass_fds=[lock.fileno()],
                    start_new_session=True,
                )
        kept.pop_all()
    if copied is None:
        lock.hand_over(process.pid)
        return process
    process, gate = copied
    try:
        lock.hand_over(process.pid)
        with suppress(BrokenPipeError):  # it has ended already, as when it was killed: its status tells
            os.write(gate, b"1")
    finally:
        os.close(gate)
    return process


def _reap(group: int) -> None:
    """Ask how the killed processes of a group ended, as those that this process has adopted stay as zombies else."""
    until = time.monotonic() + REAP_SECONDS
    with suppress(ChildProcessError):  # none is left
        while time.monotonic() < until:
            if os.waitpid(-group, os.WNOHANG)[0] == 0:
                time.sleep(0.005)


def environment(gpus: list[str] | None, threads: int | None) -> dict[str, str]:
    """Environment of a new job: nothing of other jobs, a free port, its devices.

    Args:
        gpus: GPUs that it may see; None = those that this process sees.
        threads: Number of CPU threads that it may use; None = no limit.
    """
    env = {key: value for key, value in os.environ.items() if key not in NOT_INHERITED}
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        env["MASTER_PORT"] = str(listener.getsockname()[1])
    if gpus is not None:
        env["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    if threads is not None:
        env["OMP_NUM_THREADS"] = str(threads)
    return env


def visible_gpus() -> list[str]:
    """Names, for CUDA_VISIBLE_DEVICES, of the GPUs that this process may use; asks the driver, not torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name and name != "-1"]
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    return [str(index) for index, line in enumerate(listed.splitlines()) if line.startswith("GPU")]


def _number(name: str, value: int | str, automatic: int, least: int = 1) -> int:
    if value == "auto":
        return automatic
    require_at_least(f"hydra.launcher.{name}", value, least, integer=True)
    return int(value)
