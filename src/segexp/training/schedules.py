"""Learning-rate schedules, as Lightning's ``lr_scheduler`` entries.

Each takes the optimizer and the number of optimizer steps of the whole run, and says how often it moves.
"""

import math
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from segexp.errors import require_at_least, require_choice


def constant(optimizer: Optimizer, total_steps: int, warmup: float = 0.0) -> dict[str, Any]:
    """Keep the learning rate, after a linear warm-up over the share ``warmup`` of all steps."""
    return _per_step(optimizer, total_steps, warmup, lambda share: 1.0)  # noqa: ARG005


def cosine(optimizer: Optimizer, total_steps: int, warmup: float = 0.05, floor: float = 0.0) -> dict[str, Any]:
    """Fall along half a cosine to ``floor`` × the learning rate (Loshchilov and Hutter 2017) after a linear warm-up."""
    require_at_least("scheduler.floor", floor, 0)
    return _per_step(
        optimizer, total_steps, warmup, lambda share: floor + (1 - floor) * (1 + math.cos(math.pi * share)) / 2
    )


def poly(optimizer: Optimizer, total_steps: int, power: float = 0.9, warmup: float = 0.0) -> dict[str, Any]:
    """Fall as (1 - t)^power (Chen et al. 2017, nnU-Net), after a linear warm-up."""
    require_at_least("scheduler.power", power, 0)
    return _per_step(optimizer, total_steps, warmup, lambda share: (1 - share) ** power)


def plateau(
    optimizer: Optimizer,
    total_steps: int,  # noqa: ARG001
    monitor: str = "val/dice",
    mode: str = "max",
    factor: float = 0.5,
    patience: int = 5,
) -> dict[str, Any]:
    """Multiply the learning rate by ``factor`` when ``monitor`` has not improved for ``patience`` epochs."""
    require_choice("scheduler.mode", mode, ("min", "max"))
    scheduler = ReduceLROnPlateau(optimizer, mode=mode, factor=factor, patience=patience)  # type: ignore[arg-type]
    return {"scheduler": scheduler, "interval": "epoch", "monitor": monitor}


def _per_step(
    optimizer: Optimizer, total_steps: int, warmup: float, course: Callable[[float], float]
) -> dict[str, Any]:
    """Warm up linearly, then follow ``course`` (share of the remaining steps -> factor of the learning rate)."""
    require_at_least("scheduler.warmup", warmup, 0)
    if warmup >= 1:
        raise ValueError(f"scheduler.warmup={warmup} is a share of all steps and must be below 1, such as 0.05")
    rising = round(warmup * total_steps)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / (rising + 1)
        return course(min(1.0, (step - rising) / max(1, total_steps - rising)))

    return {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}
