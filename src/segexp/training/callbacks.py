"""Callbacks beside the optimization: the epoch table, the learning rate, averaged weights, early stopping."""

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning import callbacks as lightning
from pytorch_lightning.callbacks import Callback, Checkpoint, WeightAveraging
from torch import Tensor

from segexp.errors import require_between
from segexp.runs.files import read_table, write_table

MOST_KEPT = 0.999  # of an average of weights by each step, where that is chosen
REACH, LEAST_REACH = 0.05, 10  # fraction of all steps, and number of steps, that such an average reaches back
BATCH_LOSS = "loss"  # of the last batch alone, for the progress bar


class EpochTable(Checkpoint):
    """Writes metrics.csv, one row per epoch; a resumed run continues the same file.

    Lightning calls checkpoints after all other callbacks: what these log at the end of an epoch stands in its row,
    under any name but those of the first columns.

    Args:
        path: Path to the file.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self._started = self._trained = 0.0
        self._rate = 0.0
        self._earlier: dict[str, Tensor] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go on with the clock of an epoch that a checkpoint broke off."""
        spent = self._trained - self._started
        self._trained = time.perf_counter()
        self._started = self._trained - spent

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock, and note what earlier epochs have logged."""
        self._started = self._trained = time.perf_counter()
        self._earlier = dict(trainer.callback_metrics)

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """Note time and learning rate: what comes after the last batch is validation, and the next epoch's rate."""
        self._trained = time.perf_counter()
        self._rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the row of this epoch."""
        seconds = max(self._trained - self._started, 1e-9)
        rate = trainer.num_training_batches * trainer.datamodule.sampling.batch_size / seconds  # type: ignore[attr-defined]
        pl_module.log("train/patches_per_second", rate, logger=False, rank_zero_only=True)
        if not trainer.is_global_zero:
            return
        for logger in trainer.loggers:  # Lightning would log it after the checkpoint of the epoch is written
            logger.log_metrics({"train/patches_per_second": rate}, step=trainer.global_step - 1)
        # A tensor that was there before is of an earlier epoch: this one had no validation.
        logged = trainer.callback_metrics.items()
        values = {name: float(v) for name, v in logged if name != BATCH_LOSS and v is not self._earlier.get(name)}
        values["lr"] = self._rate
        values["train/patches_per_second"] = rate
        row = {
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            "seconds": round(seconds, 3),
            "validation_seconds": round(time.perf_counter() - self._trained, 3),
        }
        row |= {name: values[name] for name in sorted(values) if name not in row}
        # A run that was cut off may have left rows of this epoch and later behind.
        earlier = [old for old in read_table(self.path) if int(old["epoch"]) < trainer.current_epoch]
        write_table(self.path, [*earlier, row])

    def state_dict(self) -> dict[str, float]:
        """Seconds that this epoch has been trained for, for a checkpoint in the middle of it."""
        return {"seconds": self._trained - self._started}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Take over the seconds of a checkpoint."""
        self._trained = self._started + state_dict["seconds"]


class LearningRate(Callback):
    """Logs the learning rate of each epoch as ``train/lr``, whatever the optimizer: one chart shows all runs."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log it."""
        for logger in trainer.loggers:
            logger.log_metrics({"train/lr": trainer.optimizers[0].param_groups[0]["lr"]}, step=trainer.global_step)


class WeightAverage(WeightAveraging):
    """Exponential moving average of the weights: validated, kept in checkpoints, and final.

    After n steps the average keeps (1 + n) / (10 + n), at most ``decay``: it leaves the random weights of the start
    soon, however short the training.

    Args:
        decay: Fraction of the old average that each optimizer step keeps; "auto" = as fits the number of steps: the
            average reaches back over 5 % of them, at least 10, and keeps 0.999 at most.
    """

    def __init__(self, decay: float | str = "auto") -> None:
        if decay != "auto":
            why = 'it is a fraction, such as 0.999, or "auto"'
            require_between("callbacks.ema.decay", decay, 0, 1, why, open_at="high")
        self.decay = decay
        self._kept = MOST_KEPT if decay == "auto" else float(decay)
        super().__init__(avg_fn=self._averaged)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Fit the decay to the number of steps; not told by the epochs where a run begins within one."""
        super().on_train_start(trainer, pl_module)
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Fit the decay to the number of steps, which a run by minutes may change."""
        super().on_train_epoch_start(trainer, pl_module)
        if self.decay == "auto":
            self._kept = fitting_decay(trainer.estimated_stepping_batches)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Copy the average into the network and release it, so that later scoring uses the weights it is given."""
        super().on_train_end(trainer, pl_module)
        self._average_model = None

    def _averaged(self, average: Tensor, current: Tensor, steps: Tensor) -> Tensor:
        kept = torch.clamp((1 + steps) / (10 + steps), max=self._kept)
        return kept * average + (1 - kept) * current


def fitting_decay(steps: float) -> float:
    """Decay whose average reaches back over 5 % of as many steps, at least 10; at most 0.999."""
    return min(MOST_KEPT, 1 - 1 / max(LEAST_REACH, REACH * steps))


class EarlyStopping(lightning.EarlyStopping):
    """Ends a training that no longer improves; a validation without a defined score counts neither way.

    Args:
        monitor: Name of the monitored score.
        mode: "max" or "min", whichever is better.
        patience: Number of validations without improvement.
        min_delta: Least difference that is an improvement.
    """

    def __init__(
        self, monitor: str = "val/dice", mode: str = "max", patience: int = 20, min_delta: float = 0.0
    ) -> None:
        super().__init__(monitor, min_delta, patience, mode=mode, check_finite=False)

    def _evaluate_stopping_criteria(self, current: Tensor) -> tuple[bool, str | None]:
        return super()._evaluate_stopping_criteria(current) if current.isfinite() else (False, None)
