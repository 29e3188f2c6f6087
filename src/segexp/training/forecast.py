"""Time that a run by epochs will take, told before its first step."""

import os

import pytorch_lightning as pl
import torch

from segexp.data import DataModule
from segexp.sweeps.watch import duration
from segexp.training.epochs import Pace
from segexp.training.pace import limited, measure_pace, presumed_pace
from segexp.training.task import Task

SHORT, LONG = 60.0, 3600.0  # seconds of a run that is not measured further, and of one with advice
OF_RUN, MOST = 0.03, 2.0  # fraction of the time, and seconds, in which the pace is measured
PLAIN_STEP = 1.0  # seconds from which on one step tells the pace well enough


def forecast(task: Task, trainer: pl.Trainer, data: DataModule, step: float, made: int) -> tuple[str, Pace]:
    """Say how long a run will take, in one line; and what would be faster, where that is long.

    Args:
        task: Task that is trained.
        trainer: Its trainer.
        data: Its data, read.
        step: Seconds of one step; more than later ones take, as the first step is a slow one.
        made: Number of epochs that were made before.

    Returns:
        The sentence, and the pace that it goes by.
    """
    epochs = max(0, (trainer.max_epochs or 0) - made)
    batches = limited(data.sampling.patches_per_epoch // data.sampling.batch_size, trainer.limit_train_batches)
    every = trainer.check_val_every_n_epoch or 1
    pace = presumed_pace(step, trainer, data)
    parts = _parts(pace, epochs, batches, every)
    steps = f"{epochs} {'epoch' if epochs == 1 else 'epochs'} of {batches} steps"
    machine = f"machine: {machine_of(trainer)}"
    if sum(parts.values()) < SHORT:
        return f"under a minute: {steps}, validation and scoring; {machine}", pace
    if step < PLAIN_STEP:
        pace = measure_pace(task, trainer, data, min(MOST, OF_RUN * sum(parts.values())))
        parts = _parts(pace, epochs, batches, every)
    whole = sum(parts.values())
    said = f"about {duration(whole)}: {steps} of {pace.batch:.2g} s, validation and scoring; {machine}"
    if whole > LONG:
        most = max(parts, key=lambda name: parts[name])
        said += f"\nmost of it is {most}; faster: minutes=20 makes as many epochs as fit into 20 minutes,"
        said += " plan=auto minutes=20 chooses network and patches for them, too"
    return said, pace


def _parts(pace: Pace, epochs: int, batches: int, every: int) -> dict[str, float]:
    """Seconds of each part of a run."""
    return {
        "training": epochs * batches * pace.batch,
        "validation": epochs / every * pace.validation,
        "the final scoring": pace.scoring + pace.closing,
    }


def machine_of(trainer: pl.Trainer, kind: str = "") -> str:
    """Name what computes in one process: the GPU, or the number of cores, of a kind such as "CPU "."""
    device = trainer.strategy.root_device
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = min(torch.get_num_threads(), os.cpu_count() or 1)
    return f"1 {kind}core" if threads == 1 else f"{threads} {kind}cores"
