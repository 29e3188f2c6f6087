"""What fits into a time: how many epochs, of how many batches, validated how often."""

import math
from dataclasses import dataclass

AIM = 0.97  # fraction of the time that is planned: no pace is quite even
OF_VALIDATION = 0.1  # largest fraction of the time for validation during training
LEAST_EPOCHS = 20  # into which a run is divided at least, so that it is looked at often
SHORT_SECONDS = 2.0  # of an epoch that is not divided further


@dataclass(frozen=True)
class Pace:
    """Seconds of the parts of a run.

    Args:
        batch: Of a training batch, its loading included.
        validation: Of one validation during the training.
        scoring: Of the prediction of all cases that are scored in the end.
        closing: Of what else follows the training: pictures, tables, the end of the process.
    """

    batch: float
    validation: float
    scoring: float
    closing: float


@dataclass(frozen=True)
class Plan:
    """Epochs that fit into a time.

    Args:
        epochs: Number of epochs.
        batches: Number of batches of each.
        every: Number of epochs from one validation to the next; the last epoch is validated, too.
    """

    epochs: int
    batches: int
    every: int


def plan(seconds: float, pace: Pace, batches: int, every: int | None, shorter: bool = True) -> Plan:
    """Divide a time into epochs.

    Numbers are rounded, so that a pace that is measured a little differently leads to the same plan.

    Args:
        seconds: Seconds for training and validation.
        pace: Pace of the run.
        batches: Number of batches of an epoch.
        every: Number of epochs between two validations; None = as few as let them take a tenth of the time.
        shorter: Whether epochs of fewer batches may be planned, where one would take more than a twentieth of the time.
    """
    longest = max(seconds / LEAST_EPOCHS, SHORT_SECONDS)
    if shorter and batches * pace.batch > longest:
        batches = max(1, _rounded(min(longest, max(seconds, 0.0)) / pace.batch))
    epoch = batches * pace.batch
    if every is None:
        fraction = pace.validation * (1 - OF_VALIDATION) / (OF_VALIDATION * epoch)
        every = 2 ** math.ceil(math.log2(max(fraction, 1.0)))
    epochs = max(1, epochs_that_fit(seconds, epoch, pace.validation, every))
    return Plan(epochs, batches, min(every, epochs))


def epochs_that_fit(seconds: float, epoch: float, validation: float, every: int) -> int:
    """Number of epochs with their validations that fit into a time, rounded; the last one is validated.

    Args:
        seconds: Seconds for both.
        epoch: Seconds of an epoch without validation.
        validation: Seconds of a validation.
        every: Number of epochs from one validation to the next.
    """
    extra = validation if every > 1 else 0.0
    return _rounded((seconds - extra) / (epoch + validation / every))


def _rounded(count: float) -> int:
    """Round down to at most five binary digits: 30, 31, 32, 34, 36, …; a negative number becomes 0."""
    whole = max(0, int(count))
    unit = 1 << max(0, whole.bit_length() - 5)
    return whole // unit * unit
