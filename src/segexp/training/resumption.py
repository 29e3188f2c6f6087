"""Going on with a run: what happened comes from the checkpoint, what is set comes from the configuration."""

import inspect
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from segexp.runs.record import Changes
from segexp.training.progress import Progress

RUN_ID, STEPS_PER_EPOCH = "run_id", "steps_per_epoch"  # keys of a checkpoint


class Resumption(Callback):
    """Lets a resumed run use the settings of its configuration, in the folder where it lies now.

    PyTorch and Lightning restore settings together with the state: the old learning rate, the old patience, and the
    old path, without which ModelCheckpoint forgets the best epoch.

    Args:
        run_id: Id of the run, kept in its checkpoints.
        changed: Settings that were changed on purpose, by key such as "optimizer.lr": value before, and now.
    """

    def __init__(self, run_id: str = "", changed: Changes | None = None) -> None:
        self.run_id = run_id
        self.groups = {key.partition(".")[0] for key in changed or ()}
        before, now = (changed or {}).get("optimizer.lr", (1.0, 1.0))
        self.rate_factor = float(now) / float(before)  # type: ignore[arg-type]
        self._steps_before: float | None = None
        self._settings: list[dict[str, Any]] = []  # of each schedule, as configured

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Note whose checkpoint it is, and how many optimizer steps an epoch has."""
        checkpoint[RUN_ID] = self.run_id
        checkpoint[STEPS_PER_EPOCH] = _steps_per_epoch(trainer)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Put the present settings and folder into what the callbacks remember."""
        self._steps_before = checkpoint.get(STEPS_PER_EPOCH)
        states = checkpoint["callbacks"]
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            state = states.get(callback.state_key)
            if state:
                before, now = state.get("dirpath"), getattr(callback, "dirpath", None)
                here = _moved(state, str(before), str(now)) if before and now else state
                states[callback.state_key] = here | _settings(callback, state)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the settings of the schedules before their state is restored."""
        self._settings = [
            _settings(item.scheduler, item.scheduler.state_dict()) for item in trainer.lr_scheduler_configs
        ]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the present settings into optimizer and schedule.

        Raises:
            ValueError: Nothing would be learned, since the learning rate is 0.
        """
        if trainer.global_step == 0:
            return
        if "optimizer" in self.groups:
            for optimizer in trainer.optimizers:
                _configure(optimizer, self.rate_factor)
        for item, settings in zip(trainer.lr_scheduler_configs, self._settings, strict=True):
            if "scheduler" in self.groups:
                vars(item.scheduler).update(settings)
            if isinstance(item.scheduler, LambdaLR):
                self._realign(item.scheduler, trainer, getattr(pl_module, "progress", None))
        if max(group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups) == 0:
            raise ValueError(
                f"the learning rate is 0 after step {trainer.global_step}, where the schedule ends: nothing would be "
                "learned; give more epochs with trainer.max_epochs, or more minutes, or another scheduler"
            )

    def _realign(self, scheduler: LambdaLR, trainer: pl.Trainer, progress: Progress | None) -> None:
        """Find the learning rate of this point of the run, where epochs, steps per epoch or rate are others now."""
        steps = _steps_per_epoch(trainer)
        if progress is not None:
            scheduler.last_epoch = progress.at(trainer.global_step)
        elif self._steps_before and self._steps_before != steps:
            scheduler.last_epoch = round(scheduler.last_epoch * steps / self._steps_before)
        if "optimizer" in self.groups:
            scheduler.base_lrs = [group["initial_lr"] for group in scheduler.optimizer.param_groups]
        rates = [
            base * factor(scheduler.last_epoch)
            for base, factor in zip(scheduler.base_lrs, scheduler.lr_lambdas, strict=True)
        ]
        for group, rate in zip(scheduler.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        scheduler._last_lr = rates


def _settings(owner: object, state: dict[str, Any]) -> dict[str, Any]:
    """Entries of a state that are arguments of the constructor, with the values that the object has now."""
    arguments = inspect.signature(type(owner)).parameters
    return {key: getattr(owner, key) for key in state if key in arguments and hasattr(owner, key)}


def _moved(value: Any, before: str, now: str) -> Any:
    """Replace a folder by another one in all paths of a state."""
    if isinstance(value, dict):
        return {_moved(key, before, now): _moved(item, before, now) for key, item in value.items()}
    return now + value.removeprefix(before) if isinstance(value, str) and value.startswith(before) else value


def _configure(optimizer: Optimizer, rate_factor: float) -> None:
    """Give an optimizer its configured settings again; the learning rate keeps its place in the schedule."""
    for group in optimizer.param_groups:
        group |= {key: value for key, value in optimizer.defaults.items() if key in group and key != "lr"}
        group["lr"] *= rate_factor
        if "initial_lr" in group:
            group["initial_lr"] *= rate_factor


def _steps_per_epoch(trainer: pl.Trainer) -> float:
    return trainer.estimated_stepping_batches / max(1, trainer.max_epochs or 1)


def epochs_made(checkpoint: Any) -> int:
    """Number of epochs that were made before a checkpoint; of none, 0."""
    return int(checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]) if checkpoint else 0
