"""The progress of a training: a bar in a terminal or notebook, a line per epoch elsewhere."""

import math
import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar
from rich import get_console
from rich.progress import ProgressColumn, Task
from rich.text import Text

from segexp.sweeps.watch import duration
from segexp.training.clock import Clock


class ProgressBar(RichProgressBar):
    """Shows epoch, batch, scores, and the time that the whole run will still take."""

    def __init__(self) -> None:
        super().__init__()
        console = get_console()
        self._lines = not (console.is_terminal or console.is_jupyter)
        self._started = 0.0
        self._validated = False
        if self._lines:
            self.disable()

    def enable(self) -> None:
        """Show the bar, where there is a terminal for one."""
        if not self._lines:
            super().enable()

    def configure_columns(self, trainer: pl.Trainer) -> list[Any]:
        """Columns of the bar."""
        return [*super().configure_columns(trainer), _Left(lambda: time_left(trainer))]

    def _get_train_description(self, current_epoch: int) -> str:
        return f"{_epoch(self.trainer, current_epoch):{len(self.validation_description)}}"

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the time of an epoch that a checkpoint broke off, whose start is not told."""
        super().on_train_start(trainer, pl_module)
        self._started, self._validated = time.monotonic(), False

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the bar, or the time of an epoch."""
        super().on_train_epoch_start(trainer, pl_module)
        self._started, self._validated = time.monotonic(), False

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note that the epoch has scores."""
        super().on_validation_end(trainer, pl_module)
        self._validated = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the line of the epoch."""
        super().on_train_epoch_end(trainer, pl_module)
        if self._lines and trainer.is_global_zero:
            scores = self.get_metrics(trainer, pl_module)
            shown = [name for name in scores if name.startswith("val/") and self._validated]
            values = {"train/loss": float(trainer.callback_metrics.get("train/loss", math.nan))}
            values |= {name: float(scores[name]) for name in shown}  # type: ignore[arg-type]
            said = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
            took = duration(time.monotonic() - self._started)
            print(
                f"{_epoch(trainer, trainer.current_epoch)}: {said}; {took}{_with_comma(time_left(trainer))}", flush=True
            )


class _Left(ProgressColumn):
    """Time that the whole run will still take."""

    def __init__(self, left: Callable[[], float]) -> None:
        super().__init__()
        self.left = left

    def render(self, task: Task) -> Text:
        """Write it."""
        return Text(_with_comma(self.left()).removeprefix(", "))


def time_left(trainer: pl.Trainer) -> float:
    """Seconds that a run will still take, its final scoring included; nan where nothing tells."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, Clock):
            return callback.seconds_left(trainer)
    return math.nan


def _with_comma(seconds: float) -> str:
    return "" if math.isnan(seconds) else f", {duration(seconds)} left"


def _epoch(trainer: pl.Trainer, number: int) -> str:
    """Number of an epoch as people count."""
    whole = trainer.max_epochs or -1
    return f"epoch {number + 1} of {whole}" if whole > 0 else f"epoch {number + 1}"
