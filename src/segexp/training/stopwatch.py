"""What the epochs and validations of a running training take."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from segexp.training.epochs import Pace

KEPT = 100  # epochs that are remembered
LEAST_BATCHES = 3  # of an epoch before its own pace is believed


@dataclass
class Stopwatch:
    """Times batches and validations, and tells what is left.

    Args:
        now: Function that tells the time in seconds.
        pace: Pace as measured or presumed before the first step, then as timed; None = not known yet.
        size: Number of batches of an epoch.
        window: Seconds of training over which a pace is taken at least, so that it is no accident of a short epoch.
    """

    now: Callable[[], float]
    pace: Pace | None = None
    size: int = 0
    window: float = 0.0
    batches: int = 0  # of this epoch, made by this process
    _epochs: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=KEPT))  # batches, seconds
    _mark: float = 0.0  # end of the epoch before
    _validation: float = 0.0  # seconds in this epoch

    def start_epoch(self) -> None:
        """Start to time an epoch, with what comes between it and the one before."""
        self._mark, self._validation, self.batches = self.now(), 0.0, 0

    def start_validation(self) -> None:
        """Leave a validation out of the epoch."""
        self._validation -= self.now()

    def end_validation(self) -> None:
        """Go on with the epoch."""
        self._validation += self.now()

    def end_epoch(self) -> None:
        """Note what the epoch took, and start the next one."""
        if self.batches:
            self._epochs.append((self.batches, self.now() - self._mark - self._validation))
        if self.pace and len(self._epochs) == 1:  # slower than this is a machine that has become so
            self.pace = replace(self.pace, batch=self._epochs[0][1] / self._epochs[0][0])
        if self._validation and self.pace and self._epochs:
            factor = self._validation / max(self.pace.validation, 1e-6)
            batch = self._epochs[-1][1] / self._epochs[-1][0]
            self.pace = replace(self.pace, batch=batch, validation=self._validation, scoring=self.pace.scoring * factor)
        self.start_epoch()

    def recent(self, epochs: int) -> float:
        """Seconds of a batch, to reckon with for as many epochs: a mean over half as many, at least over the window."""
        batches, seconds = 0, 0.0
        for count, (some, took) in enumerate(reversed(self._epochs)):
            if count >= max(1, epochs // 2) and seconds >= self.window:
                break
            batches, seconds = batches + some, seconds + took
        if not batches:
            return self.pace.batch if self.pace else math.nan
        return seconds / batches

    def present(self) -> float:
        """Seconds of a batch of this epoch; of the one before until a few have been made."""
        if self.batches < min(LEAST_BATCHES, self.size):
            return self.recent(1)
        return (self.now() - self._mark) / self.batches

    def reserve(self, batch: float) -> float:
        """Seconds of all that follows the last validation, if a batch takes as many as told."""
        assert self.pace is not None
        return (self.pace.scoring + self.pace.closing) * self._slower(batch)

    def validation(self, batch: float) -> float:
        """Seconds of a validation, if a batch takes as many as told."""
        assert self.pace is not None
        return self.pace.validation * self._slower(batch)

    def _slower(self, batch: float) -> float:
        """How much slower the machine is than when a validation was last timed."""
        assert self.pace is not None
        return max(1.0, batch / self.pace.batch)

    def left(self, epochs: float, every: int) -> float:
        """Seconds that the run will still take; nan where no pace is known.

        Args:
            epochs: Number of epochs that are left, of this one the part.
            every: Number of epochs from one validation to the next.
        """
        if self.pace is None:
            return math.nan
        batch = self.recent(math.ceil(epochs))
        validations = math.ceil(epochs / every) * self.validation(batch)
        return epochs * self.size * batch + validations + self.reserve(batch)
