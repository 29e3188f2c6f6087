"""Cost of a training step, measured on random patches: seconds, memory, size of a checkpoint."""

import statistics
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch.utils.data import DataLoader

from segexp.data import DataModule
from segexp.data.prepared import target_tensor
from segexp.training.batches import Batch
from segexp.training.task import Task

WARM_UP = 3  # steps before the clock counts: memory is taken, algorithms are chosen
LEAST, MOST = 3, 1000  # optimizer steps that are counted


class StepCost(TypedDict):
    """Cost of a training step: forward, loss, backward, and its part of the optimizer's step."""

    seconds_per_step: float
    timed_steps: int
    checkpoint_bytes: int  # size of a checkpoint file
    gpu_bytes: int | None  # peak of the memory that PyTorch took on the GPU; None without one
    measuring_seconds: float


class StepClock(Callback):
    """Times batches after a warm-up, ends the training when it has timed enough, and measures its checkpoint.

    Args:
        seconds: Seconds to measure for; the batch at work then is still waited for.
        every: Number of batches per optimizer step.
    """

    def __init__(self, seconds: float, every: int = 1) -> None:
        self.seconds, self.every = seconds, every
        self.ends: list[float] = []
        self.checkpoint_bytes = 0

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """Note the time; stop after an optimizer step once enough have been timed."""
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())
        marks = self.marks
        trainer.should_stop = len(marks) > LEAST and marks[-1] - marks[0] >= self.seconds

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save a checkpoint at the time at which a run saves its own, and note the size."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "measured.ckpt"
            trainer.save_checkpoint(path)
            self.checkpoint_bytes = path.stat().st_size

    @property
    def marks(self) -> list[float]:
        """Times at which optimizer steps ended, the last of the warm-up first."""
        return self.ends[WARM_UP * self.every - 1 :: self.every]


def random_patches(data: DataModule, count: int, patch_size: Sequence[int] | None = None) -> Batch:
    """Draw a batch of ``count`` patches of noise with the shapes and types of real ones; no data are read.

    Args:
        data: Data that they stand for.
        count: Number of patches.
        patch_size: Pixels per axis; None = as the data are sampled.

    Returns:
        image (B, C, *P), target (B, *P) or (B, R, *P) of regions, weight (B, *P) where the loss needs one.
    """
    rng = np.random.default_rng(0)
    size = data.sampling.patch_size if patch_size is None else patch_size
    labels = [rng.integers(data.labels.num_classes, size=size) for _ in range(count)]
    batch: Batch = {
        "image": torch.randn(count, data.channels * (2 * data.geometry.context + 1), *size),
        "target": torch.stack([target_tensor(label, data.labels.regions) for label in labels]),
    }
    if data.weight_map is not None:
        batch["weight"] = torch.ones(count, *size)
    return batch


def trial_step(
    task: Task, trainer: pl.Trainer, network: torch.nn.Module, optimizer: torch.optim.Optimizer, batch: Batch
) -> None:
    """Train a copy of a task's network for one step on a batch on its device, in the precision of the trainer."""
    with trainer.precision_plugin.forward_context():
        loss, _ = task.batch_loss(network, batch)
    loss.backward()
    optimizer.step()


def measure_step(task: Task, trainer: pl.Trainer, batch: Batch, clock: StepClock) -> StepCost:
    """Train a task on one batch over and over, by a trainer of one device that has the clock among its callbacks."""
    batches: DataLoader = DataLoader([batch] * (MOST * clock.every), batch_size=None)  # type: ignore[arg-type]
    start = time.perf_counter()
    trainer.fit(task, batches, weights_only=True)
    device = trainer.strategy.root_device
    return {
        "seconds_per_step": statistics.median(end - begin for begin, end in pairwise(clock.marks)) / clock.every,
        "timed_steps": (len(clock.marks) - 1) * clock.every,
        "checkpoint_bytes": clock.checkpoint_bytes,
        "gpu_bytes": torch.cuda.max_memory_reserved(device) if device.type == "cuda" else None,
        "measuring_seconds": time.perf_counter() - start,
    }
