"""What runs jobs: an engine starts them somewhere and tells how they fare."""

from typing import Protocol

from segexp.sweeps.jobs import Job


class Running(Protocol):
    """A job that was started."""

    where: str  # for people: process, device, cluster job

    def poll(self) -> int | None:
        """Exit status, negative for the signal that killed it; None while it runs."""

    def stop(self) -> None:
        """Ask it to end cleanly; returns at once."""

    def kill(self) -> None:
        """End it now, with all its processes."""


class Engine(Protocol):
    """Starts jobs.

    ``jobs_at_once`` may have been given as "auto" and is a number once the engine was built.
    """

    jobs_at_once: int
    stop_seconds: float  # between asking a job to stop and killing it

    def start(self, job: Job) -> Running | None:
        """Start a job; None where a living process works in its folder or has finished it."""

    def close(self) -> None:
        """Let go of what the engine holds."""
