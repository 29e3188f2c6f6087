"""The checkpoint that a run resumes from: at the end of every epoch, and between two batches of one."""

import math
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor

from segexp.errors import require_at_least

MOST_OF_TIME = 0.01  # fraction of the training that may go into checkpoints within epochs
OLD_SECONDS = 60.0  # after which the last checkpoint is too old for what follows an epoch: its validation
AGREE_EVERY = 10  # optimizer steps between two agreements of several processes on the time
MEANS = "means_of_epoch"  # key of a checkpoint within an epoch


class LastCheckpoint(Checkpoint):
    """Keeps the checkpoint that a run resumes from.

    It is saved at the end of every epoch, every few minutes, before the last optimizer step of an epoch, and when the
    training is asked to stop within one, always after an optimizer step: the resumed run goes on at the next batch, and
    equals the unbroken one.

    Args:
        path: Path to the file.
        minutes: Minutes between two checkpoints; more where saving would take above 1 % of the time. None = none
            within an epoch, unless the training is asked to stop there.
    """

    def __init__(self, path: str, minutes: float | None = 15.0) -> None:
        if minutes is not None:
            require_at_least("callbacks.last.minutes", minutes, 0)
        self.path = Path(path)
        self.minutes = minutes
        self._next = math.inf  # time of the next checkpoint
        self._next_at_end = math.inf  # the same, before the last optimizer step of an epoch
        self._stopping = False
        self._within_epoch = False
        self._means: dict[str, Tensor] = {}  # sums of a broken-off epoch that are still to be added

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._set_clock(0.0)

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """Save where it is time; leave the training within the epoch where it is asked to stop."""
        self._add_means(trainer)
        loop = trainer.fit_loop
        # Lightning would validate and call the epoch complete; and between two steps there is no state to save.
        self._stopping |= trainer.should_stop
        trainer.should_stop = False
        if trainer.is_last_batch or loop.epoch_loop._should_check_val_fx(loop._data_fetcher):  # type: ignore[arg-type]
            trainer.should_stop = self._stopping
        elif not loop._should_accumulate() and (self._stopping or self._due(trainer)):
            self.save_within_epoch(trainer)
            if self._stopping:
                trainer.should_stop = True
                leave_epoch(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the end of an epoch."""
        self._save(trainer)

    def save_within_epoch(self, trainer: pl.Trainer) -> None:
        """Save between two batches, the second of which begins an optimizer step; every process must call it."""
        self._within_epoch = True
        try:
            self._save(trainer)
        finally:
            self._within_epoch = False

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the sums behind the means of the epoch, which Lightning leaves out."""
        if self._within_epoch:
            self._add_means(trainer)
            means = {key: _state(item) for key, item in _mean_items(trainer).items()}
            checkpoint[MEANS] = {key: trainer.strategy.all_gather(state).view(-1, 2) for key, state in means.items()}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take over the sums of a broken-off epoch; a limit of time is one of each process."""
        self._means = checkpoint.get(MEANS, {})
        checkpoint.get("callbacks", {}).pop("Timer", None)

    def _add_means(self, trainer: pl.Trainer) -> None:
        """Add what the epoch had summed up before it was broken off; Lightning begins at 0 with the first batch."""
        means, self._means = self._means, {}
        rank = trainer.global_rank
        for key, item in _mean_items(trainer).items():
            if key in means:
                states = means[key]
                if len(states) != trainer.world_size:  # as many processes as before have each their own
                    states = torch.stack([states.sum(dim=0), *[torch.zeros(2)] * (trainer.world_size - 1)])
                total, count = states[rank].to(item.value.device)
                item.value = item.value + total.to(item.value.dtype)
                item.cumulated_batch_size = item.cumulated_batch_size + count.to(item.cumulated_batch_size.dtype)

    def _due(self, trainer: pl.Trainer) -> bool:
        """Whether it is time for a checkpoint, as the first process says.

        Sooner before the last optimizer step of an epoch: no signal waits for its end, which may be a long validation.
        """
        left = trainer.num_training_batches - trainer.fit_loop.batch_idx - 1
        ends = left <= trainer.accumulate_grad_batches
        due = time.monotonic() >= (self._next_at_end if ends else self._next)
        if trainer.world_size == 1:
            return due
        return (ends or trainer.global_step % AGREE_EVERY == 0) and bool(trainer.strategy.broadcast(due))

    def _save(self, trainer: pl.Trainer) -> None:
        start = time.monotonic()
        trainer.save_checkpoint(self.path)
        self._set_clock(time.monotonic() - start)

    def _set_clock(self, spent: float) -> None:
        """Set the time of the next checkpoint, given the seconds that one takes."""
        if self.minutes is not None:
            now, least = time.monotonic(), spent / MOST_OF_TIME
            self._next = now + max(60 * self.minutes, least)
            self._next_at_end = min(self._next, now + max(OLD_SECONDS, least))


def leave_epoch(trainer: pl.Trainer) -> None:
    """End the training between two batches, without the validation and the hooks of the end of an epoch.

    Raises:
        StopIteration: Always; the trainer takes it as the end.
    """

    def end() -> None:
        raise StopIteration

    trainer.fit_loop.on_advance_end = end  # type: ignore[method-assign]
    raise StopIteration


def _mean_items(trainer: pl.Trainer) -> dict[str, Any]:
    """What Lightning sums up for the means of this epoch, by its own keys."""
    items: dict[str, Any] = dict(trainer.fit_loop.epoch_loop._results)
    return {
        key: item
        for key, item in items.items()
        if item.is_tensor and item.meta.on_epoch and item.meta.is_mean_reduction and not item.has_reset
    }


def _state(item: Any) -> Tensor:
    return torch.stack([item.value.double(), item.cumulated_batch_size.to(item.value.device).double()])
