"""Callbacks beside the optimization: the epoch table, the learning rate, averaged weights."""

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, EMAWeightAveraging

from segexp.runs.files import read_table, write_table


class EpochTable(Callback):
    """Writes metrics.csv, one row per epoch; a resumed run continues the same file.

    Args:
        path: Path to the file.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self._started = self._trained = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._started = self._trained = time.perf_counter()

    def on_train_batch_end(self, *args: Any) -> None:
        """Note the time: what comes after the last batch is validation."""
        self._trained = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the row of this epoch."""
        seconds = max(self._trained - self._started, 1e-9)
        rate = trainer.num_training_batches * trainer.datamodule.sampling.batch_size / seconds  # type: ignore[attr-defined]
        pl_module.log("train/patches_per_second", rate, logger=False, rank_zero_only=True)
        if not trainer.is_global_zero:
            return
        values = {name: float(value) for name, value in trainer.callback_metrics.items() if "/" in name}
        values["lr"] = trainer.optimizers[0].param_groups[0]["lr"]
        values["train/patches_per_second"] = rate
        row = {
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            "seconds": round(seconds, 3),
            "validation_seconds": round(time.perf_counter() - self._trained, 3),
        }
        row |= {name: values[name] for name in sorted(values)}
        # A run that was cut off may have left rows of this epoch and later behind.
        earlier = [old for old in read_table(self.path) if int(old["epoch"]) < trainer.current_epoch]
        write_table(self.path, [*earlier, row])


class LearningRate(Callback):
    """Logs the learning rate of each epoch as ``lr``, whatever the optimizer, so that one chart shows all runs."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log it."""
        for logger in trainer.loggers:
            logger.log_metrics({"lr": trainer.optimizers[0].param_groups[0]["lr"]}, step=trainer.global_step)


class WeightAverage(EMAWeightAveraging):
    """Exponential moving average of the weights: validated, kept in checkpoints, and final.

    Args:
        decay: Fraction of the old average that each optimizer step keeps.
    """

    def __init__(self, decay: float = 0.999) -> None:
        super().__init__(decay=decay)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Copy the average into the network and release it, so that later scoring uses the weights it is given."""
        super().on_train_end(trainer, pl_module)
        self._average_model = None
