"""Fits a training into its minutes, before the first step."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytorch_lightning as pl

from segexp.data import DataModule
from segexp.runs.record import ClockFacts
from segexp.training.epochs import AIM, Pace, Plan, plan
from segexp.training.pace import limited, measure_pace
from segexp.training.task import Task

MEASURING = 0.015  # fraction of the minutes in which the pace is measured
MOST_MEASURING = 10.0  # the same in seconds


def fitted(
    minutes: float,
    spent: float,
    every: int | None,
    task: Task,
    trainer: pl.Trainer,
    data: DataModule,
    earlier: Mapping[str, Any] | None,
) -> tuple[Pace, ClockFacts]:
    """Measure the pace and plan what fits; several processes take the plan of the first.

    Args:
        minutes: Minutes that the whole run may take.
        spent: Seconds that it has taken.
        every: Number of epochs between two validations; None = as fits.
        task: Task that is trained.
        trainer: Its trainer.
        data: Its data, read.
        earlier: State of the clock of the run that is resumed, which keeps the size of its epochs; None = it is new.
    """
    made: Mapping[str, Any] = earlier or {"epochs": 0, "step": 0}
    if earlier:
        data.sampling = replace(data.sampling, patches_per_epoch=earlier["facts"]["patches_per_epoch"])
    pace = measure_pace(task, trainer, data, min(MEASURING * 60 * minutes, MOST_MEASURING))
    patches, size = data.sampling.patches_per_epoch, data.sampling.batch_size
    batches = limited(patches // size, trainer.limit_train_batches)
    left = AIM * 60 * minutes - spent - pace.scoring - pace.closing
    chosen = plan(left, pace, batches, every, shorter=not earlier)
    pace, chosen = trainer.strategy.broadcast((pace, chosen))
    if chosen.batches < batches:
        patches = math.ceil(chosen.batches * (patches // size) / batches) * size
    steps = made["step"] + chosen.epochs * optimizer_steps(chosen.batches, trainer)
    if trainer.max_steps > 0:
        steps = min(steps, trainer.max_steps)
    if trainer.is_global_zero:
        print(_in_words(minutes, spent, chosen, pace))
    epochs = made["epochs"] + chosen.epochs
    return pace, {
        "minutes": minutes,
        "epochs_planned": epochs,
        "epochs": epochs,
        "steps_planned": steps,
        "steps": steps,
        "patches_per_epoch": patches,
        "validated_every": chosen.every,
        "reserve_minutes": round((pace.scoring + pace.closing) / 60, 3),
        "changes": [],
    }


def _in_words(minutes: float, spent: float, chosen: Plan, pace: Pace) -> str:
    often = "each" if chosen.every == 1 else f"one in {chosen.every}"
    epochs = "1 epoch" if chosen.epochs == 1 else f"{chosen.epochs} epochs"
    return (
        f"minutes={minutes:g}: {epochs} of {chosen.batches} batches of {pace.batch:.2g} s, {often} validated; "
        f"{spent:.0f} s are spent, {pace.scoring + pace.closing:.0f} s are kept for the final scoring"
    )


def optimizer_steps(batches: int, trainer: pl.Trainer) -> int:
    """Number of optimizer steps of as many batches of an epoch."""
    return math.ceil(batches / trainer.accumulate_grad_batches)
