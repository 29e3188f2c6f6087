"""Divergence: seen within 50 batches, traced to batch, cases, loss term and layer; stopped, skipped or rolled back."""

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, WeightAveraging
from torch import Tensor

from segexp.checkpoints.checkpoint import load_checkpoint
from segexp.errors import require_choice
from segexp.runs.folder import RunFolder

ACTIONS = ("stop", "skip", "rollback")
EVERY = 50  # batches between two looks at what a GPU has noted: each look waits for it
MOST_IN_A_ROW = 10  # steps that may be left out one after another
NONE = 2**62  # number of a batch that there is not
REMEDY = (
    "`segexp replay run=<its folder>` shows that batch; lower optimizer.lr, set trainer.gradient_clip_val=1, or take "
    "trainer.precision=32-true"
)


class DivergenceError(ValueError):
    """Training diverged.

    Args:
        sentence: What was found, and what to do.
        epoch: Number of the epoch.
        batch: Number of the batch in it.
    """

    def __init__(self, sentence: str, epoch: int, batch: int) -> None:
        super().__init__(sentence)
        self.epoch = epoch
        self.batch = batch


@dataclass
class _Noted:
    """What the device has noted of the first batch that was not finite, without waiting for it.

    Attributes:
        batch: () int64, number of the batch since the start of the run; ``NONE`` = all were finite.
        finite: (losses + parameters) bool.
    """

    batch: Tensor
    finite: Tensor


class Divergence(Callback):
    """Looks for losses and gradients that are not finite, at each step on the CPU, every 50 batches on a GPU.

    Args:
        action: What to do then. "stop" = end the run, with its last good checkpoints; "skip" = leave the step out (a
            GPU is then looked at in each step); "rollback" = take weights and optimizer of the last checkpoint, and go
            on with the next batch.

    Raises:
        DivergenceError: Names step, batch, cases, losses and layer; also where too many steps in a row are left out.
    """

    def __init__(self, action: str = "stop") -> None:
        require_choice("on_divergence", action, ACTIONS)
        self.action = action
        self.left_out = 0
        self._in_a_row = 0
        self._noted: _Noted | None = None
        self._buffers: list[Tensor] = []

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """Keep the running statistics of norms, which a step that is left out must not change."""
        if self.action == "skip" and trainer.fit_loop.batch_idx % trainer.accumulate_grad_batches == 0:
            self._buffers = [buffer.clone() for buffer in pl_module.buffers()]

    def on_after_backward(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Note on the device whether losses and gradients are finite."""
        values = [loss.float() for loss in pl_module.step_losses.values()]
        if trainer.precision != "16-mixed":  # whose scaler meets infinite gradients, and leaves those steps out itself
            values += torch._foreach_norm([p.grad for p in pl_module.network.parameters() if p.grad is not None])
        finite = torch.stack([value.float() for value in values]).isfinite()
        number = trainer.current_epoch * int(trainer.num_training_batches) + trainer.fit_loop.batch_idx
        batch = torch.where(finite.all(), NONE, number)
        if self._noted is None:
            self._noted = _Noted(batch, finite)
            return
        first = self._noted.batch == NONE
        self._noted.batch = torch.where(first, batch, self._noted.batch)
        self._noted.finite = torch.where(first, finite, self._noted.finite)

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: Any, optimizer: Any) -> None:
        """Look at what was noted; a step that is left out has no gradients."""
        batch = trainer.fit_loop.batch_idx
        each = self.action == "skip" or pl_module.device.type == "cpu"
        if not each and not trainer.is_last_batch and (batch + 1) % EVERY >= trainer.accumulate_grad_batches:
            return
        found = self._look(trainer, pl_module)
        if found is None:
            self._in_a_row = 0
            return
        self._in_a_row += 1
        if self.action == "stop" or self._in_a_row > MOST_IN_A_ROW:
            raise found
        if self.action == "rollback":
            _roll_back(trainer, pl_module, found)
        else:
            for buffer, kept in zip(pl_module.buffers(), self._buffers, strict=True):
                buffer.copy_(kept)
        pl_module.zero_grad(set_to_none=True)
        self.left_out += 1
        if trainer.is_global_zero:
            warnings.warn(f"on_divergence={self.action}: {found}", stacklevel=1)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log how many steps were left out so far."""
        if self.action != "stop":
            pl_module.log("train/steps_left_out", float(self.left_out), rank_zero_only=True)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Let no checkpoint of a training that has diverged replace a good one."""
        found = self._look(trainer, pl_module)
        if found is not None:
            raise found

    def state_dict(self) -> dict[str, int]:
        """Number of steps that were left out."""
        return {"left_out": self.left_out}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Take over the number of a checkpoint."""
        self.left_out = state_dict["left_out"]

    def _look(self, trainer: pl.Trainer, pl_module: Any) -> DivergenceError | None:
        """Read what the devices have noted, and begin anew."""
        noted, self._noted = self._noted, None
        if noted is None:
            return None
        number = int(trainer.strategy.reduce(noted.batch, reduce_op="min"))
        if number == NONE:
            return None
        finite = trainer.strategy.reduce(noted.finite.int(), reduce_op="min").bool().tolist()
        epoch, batch = divmod(number, int(trainer.num_training_batches))
        steps = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
        step = epoch * steps + batch // trainer.accumulate_grad_batches
        names = list(pl_module.step_losses)
        what = _in_words(pl_module, names, finite)
        cases = _cases(trainer, epoch, batch)
        return DivergenceError(
            f"training diverged at step {step} (epoch {epoch}, batch {batch}): {what}{cases}; {REMEDY}", epoch, batch
        )


def _in_words(pl_module: Any, names: list[str], finite: list[bool]) -> str:
    """Say which losses are not finite, and which gradient was the first, on the way back from the loss."""
    losses = [name for name, good in zip(names, finite, strict=False) if not good]
    layers = [name for name, p in pl_module.network.named_parameters() if p.grad is not None]
    gradients = [name for name, good in zip(layers, finite[len(names) :], strict=False) if not good]
    said = [f"{' and '.join(losses)} not finite" if losses else "the loss is finite"]
    if gradients:
        said.append(f"{len(gradients)} of {len(layers)} gradients are not, first that of {gradients[-1]}")
    return ", ".join(said)


def _cases(trainer: pl.Trainer, epoch: int, batch: int) -> str:
    """Name the cases that a batch was cut from, with their files."""
    dataset: Any = getattr(trainer.train_dataloader, "dataset", None)
    sampler: Any = getattr(trainer.train_dataloader, "batch_sampler", None)
    if not hasattr(dataset, "case_of"):
        return ""
    first = batch * sampler.batch_size
    cases = {case.name: case for case in (dataset.case_of((epoch, first + i)) for i in range(sampler.batch_size))}
    named = [f"{name} ({', '.join(map(str, case.files))})" if case.files else name for name, case in cases.items()]
    return f"; the batch was cut from {', '.join(named)}"


def _roll_back(trainer: pl.Trainer, pl_module: Any, found: DivergenceError) -> None:
    """Take weights, their average and the optimizer of the last checkpoint; the learning rate stays."""
    path = RunFolder(Path(trainer.default_root_dir)).last_checkpoint
    if not path.is_file():
        raise found
    checkpoint: Any = load_checkpoint(path)
    pl_module.load_state_dict(checkpoint["state_dict"])
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, WeightAveraging):
            callback.on_load_checkpoint(trainer, pl_module, checkpoint)
    rates = [group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups]
    trainer.strategy.load_optimizer_state_dict(checkpoint)
    for group in (group for optimizer in trainer.optimizers for group in optimizer.param_groups):
        group["lr"] = rates.pop(0)
