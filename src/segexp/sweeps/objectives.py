"""Objectives of a study: named metrics of the validation cases or of the training, each with its direction."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from segexp.errors import did_you_mean, require_choice
from segexp.sweeps.jobs import Job

PARAMETERS = "parameters"  # the only objective from run.json; all others stand in results.json
DIRECTIONS = {"training.minutes": "minimize", PARAMETERS: "minimize", "training.patches_per_second": "maximize"}


@dataclass(frozen=True)
class Objective:
    """A metric that a study optimizes.

    Args:
        name: Dotted path into results.json, or "parameters".
        direction: "maximize" or "minimize".
    """

    name: str
    direction: str

    def value(self, jobs: Sequence[Job]) -> float:
        """Mean over the runs of a trial.

        Raises:
            ValueError: A run has no such metric, or it is undefined.
        """
        return statistics.fmean(self._of_run(job) for job in jobs)

    def _of_run(self, job: Job) -> float:
        value: object = job.files.record() if self.name == PARAMETERS else job.files.results()
        for part in self.name.split("."):
            known = value if isinstance(value, dict) else {}
            if part not in known:
                raise ValueError(f"objective {self.name}: the run has no {part!r}{did_you_mean(part, known)}")
            value = known[part]
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"objective {self.name} is {value}, not a number that can be compared")
        return float(value)


def read_objectives(
    names: Sequence[str] | None, directions: Sequence[str] | None, monitor: str, mode: str
) -> list[Objective]:
    """Check objectives and their directions.

    Args:
        names: Names of the metrics; None = the monitored one.
        directions: Direction of each; None = the usual ones.
        monitor: Name of the monitored metric as an objective, such as "val.dice".
        mode: "max" or "min", which is better.

    Raises:
        ValueError: A metric must not choose, or its direction is not known.
    """
    names = [monitor] if names is None else list(names)
    usual = {**DIRECTIONS, monitor: f"{mode}imize"}
    for name in names:
        group = name.partition(".")[0]
        if group in ("test", "headline"):
            raise ValueError(f"hydra.sweeper.objectives: {name} is of the test cases, which must not choose; use val.…")
        if name != PARAMETERS and (group not in ("val", "training") or "." not in name):
            raise ValueError(
                f"hydra.sweeper.objectives: {name!r} is not val.<metric>, training.<metric> or {PARAMETERS}"
                f"{did_you_mean(name, [*DIRECTIONS, 'val.dice'])}"
            )
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
