"""The clock of a run: fits a training into its minutes, and knows how long a run will still take."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from segexp.runs.configuration import Config
from segexp.runs.folder import clock_of_run
from segexp.runs.record import ClockFacts
from segexp.training.epochs import AIM, Pace, epochs_that_fit
from segexp.training.first_plan import fitted, optimizer_steps
from segexp.training.progress import Progress
from segexp.training.resumption import epochs_made
from segexp.training.stopwatch import Stopwatch

STATE = "clock"  # key of a checkpoint
LATE, EARLY = 0.01, 0.1  # fractions of the minutes by which the end may be missed before the epochs are changed
LEAST_LATE = 0.5  # the same in seconds, of short runs
MOST_LATE = 0.02  # by which an epoch may miss it, before it is ended within
WINDOW = 0.03  # fraction of the minutes over which a pace is taken at least
AGREE_EVERY = 10  # batches between two agreements of several processes on that


class Clock(Callback):
    """Chooses the number of epochs before the first step, and looks after each epoch whether the end is still met.

    While the pace stays what it was, nothing is changed: two such runs are equal. Several processes follow the first.

    Args:
        minutes: Minutes that the whole run may take; None = the trainer's epochs, the clock only watches.
        begun: Time at which the command began, as ``now`` tells it.
        every: Number of epochs between two validations; None = chosen by the clock.
        earlier: State of the clock in the checkpoint that the run resumes from; None = it is new. Only what that run
            had spent counts, not the time since.
        again: How another run was fitted into its minutes, which is repeated step by step whatever the time; None = the
            time decides.
        now: Function that tells the time in seconds.
    """

    def __init__(
        self,
        minutes: float | None,
        begun: float,
        every: int | None = None,
        earlier: Mapping[str, Any] | None = None,
        again: ClockFacts | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.minutes = minutes
        self.every = every
        self.now = now
        self.watch = Stopwatch(now, window=WINDOW * 60 * (minutes or 0.0))
        self.facts: ClockFacts = {}
        self._begun = begun
        self._earlier = earlier
        self._again = again

    def elapsed(self) -> float:
        """Seconds that the run has taken so far."""
        return self.now() - self._begun

    def seconds_left(self, trainer: pl.Trainer) -> float:
        """Seconds that the run will still take by its present pace, its scoring included; nan where none is known."""
        epochs = (trainer.max_epochs or 0) - _made(trainer) - self.watch.batches / max(1, self.watch.size)
        return self.watch.left(
            max(0.0, epochs), self.facts.get("validated_every", trainer.check_val_every_n_epoch or 1)
        )

    # Before the first step

    def setup(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        """Choose the epochs, before optimizer and data are built for them."""
        if stage != "fit" or self.minutes is None:
            return
        if self._earlier:
            self._begun = self.now() - self._earlier["spent"]
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        settings = {"minutes": self.minutes, "batch_size": data.sampling.batch_size}
        if self._earlier and self._earlier["settings"] == settings:
            self.watch.pace = Pace(**self._earlier["pace"])
            self.facts = self._earlier["facts"]
            pl_module.progress = Progress(**self._earlier["progress"])
        elif self._again:
            steps = self._again["steps_planned"]
            self.facts = {**self._again, "epochs": self._again["epochs_planned"], "steps": steps, "changes": []}
            pl_module.progress = Progress(steps, steps)
        else:
            self.watch.pace, self.facts = fitted(
                self.minutes, self.elapsed(), self.every, pl_module, trainer, data, self._earlier
            )
            pl_module.progress = Progress(self.facts["steps"], self.facts["steps"])
        data.sampling = replace(data.sampling, patches_per_epoch=self.facts["patches_per_epoch"])
        trainer.fit_loop.max_epochs = self.facts["epochs"]

    # While it trains

    def on_train_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Start to time the first epoch; what a resumed run took to start is time between."""
        if self._earlier:
            self._begun = self.now() - self._earlier["spent"]
        self.watch.size = int(trainer.num_training_batches)
        self.watch.start_epoch()
        self.on_train_epoch_start(trainer)  # not called where a resumed run begins within an epoch

    def on_train_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Let the last epoch be validated, whatever its number."""
        if self.facts and trainer.check_val_every_n_epoch is not None:
            last = trainer.current_epoch + 1 >= self.facts["epochs"]
            trainer.check_val_every_n_epoch = 1 if last else self.facts["validated_every"]

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
        """Count the batch; make the epoch a shorter one, and the last, where even its end would be too late."""
        self.watch.batches += 1
        agreed = trainer.world_size == 1 or self.watch.batches % AGREE_EVERY == 0
        if self.minutes is not None and agreed and not trainer.fit_loop._should_accumulate():
            batches = trainer.strategy.broadcast(self._batches_that_fit(trainer.global_step))
            if 0 < batches < int(trainer.num_training_batches) - trainer.fit_loop.batch_idx - 1:
                self._cut(trainer, pl_module, batches)

    def on_validation_start(self, *_: Any) -> None:
        """Leave a validation out of the time of the epoch."""
        self.watch.start_validation()

    def on_validation_end(self, *_: Any) -> None:
        """Go on with it."""
        self.watch.end_validation()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Note the pace; change the number of epochs that are left if the run would end too late or too early."""
        self.watch.end_epoch()
        if self.minutes is None:
            return
        if trainer.fit_loop.max_batches != self.watch.size:  # it was a shorter one
            trainer.fit_loop.max_batches = trainer.val_check_batch = self.watch.size
        left = self.facts["epochs"] - _made(trainer)
        epochs = trainer.strategy.broadcast(self._that_fit(left, trainer.global_step)) if left else 0
        if epochs != left:
            steps = epochs * optimizer_steps(self.watch.size, trainer)
            self._change(trainer, pl_module, _made(trainer) + epochs, steps, 0)

    def _that_fit(self, left: int, step: int) -> int:
        """Number of epochs to make yet; the planned one while its end is near enough to the minutes."""
        assert self.minutes is not None
        if self._again:
            changed = [change for change in self._again["changes"] if change["step"] == step and not change["batches"]]
            return left + changed[0]["epochs"] - self.facts["epochs"] if changed else left
        whole, every, spent = 60 * self.minutes, self.facts["validated_every"], self.elapsed()
        end = spent + self.watch.left(left, every)
        late = end > whole + max(LATE * whole, LEAST_LATE)
        if not late and end >= whole * (1 - EARLY):
            return left
        batch = self.watch.recent(left)
        free = AIM * whole - spent - self.watch.reserve(batch)
        fit = epochs_that_fit(free, batch * self.watch.size, self.watch.validation(batch), every)
        # One at least, so that the schedule ends and its end is validated; it may become a shorter one.
        return min(max(fit, 1), left) if late else max(fit, left)

    def _batches_that_fit(self, step: int) -> int:
        """Number of batches after which this epoch must end to end the run in time; 0 = it can go on as planned."""
        assert self.minutes is not None
        if self._again:
            return sum(change["batches"] for change in self._again["changes"] if change["step"] == step)
        batch, latest = self.watch.present(), 60 * self.minutes * (1 + MOST_LATE)
        after = self.elapsed() + self.watch.validation(batch) + self.watch.reserve(batch)
        if after + (self.watch.size - self.watch.batches) * batch <= latest:
            return 0
        return max(1, int((latest - after) / batch))

    def _cut(self, trainer: pl.Trainer, task: Any, batches: int) -> None:
        """Let the run end after as many further batches, with a validation."""
        end = trainer.fit_loop.batch_idx + 1 + batches
        trainer.fit_loop.max_batches = trainer.val_check_batch = end
        if trainer.check_val_every_n_epoch is not None:
            trainer.check_val_every_n_epoch = 1
        self._change(trainer, task, trainer.current_epoch + 1, optimizer_steps(batches, trainer), batches)

    def _change(self, trainer: pl.Trainer, task: Any, epochs: int, steps: int, batches: int) -> None:
        """Let the run have other numbers of epochs in all and steps from here on; ``batches`` of a shorter epoch."""
        before, step = self.facts["epochs"], trainer.global_step
        task.progress.change(step, step + steps)
        self.facts["epochs"] = trainer.fit_loop.max_epochs = epochs
        self.facts["steps"] = step + steps
        self.facts["changes"].append({"epoch": _made(trainer), "step": step, "epochs": epochs, "batches": batches})
        if trainer.is_global_zero:
            pace = "faster" if epochs > before else "slower"
            print(
                f"after {_made(trainer)} epochs, {step} steps: {pace} than planned; {epochs} epochs instead of "
                f"{before}, {steps} steps are left"
            )

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Keep what a resumed run goes on with."""
        if self.facts and self.watch.pace is not None:
            checkpoint[STATE] = {
                "settings": {"minutes": self.minutes, "batch_size": trainer.datamodule.sampling.batch_size},  # type: ignore[attr-defined]
                "spent": self.elapsed(),
                "epochs": _made(trainer),
                "step": trainer.global_step,
                "pace": asdict(self.watch.pace),
                "progress": asdict(pl_module.progress),
                "facts": self.facts,
            }


def clock_of(config: Config, begun: float, resumed: Mapping[str, Any]) -> Clock:
    """Clock of a run.

    Args:
        config: Its configuration.
        begun: Time at which the command began.
        resumed: Checkpoint that it resumes from; empty of a new run.
    """
    every = config["trainer"].get("check_val_every_n_epoch")
    earlier = resumed.get(STATE)
    if resumed and not earlier:  # of a run by epochs, whose time nobody has kept
        patches = config["data"]["sampling"]["patches_per_epoch"]
        made = {"epochs": epochs_made(resumed), "step": resumed["global_step"], "spent": 0.0, "settings": {}}
        earlier = made | {"facts": {"patches_per_epoch": patches}}
    minutes = None if config["trainer"].get("fast_dev_run") else config["minutes"]
    again = clock_of_run(minutes) if isinstance(minutes, str) else None
    asked: Any = again["minutes"] if again else minutes
    return Clock(asked, begun, None if every == 1 else every or 1, earlier, again)


def _made(trainer: pl.Trainer) -> int:
    """Number of epochs that are trained."""
    return int(trainer.fit_loop.epoch_progress.current.processed)  # type: ignore[attr-defined]
