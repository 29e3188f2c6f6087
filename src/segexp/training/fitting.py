"""Whether training and scoring fit into the memory that is free, found out before the first step."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import pytorch_lightning as pl

from segexp.data import DataModule
from segexp.models.sizes import along_axes
from segexp.runs.configuration import Config
from segexp.training.batches import Batch
from segexp.training.counted import prediction_bytes, step_bytes
from segexp.training.free_memory import free_memory
from segexp.training.measure import random_patches
from segexp.training.task import Task

FLOAT = 4  # bytes
MAPS = 8  # per convolution at most: its output, that of norm and activation, their gradients, what is concatenated
STATES = 4  # of each weight: itself, its gradient, two means of the optimizer
# How many times the probabilities of a case are there at least: of validation cases, the loss is taken, too.
OF_SCORING = {"val": 3, "test": 1}


@dataclass(frozen=True)
class Step:
    """A training step: patches at once on this process, pixels of a patch per axis, recomputing of maps."""

    batch: int
    patch: tuple[int, ...]
    checkpointing: bool = False


class Fitting:
    """Compares what a training takes with the memory that is free for each process.

    Args:
        config: Configuration of the run.
        trainer: Its trainer.
        task: Its task.
        data: Its data, read.
        free: Bytes that are free; None = those of the device.
    """

    def __init__(
        self, config: Config, trainer: pl.Trainer, task: Task, data: DataModule, free: int | None = None
    ) -> None:
        device = trainer.strategy.root_device
        shared = 1 if device.type == "cuda" else trainer.num_devices  # processes of a machine share its memory
        self.config, self.trainer, self.task, self.data = config, trainer, task, data
        self.free = free_memory(device) // shared if free is None else free
        self.step = Step(data.sampling.batch_size // trainer.world_size, tuple(data.sampling.patch_size))

    def require(self) -> None:
        """Refuse a training step, or a prediction of the largest case, that takes more memory than is free.

        Without a GPU the system would end the process without a word. What cannot be counted is let through.

        Raises:
            ValueError: Names what is too large, how much it takes and how much is free, and overrides that fit.
        """
        if not self._surely_fits(self.step, self.free):
            self._require_step()
        self._require_scoring()

    def _surely_fits(self, step: Step, free: int) -> bool:
        """Whether a bound that costs no time to find is far below what is free."""
        weights = list(self.task.network.parameters())
        if any(one.ndim == 2 for one in weights):  # attention may take the square of the pixels
            return False
        channels = sum(max(one.shape[:2]) for one in weights if one.ndim > 2)
        pixels = step.batch * prod(step.patch)
        bound = FLOAT * (MAPS * channels * pixels + STATES * sum(one.numel() for one in weights))
        return bound < free / 2

    def _require_step(self) -> None:
        needed = self._bytes_of(self.step)
        if needed is None or needed <= self.free:
            return
        remedies = list(self._smaller_steps())
        raise ValueError(
            f"out of memory: a training step on {self.step.batch} patches of {list(self.step.patch)} takes "
            f"{_gib(needed)}, and {_gib(self.free)} are free; {one_of(remedies)}"
        )

    def _bytes_of(self, step: Step) -> int | None:
        return step_bytes(self.task, self.trainer, self._shapes(step), step.checkpointing)

    def _shapes(self, step: Step) -> Batch:
        """Batch of a step, which takes the memory of a pixel."""
        axes = len(step.patch)
        pixel: Any = random_patches(self.data, 1, (1,) * axes)
        return {  # type: ignore[return-value]
            name: value.expand(step.batch, *value.shape[1 : value.ndim - axes], *step.patch)
            for name, value in pixel.items()
        }

    def _smaller_steps(self) -> Iterator[str]:
        """Overrides with which a step would fit."""
        batches = list(_batches(self.step))
        batch = self._first_that_fits(batches)
        if batch is not None:
            yield " with ".join(self._of_batch(batch))
        if getattr(self.task.network, "config", {}).get("checkpointing") is False:
            saving = self._first_that_fits([replace(one, checkpointing=True) for one in (self.step, *batches)])
            if saving is not None and (batch is None or saving.batch > batch.batch):
                more = f" with {' and '.join(self._of_batch(saving))}" if saving.batch < self.step.batch else ""
                yield f"model.checkpointing=true{more}"
        patch = self._first_that_fits(self._smaller_patches(self.step))
        if patch is not None:
            yield f"data.sampling.patch_size={list(patch.patch)}"

    def _first_that_fits(self, steps: Iterable[Step]) -> Step | None:
        for step in steps:
            needed = self._bytes_of(step)
            if needed is not None and needed <= self.free:
                return step
        return None

    def _of_batch(self, step: Step) -> tuple[str, str]:
        """Overrides that make batches of this size, and of as many the optimizer steps that there were."""
        every = self.config["trainer"]["accumulate_grad_batches"] * self.step.batch // step.batch
        size = step.batch * self.trainer.world_size
        return f"data.sampling.batch_size={size}", f"trainer.accumulate_grad_batches={every}"

    def _smaller_patches(self, step: Step) -> Iterator[Step]:
        """Half the patch per axis, and so on, in sizes that the network takes."""
        while True:
            smaller = _halved(step.patch, getattr(self.task.network, "even_sizes", None))
            if smaller == step.patch:
                return
            step = replace(step, patch=smaller)
            yield step

    def _require_scoring(self) -> None:
        """Refuse a prediction of the largest validation or test case that does not fit."""
        labels = self.data.labels
        outputs = len(labels.regions) if labels.regions else labels.num_classes
        for split, times in OF_SCORING.items():
            cases = [prepared.original for prepared in self.data.cases(split)]
            if cases:
                largest = max(cases, key=lambda case: case.image[0].size)
                size = list(largest.image.shape[1:])
                kept = FLOAT * prod(size) * (self.data.channels + times * outputs)
                self._require_case(f"predicting {split} case {largest.name} of {size}", size, kept, outputs)

    def _require_case(self, what: str, size: Sequence[int], kept: int, outputs: int) -> None:
        """Refuse probabilities of a case that do not fit, or tiles that do not fit beside them."""
        if kept > self.free:
            raise ValueError(
                f"out of memory: {what} takes {_gib(kept)} for its probabilities of {outputs} classes alone, and "
                f"{_gib(self.free)} are free; cut the case into smaller ones"
            )
        self._require_tiles(what, size, kept)

    def _require_tiles(self, what: str, size: Sequence[int], kept: int) -> None:
        """Refuse tiles that do not fit beside what is kept of a case."""
        node: Any = self.config["inference"]["predictor"]
        free = self.free - kept
        if "tile" not in node or "batch_size" not in node:  # a predictor of the user's own
            return
        axes = self.data.geometry.spatial_dims
        tile = tuple(size[-axes:]) if node["tile"] is None else along_axes(node["tile"], axes)
        tiles = Step(node["batch_size"], tile)
        needed = None if self._surely_fits(tiles, free) else self._bytes_of_tiles(tiles)
        if needed is None or needed <= free:
            return
        remedies = []
        for smaller, key in ((_batches(tiles), "batch_size"), (self._smaller_patches(tiles), "tile")):
            found = next((one for one in smaller if (self._bytes_of_tiles(one) or 0) <= free), None)
            if found is not None:
                value = found.batch if key == "batch_size" else list(found.patch)
                remedies.append(f"inference.predictor.{key}={value}")
        raise ValueError(
            f"out of memory: {what} by {tiles.batch} tiles of {list(tile)} takes {_gib(kept + needed)}, and "
            f"{_gib(self.free)} are free; {one_of(remedies)}"
        )

    def _bytes_of_tiles(self, tiles: Step) -> int | None:
        return prediction_bytes(self.task, self.trainer, self._shapes(tiles)["image"])


def _batches(step: Step) -> Iterator[Step]:
    """Half the batch, and so on, in equal halves."""
    batch = step.batch
    while batch % 2 == 0:
        batch //= 2
        yield replace(step, batch=batch)


def _halved(patch: tuple[int, ...], even: Any) -> tuple[int, ...]:
    """Half a patch per axis, at least as large as the network needs it."""
    halves = [max(1, side // 2) for side in patch]
    if even is None:
        return tuple(halves)
    sizes = along_axes(even, len(patch))
    return tuple(min(side, size.at_least(half)) for side, half, size in zip(patch, halves, sizes, strict=True))


def one_of(remedies: Sequence[str]) -> str:
    """Say what to take, or that nothing is known to help."""
    if not remedies:
        return "no smaller batch or patch fits: take a smaller network, such as half of model.base_channels"
    *first, last = remedies
    return f"take {', '.join(first)} or {last}" if first else f"take {last}"


def _gib(size: float) -> str:
    for unit, name in ((2**30, "GiB"), (2**20, "MiB")):
        if size >= unit:
            return f"{size / unit:,.4g} {name}"
    return f"{size / 2**10:,.4g} KiB"
