"""What a study optimizes: named metrics of the validation cases or of the training, each with its direction."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from segexp.errors import did_you_mean, require_choice
from segexp.sweeps.jobs import Job

PARAMETERS = "parameters"  # the only objective from run.json; all others stand in results.json
DIRECTIONS = {"training.minutes": "minimize", PARAMETERS: "minimize", "training.patches_per_second": "maximize"}


@dataclass(frozen=True)
class Objective:
    """A figure that is searched for.

    Args:
        name: Dotted path into results.json, or "parameters".
        direction: "maximize" or "minimize".
    """

    name: str
    direction: str

    def value(self, jobs: Sequence[Job]) -> float:
        """Mean over the runs of a trial.

        Raises:
            ValueError: A run has no such figure, or it is undefined.
        """
        return statistics.fmean(self._of_run(job) for job in jobs)

    def _of_run(self, job: Job) -> float:
        found: Any = job.record() if self.name == PARAMETERS else job.results()
        for part in self.name.split("."):
            if not isinstance(found, dict) or part not in found:
                known = found if isinstance(found, dict) else ()
                raise ValueError(f"objective {self.name}: the run has no {part!r}{did_you_mean(part, known)}")
            found = found[part]
        if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
            raise ValueError(f"objective {self.name} is {found}, not a number that can be compared")
        return float(found)


def monitored(monitor: str) -> str:
    """Name, as an objective, of the monitored figure: ``val/dice`` is val.dice."""
    return monitor.replace("/", ".")


def read_objectives(
    names: Sequence[str] | None, directions: Sequence[str] | None, monitor: str, mode: str
) -> list[Objective]:
    """Read what is searched for.

    Args:
        names: Of the figures; None = the monitored one.
        directions: Of each; None = as usual for each.
        monitor: Monitored figure, such as ``val/dice``.
        mode: "max" or "min", which is better.

    Raises:
        ValueError: A figure must not choose, or its direction is not known.
    """
    names = [monitored(monitor)] if names is None else list(names)
    usual = {**DIRECTIONS, monitored(monitor): f"{mode}imize"}
    for name in names:
        _refuse_objective(name)
    if directions is None:
        unknown = [name for name in names if name not in usual]
        if unknown:
            raise ValueError(
                f"hydra.sweeper.objectives: is more of {unknown[0]} better? say so by hydra.sweeper.directions="
                f"[{','.join(usual.get(name, '…') for name in names)}], maximize or minimize for each"
            )
        directions = [usual[name] for name in names]
    for direction in directions:
        require_choice("hydra.sweeper.directions", direction, ["maximize", "minimize"])
    if not names or len(names) != len(directions):
        raise ValueError(
            f"hydra.sweeper.objectives={list(names)} and directions={list(directions)} must be of one length, 1 or more"
        )
    return [Objective(name, direction) for name, direction in zip(names, directions, strict=True)]


def _refuse_objective(name: str) -> None:
    side = name.partition(".")[0]
    if side in ("test", "headline"):
        raise ValueError(f"hydra.sweeper.objectives: {name} is of the test cases, which must not choose; use val.…")
    if name != PARAMETERS and (side not in ("val", "training") or "." not in name):
        raise ValueError(
            f"hydra.sweeper.objectives: {name!r} is not val.<figure>, training.<figure> or {PARAMETERS}"
            f"{did_you_mean(name, [*DIRECTIONS, 'val.dice'])}"
        )
