"""What a training did, as the trainer tells it: epochs, why it ended, limits in force."""

import statistics

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, Timer

from segexp.metrics import SplitResult
from segexp.runs.configuration import Config, TrainerNode
from segexp.runs.files import Rows
from segexp.runs.folder import epoch_seconds
from segexp.runs.record import ClockFacts
from segexp.runs.results import Training
from segexp.training.clock import Clock
from segexp.training.settings import LIMITS


def ending(trainer: pl.Trainer) -> str:
    """Say why a training that came to its end did so."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, EarlyStopping) and trainer.should_stop and callback.stopping_reason_message:
            return f"early stopping: {callback.stopping_reason_message.partition(' Signaling')[0].rstrip('.')}"
        if isinstance(callback, Timer) and (callback.time_remaining() or 0) <= 0:
            return "trainer.max_time is over"
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        return f"trainer.fast_dev_run={trainer.fast_dev_run}: a dry run, whose scores say nothing"  # type: ignore[attr-defined]
    if 0 < trainer.max_steps <= trainer.global_step:
        return f"trainer.max_steps={trainer.max_steps} reached"
    if clock_facts(trainer) and trainer.current_epoch >= (trainer.max_epochs or 0):
        return f"as many as fit into minutes={clock_facts(trainer)['minutes']:g}"
    return "all epochs" if trainer.current_epoch >= (trainer.max_epochs or 0) else "the trainer was asked to stop"


def clock_facts(trainer: pl.Trainer) -> ClockFacts:
    """How a run was fitted into its minutes; empty of a run by epochs."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, Clock):
            return callback.facts
    return {}


def limits(node: TrainerNode) -> dict[str, float | bool]:
    """Settings of the trainer that leave out batches or cases."""
    return {key: value for key, value in node.items() if key in (*LIMITS, "overfit_batches", "fast_dev_run") and value}  # type: ignore[misc]


def monitored(config: Config, val: SplitResult) -> tuple[str, bool]:
    """Score that stands for the run, and whether a higher one is better: the monitored one, if it is a final score."""
    name = config["monitor"].partition("/")[2]
    if name in val.scores:
        return name, config["monitor_mode"] == "max"
    first, info = next(iter(val.info.items()))
    return first, info.higher_is_better


def pace(curves: Rows) -> Training:
    """Minutes of training and patches per second; nothing where no table of the epochs was kept."""
    if not curves:
        return {}
    rates = [float(row["train/patches_per_second"]) for row in curves]
    return {
        "minutes": round(sum(epoch_seconds(curves)) / 60, 2),
        "patches_per_second": round(statistics.median(rates), 2),
    }
