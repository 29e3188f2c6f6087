"""Interface of what runs jobs: an engine starts them somewhere and follows them."""

from typing import Protocol

from segexp.sweeps.jobs import Job


class Running(Protocol):
    """A job that was started."""

    where: str  # process, device or cluster job, as shown to the user

    def poll(self) -> int | None:
        """Exit status, negative for the signal that killed it; None while it runs."""

    def stop(self) -> None:
        """Ask it to end cleanly; returns at once."""

    def kill(self) -> None:
        """End it now, with all its processes."""


class Engine(Protocol):
    """Starts jobs.

    ``jobs_at_once`` may be "auto" as an argument; it is a number once the engine has been built.
    """

    jobs_at_once: int
    stop_seconds: float  # between asking a job to stop and killing it

    def start(self, job: Job) -> Running | None:
        """Start a job; None where a live process works in its folder or has finished it."""

    def close(self) -> None:
        """Release what the engine holds; most hold nothing."""
