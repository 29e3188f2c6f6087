"""Jobs on a Ray cluster."""

import logging
import os
import signal
from typing import Any

from segexp.errors import require_at_least
from segexp.sweeps.jobs import Job
from segexp.sweeps.remote import Order, RemoteJob, Submission, note, submit


class RayEngine:
    """Runs each job as a process that a Ray actor starts and watches.

    Args:
        address: Address of the cluster, as for ``ray.init``; None = start one on this machine.
        jobs_at_once: Number of jobs at a time; "auto" = as many as the cluster has CPUs and GPUs for.
        cpus_per_job: Number of CPU cores that Ray reserves for a job.
        gpus_per_job: Number of GPUs that Ray reserves for a job and lets it see.
        stop_seconds: Seconds between asking a job to stop and killing it.

    Raises:
        ValueError: A number is out of range, ray is not installed, or the cluster is too small for one job.
    """

    def __init__(
        self,
        address: str | None = None,
        jobs_at_once: int | str = "auto",
        cpus_per_job: int = 1,
        gpus_per_job: int = 0,
        stop_seconds: float = 60,
    ) -> None:
        require_at_least("hydra.launcher.cpus_per_job", cpus_per_job, 1, integer=True)
        require_at_least("hydra.launcher.gpus_per_job", gpus_per_job, 0, integer=True)
        require_at_least("hydra.launcher.stop_seconds", stop_seconds, 0)
        if jobs_at_once != "auto":
            require_at_least("hydra.launcher.jobs_at_once", jobs_at_once, 1, integer=True)
        self.stop_seconds = stop_seconds
        self._ray = _connected(address)
        # As many jobs as fit.
        needs = {"CPU": cpus_per_job, "GPU": gpus_per_job}
        resources = self._ray.cluster_resources()
        room = min(int(resources.get(kind, 0) // need) for kind, need in needs.items() if need)
        if room == 0:
            self.close()
            raise ValueError(f"a job needs {needs}, more than this Ray cluster has: lower hydra.launcher.gpus_per_job")
        self.jobs_at_once = room if jobs_at_once == "auto" else int(jobs_at_once)
        self._actor = self._ray.remote(RemoteJob).options(
            num_cpus=cpus_per_job, num_gpus=gpus_per_job, max_concurrency=4, max_restarts=0
        )

    def start(self, job: Job) -> Submission | None:
        """Hand a job to the cluster; None where a live process works in its folder or has finished it."""
        return submit(job, lambda order: RayJob(self._ray, self._actor.remote(order), order))

    def close(self) -> None:
        """Leave the cluster; one that we started ends."""
        self._ray.shutdown()


class RayJob:
    """A job that an actor of a `RemoteJob` runs."""

    def __init__(self, ray: Any, actor: Any, order: Order) -> None:
        self._ray = ray
        self._actor = actor
        self._order = order
        self._host = actor.where.remote()
        self._status = actor.run.remote()
        self.where = "Ray"

    def poll(self) -> int | None:
        """Status of the process; -9 where its machine or actor is gone; None while it runs."""
        if self.where == "Ray" and self._ready(self._host):
            self.where = f"Ray, {self._ray.get(self._host)}"
        if not self._ready(self._status):
            return None
        try:
            status = int(self._ray.get(self._status))
        except self._ray.exceptions.RayActorError:
            status = -signal.SIGKILL
        except self._ray.exceptions.RayError as error:
            note(self._order.job, f"Ray could not run it: {error}")
            status = 1
        self._ray.kill(self._actor)  # frees its CPUs and GPUs
        return status

    def stop(self) -> None:
        """Interrupt the process; a job that still waits for resources is withdrawn."""
        if self._ready(self._host):
            self._actor.stop.remote()
        else:
            self._ray.kill(self._actor)

    def kill(self) -> None:
        """Kill the process, then the actor."""
        if self._ready(self._host):
            self._ray.wait([self._actor.kill.remote()], timeout=5)
        self._ray.kill(self._actor)

    def _ready(self, reference: Any) -> bool:
        """Whether an answer of the actor is there; its host is the first, so that tells whether it has begun."""
        return bool(self._ray.wait([reference], timeout=0)[0])


def _connected(address: str | None) -> Any:
    """Join a cluster, or start one on this machine, without its messages, dashboard and usage reports."""
    try:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray
    except ImportError:
        raise ValueError("hydra/launcher=ray needs Ray: pip install 'segexp[ray]'") from None
    # A shell's background ignores SIGINT, and Ray's processes would inherit that.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    dashboard = False if address is None else None  # a cluster that we join decides itself
    try:
        ray.init(address or "local", include_dashboard=dashboard, log_to_driver=False, logging_level=logging.ERROR)
    except ConnectionError as error:
        raise ValueError(f"hydra.launcher.address={address}: {error}") from None
    return ray
