"""Where a run stands between its first and its last step, when the number of steps changes on the way."""

from dataclasses import dataclass


@dataclass
class Progress:
    """Leads from the steps that are made to those of the course that schedules were made for.

    Schedules know one number of steps, from the start of the run on. Where another number turns out to fit, the rest of
    their course is spread over the steps that are left: from there on each step takes more or less of it than one.

    Args:
        planned: Number of optimizer steps that the schedules were made for.
        total: Number of optimizer steps that the run will make.
        step: Step at which that number was last changed.
        place: Planned step that stood there.
    """

    planned: int
    total: int
    step: int = 0
    place: int = 0

    def at(self, step: int) -> int:
        """Planned step that stands at a step of the run, in whole numbers: equal to it while nothing has changed."""
        if step >= self.total:
            return self.planned
        return self.place + (self.planned - self.place) * (step - self.step) // (self.total - self.step)

    def taken(self, step: int) -> int:
        """Number of planned steps that the step before ``step`` takes."""
        return self.at(step) - self.at(step - 1)

    def change(self, step: int, total: int) -> None:
        """Let the run end after another number of steps than it would have.

        Args:
            step: Step at which it stands.
            total: Number of steps that it will make from its start to its end, at least ``step``.
        """
        self.place = self.at(step)
        self.step = step
        self.total = total
