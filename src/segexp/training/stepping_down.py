"""Out of memory within a run: a batch is done again in smaller parts, a case by smaller tiles, and the run goes on."""

import copy
import gc
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from segexp.inference import Predictor
from segexp.runs.record import Record, SteppedDown
from segexp.training.memory import is_of_memory
from segexp.training.task import Task

STATE = "stepping_down"  # key of a checkpoint


class SteppingDown(Callback):
    """Goes on with less memory where it runs out.

    In a training step, half as many patches are in memory at once as before; the loss is still that of the whole
    batch, so that gradients, steps and schedule stay what they are but for rounding, and for batch norm, which sees the
    statistics of a part. Where a single patch is too much, the network recomputes its maps (``checkpointing``). Where
    cases are predicted, half as many tiles are at once, then half a tile. The batch or case is done again: nothing that
    was trained is lost, and a resumed run goes on with what there was at its checkpoint.

    Several processes can do a batch again if memory runs out in the forward pass, not in the backward pass, within
    which they talk to each other; from the next epoch on all have what one of them needed.

    Args:
        task: Task of the run.
        record: Function that adds facts to run.json.
        resumed: Checkpoint that the run resumes from; empty of a new run.

    Attributes:
        changes: What was changed so far.
    """

    def __init__(self, task: Task, record: Callable[[Record], None], resumed: Mapping[str, Any]) -> None:
        self.changes: list[SteppedDown] = []
        self._task = task
        self._record = record
        self._tiles: dict[str, Any] = {}  # settings of the predictors
        same = task.scorer is task.predictor
        task.predictor = self._predictor = _Patient(task.predictor, self._smaller_tiles)
        task.scorer = self._scorer = self._predictor if same else _Patient(task.scorer, self._smaller_tiles)
        self._where: tuple[int, int | None] = (0, None)  # epoch and batch
        self._prints = True
        if STATE in resumed:
            self._take_over(resumed[STATE])

    # Training steps

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Guard the steps: forward and backward pass, or, of several processes, the forward pass."""
        self._prints = trainer.is_global_zero
        if trainer.world_size > 1:
            vars(pl_module)["batch_loss"] = partial(self._attempt, trainer, self._task.batch_loss)
        else:
            loop: Any = trainer.fit_loop.epoch_loop.automatic_optimization
            loop._make_closure = partial(self._guarded, trainer, loop._make_closure)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let go of the steps; what follows is predicted after the last epoch."""
        vars(pl_module).pop("batch_loss", None)
        vars(trainer.fit_loop.epoch_loop.automatic_optimization).pop("_make_closure", None)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let all processes have what the one with the least memory needs."""
        if trainer.world_size > 1:
            states: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(states, self._state())
            least = min(states, key=_room)
            if _room(least) < _room(self._state()):
                self._take_over(least)
                self._record({"stepped_down": self.changes})

    def _guarded(self, trainer: pl.Trainer, make: Callable[..., Any], *args: Any) -> Any:
        """Make a closure of Lightning's (forward and backward pass) that is tried until it fits."""
        closure = make(*args)
        closure.closure = partial(self._attempt, trainer, closure.closure)
        return closure

    def _attempt(self, trainer: pl.Trainer, work: Callable[..., Any], *args: Any) -> Any:
        """Do the work of a batch, again where memory runs out."""
        batch, alone = trainer.fit_loop.batch_idx, trainer.world_size == 1
        network = self._task.network
        buffers = [one.clone() for one in network.buffers()]
        # Gradients of earlier batches of the same optimizer step.
        within = alone and batch % trainer.accumulate_grad_batches > 0
        gradients = [_copied(one.grad) if within else None for one in network.parameters()]
        while True:
            try:
                return work(*args)
            except (MemoryError, RuntimeError) as error:
                change = self._smaller_step(trainer) if is_of_memory(error) else None
                if change is None:
                    raise
                why = _first_line(error)
            # Not within the handler: its traceback keeps the feature maps.
            for one, kept in zip(network.buffers(), buffers, strict=True):
                one.copy_(kept)
            for parameter, gradient in zip(network.parameters(), gradients, strict=True) if alone else ():
                parameter.grad = _copied(gradient)
            _free()
            self._task.on_train_batch_start(None, batch)  # type: ignore[arg-type]
            self._where = (trainer.current_epoch, batch)
            self._note(*change, why)

    def _smaller_step(self, trainer: pl.Trainer) -> tuple[str, str] | None:
        """Make the next step take less memory; say what was, and what is now. None = nothing is left to do."""
        task = self._task
        whole = trainer.datamodule.sampling.batch_size // trainer.world_size  # type: ignore[attr-defined]
        size = min(task.micro_batch or whole, whole)
        if size > 1:
            task.micro_batch = math.ceil(size / 2)
            seen = ", of which batch norm takes its statistics" if _has_batch_norm(task.network) else ""
            return _at_once(size), _at_once(task.micro_batch) + seen
        if getattr(task.network, "config", {}).get("checkpointing") is False:
            _recompute(task.network)
            return "model.checkpointing=false", "model.checkpointing=true"
        return None

    # Predictions

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note where predictions are."""
        self._where = (trainer.current_epoch, None)

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note where predictions are."""
        self._where = (trainer.current_epoch, None)

    def _smaller_tiles(self, predictor: Any, network: object, sizes: Sequence[int], why: str) -> bool:
        """Let the predictors take less memory; whether there is a way."""
        smaller = predictor.smaller(network, sizes) if hasattr(predictor, "smaller") else None
        if smaller is None:
            return False
        self._set_tiles(smaller.after)
        self._note(_setting(smaller.before), _setting(smaller.after), why)
        return True

    def _set_tiles(self, settings: dict[str, Any]) -> None:
        self._tiles |= settings
        for one in {id(one): one for one in (self._predictor, self._scorer)}.values():
            one.predictor = one.predictor.changed(**settings)

    # What was changed

    def _note(self, before: str, after: str, why: str) -> None:
        epoch, batch = self._where
        self.changes.append({"epoch": epoch, "batch": batch, "from": before, "to": after, "why": why})
        self._record({"stepped_down": self.changes})
        if self._prints:
            place = "a prediction" if batch is None else f"batch {batch}"
            print(f"out of memory in epoch {epoch}, {place}: done again, and on, with {after} instead of {before}")

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep what a resumed run goes on with."""
        if self.changes:
            checkpoint[STATE] = self._state()

    def _state(self) -> dict[str, Any]:
        return {
            "micro_batch": self._task.micro_batch,
            "checkpointing": any(one["to"] == "model.checkpointing=true" for one in self.changes),
            "tiles": self._tiles,
            "changes": self.changes,
        }

    def _take_over(self, state: Mapping[str, Any]) -> None:
        self.changes = list(state["changes"])
        self._task.micro_batch = state["micro_batch"]
        if state["checkpointing"]:
            _recompute(self._task.network)
        if state["tiles"]:
            self._set_tiles(state["tiles"])


class _Patient:
    """A predictor that tries again with less memory.

    Args:
        predictor: Predictor that is asked.
        smaller: Function from predictor, network, size of the image and reason to whether the predictor was changed.
    """

    def __init__(self, predictor: Predictor, smaller: Callable[..., bool]) -> None:
        self.predictor: Any = predictor
        self._smaller = smaller

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """Copy the predictor alone, as with a task whose weights are averaged: the run is not a part of it."""
        return copy.deepcopy(self.predictor, memo)

    def __call__(self, network: Any, image: Tensor) -> Tensor:
        """Predict as the predictor does."""
        while True:
            try:
                probs: Tensor = self.predictor(network, image)
                return probs
            except (MemoryError, RuntimeError) as error:
                if not is_of_memory(error):
                    raise
                why, failed = _first_line(error), error.with_traceback(None)
            _free()
            if not self._smaller(self.predictor, network, image.shape[2:], why):
                raise failed


def stepped_down(trainer: pl.Trainer) -> list[SteppedDown]:
    """What a run has changed for lack of memory."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return [change for one in callbacks if isinstance(one, SteppingDown) for change in one.changes]


def _room(state: Mapping[str, Any]) -> tuple[float, bool, float, float]:
    """How much memory a state takes, to compare it with others."""
    tiles = state["tiles"]
    return (
        state["micro_batch"] or math.inf,
        not state["checkpointing"],
        math.prod(tiles["tile"]) if "tile" in tiles else math.inf,
        tiles.get("batch_size", math.inf),
    )


def _recompute(network: Any) -> None:
    # A copy: the description of the network keeps what was configured.
    network.config = {**network.config, "checkpointing": True}


def _has_batch_norm(network: torch.nn.Module) -> bool:
    return any(getattr(one, "running_mean", None) is not None for one in network.modules())


def _at_once(size: int) -> str:
    return f"{size} patch{'es' if size > 1 else ''} at once"


def _setting(values: Mapping[str, Any]) -> str:
    return ", ".join(f"inference.predictor.{key}={'null' if value is None else value}" for key, value in values.items())


def _copied(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.clone()


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _free() -> None:
    """Give back what is no longer used."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
