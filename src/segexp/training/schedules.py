"""Learning-rate schedules, as Lightning's ``lr_scheduler`` entries.

Each takes the optimizer and the number of optimizer steps of the whole run.
"""

import math
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NotRequired, TypedDict

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from segexp.errors import require_at_least, require_between, require_choice


class Schedule(TypedDict):
    """A scheduler, how often it steps ("step" or "epoch"), and the metric that it watches, if any."""

    scheduler: LRScheduler
    interval: str
    frequency: NotRequired[int]
    monitor: NotRequired[str]


def constant(optimizer: Optimizer, total_steps: int, warmup: float = 0.0) -> Schedule:
    """Keep the learning rate, after a linear warm-up over the fraction ``warmup`` of all steps."""
    return _per_step(optimizer, total_steps, warmup, lambda progress: 1.0)  # noqa: ARG005


def cosine(optimizer: Optimizer, total_steps: int, warmup: float = 0.05, floor: float = 0.0) -> Schedule:
    """Fall along half a cosine to ``floor`` × the learning rate (Loshchilov and Hutter 2017) after a linear warm-up."""
    require_at_least("scheduler.floor", floor, 0)
    return _per_step(
        optimizer, total_steps, warmup, lambda progress: floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2
    )


def poly(optimizer: Optimizer, total_steps: int, power: float = 0.9, warmup: float = 0.0) -> Schedule:
    """Fall as (1 - t)^power (Chen et al. 2017, nnU-Net), after a linear warm-up."""
    require_at_least("scheduler.power", power, 0)
    return _per_step(optimizer, total_steps, warmup, lambda progress: (1 - progress) ** power)


def plateau(
    optimizer: Optimizer,
    total_steps: int,  # noqa: ARG001
    monitor: str = "val/dice",
    mode: str = "max",
    factor: float = 0.5,
    patience: int = 5,
) -> Schedule:
    """Multiply the learning rate by ``factor`` when ``monitor`` has not improved for ``patience`` epochs."""
    require_choice("scheduler.mode", mode, ("min", "max"))
    scheduler = ReduceLROnPlateau(optimizer, mode=mode, factor=factor, patience=patience)  # type: ignore[arg-type]
    # Lightning never steps it: the task does, before the checkpoint of the epoch is saved.
    return {"scheduler": scheduler, "interval": "epoch", "frequency": sys.maxsize, "monitor": monitor}


def _per_step(optimizer: Optimizer, total_steps: int, warmup: float, curve: Callable[[float], float]) -> Schedule:
    """Warm up linearly, then follow ``curve`` (fraction of the remaining steps -> factor of the learning rate)."""
    require_between("scheduler.warmup", warmup, 0, 1, "it is a fraction of all steps, such as 0.05", open_at="high")
    rising = round(warmup * total_steps)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / (rising + 1)
        return curve(min(1.0, (step - rising) / max(1, total_steps - rising)))

    return {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}


def step_watching(schedules: Iterable[Any], metrics: Mapping[str, Tensor]) -> None:
    """Step the schedules that watch a score at the end of an epoch.

    Args:
        schedules: Lightning's entries.
        metrics: Scores of the epoch; one that is not there, or undefined, says nothing.
    """
    for schedule in schedules:
        score = float(metrics.get(schedule.monitor, math.nan)) if schedule.reduce_on_plateau else math.nan
        if math.isfinite(score):
            schedule.scheduler.step(score)
