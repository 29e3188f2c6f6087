"""Pace of a run on this machine, measured before its first step on a copy of its network."""

import copy
import math
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor

from segexp.data import DataModule
from segexp.data.prepared import Prepared
from segexp.metrics import certain_probs
from segexp.training.batches import Batch, CaseBatch
from segexp.training.epochs import Pace
from segexp.training.measure import trial_step
from segexp.training.task import Task

LIGHTNING_SECONDS = 0.004  # that the trainer takes for a batch beside the step itself
END_SECONDS = 2.0  # of what follows the final scoring: tables, figures, the end of the process
CASE_SECONDS = 0.15  # of a picture of a case
TRUTH = 0.9  # share of the truth in what a trained network predicts
OVERLAP = 2.0  # fold by which overlapping tiles may cover a case
FORWARD = 0.4  # fraction of a training step that the network's forward pass takes


def measure_pace(task: Task, trainer: pl.Trainer, data: DataModule, seconds: float) -> Pace:
    """Train and score a copy of the network on real patches and a real case, for a few seconds.

    Args:
        task: Task whose network is copied; it stays as it is, and so do the random numbers.
        trainer: Its trainer, which knows device and precision.
        data: Its data, read.
        seconds: Seconds to measure for; a step that was begun is ended.
    """
    device = trainer.strategy.root_device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        twin = copy.deepcopy(task.network).to(device)
        load, step = _batch_seconds(task, trainer, data, twin, seconds / 2)
        per_pixel, views = _case_seconds(task, trainer, data, twin, step, seconds / 2)
    workers = data.train_dataloader().num_workers
    batch = max(load / workers, step) if workers else load + step
    return pace_of(batch + LIGHTNING_SECONDS, per_pixel, views, trainer, data)


def pace_of(batch: float, per_pixel: float, views: int, trainer: pl.Trainer, data: DataModule) -> Pace:
    """Pace of a run, of the seconds of a batch and those that a pixel of a validation case takes."""
    val, test = _cases(trainer, data)
    validation = per_pixel * sum(map(_pixels, val)) / trainer.world_size
    scoring = per_pixel * sum(map(_pixels, [*val, *test])) * views / trainer.world_size
    return Pace(batch, validation, scoring, END_SECONDS + CASE_SECONDS * (len(val) + len(test)))


def presumed_pace(step: float, trainer: pl.Trainer, data: DataModule) -> Pace:
    """Pace of a run by the seconds of one step alone."""
    return pace_of(step + LIGHTNING_SECONDS, _presumed(step, trainer, data), 1, trainer, data)


def _presumed(step: float, trainer: pl.Trainer, data: DataModule) -> float:
    """Seconds that a pixel of a case may take, by those of a step on patches."""
    patches = data.sampling.batch_size // trainer.world_size
    return presumed_scoring(step, patches * math.prod(data.sampling.patch_size))


def presumed_scoring(step: float, pixels: int) -> float:
    """Seconds that a pixel of a case may take to be predicted, by those of a step on ``pixels``; tiles overlap."""
    return OVERLAP * FORWARD * step / pixels


def _cases(trainer: pl.Trainer, data: DataModule) -> tuple[list[Prepared], list[Prepared]]:
    """Validation and test cases that are scored."""
    val, test = data.cases("val"), data.cases("test")
    return val[: limited(len(val), trainer.limit_val_batches)], test[: limited(len(test), trainer.limit_test_batches)]


def _batch_seconds(
    task: Task, trainer: pl.Trainer, data: DataModule, twin: torch.nn.Module, seconds: float
) -> tuple[float, float]:
    """Seconds to load a batch, and seconds of a step on it, the first ones left out where there are more."""
    optimizer = task.make_optimizer(twin.parameters())
    twin.train()
    loads: list[float] = []
    steps: list[float] = []
    begin = last = time.perf_counter()
    for batch in _batches(data, trainer):
        loaded = time.perf_counter()
        trial_step(task, trainer, twin, optimizer, _moved(batch, trainer))
        optimizer.zero_grad()
        _wait(trainer)
        loads.append(loaded - last)
        last = time.perf_counter()
        steps.append(last - loaded)
        if last - begin > seconds:
            break
    # Some patches are augmented at length, and count; a step that was held up does not.
    return statistics.mean(loads[1:] or loads), statistics.median(steps[1:] or steps)


def _batches(data: DataModule, trainer: pl.Trainer) -> Iterator[Batch]:
    """Batches of the first epoch as one process has them, loaded by this one."""
    patches = data.sampling.batch_size // trainer.world_size  # also before the processes know of each other
    loader = data.train_dataloader()
    for keys in cast(Any, loader.batch_sampler):
        yield loader.collate_fn([loader.dataset[key] for key in keys[:patches]])


def _moved(batch: Any, trainer: pl.Trainer) -> Any:
    device = trainer.strategy.root_device
    return {key: value.to(device) if isinstance(value, Tensor) else value for key, value in batch.items()}


def _wait(trainer: pl.Trainer) -> None:
    if trainer.strategy.root_device.type == "cuda":
        torch.cuda.synchronize()


def _case_seconds(
    task: Task, trainer: pl.Trainer, data: DataModule, twin: torch.nn.Module, step: float, seconds: float
) -> tuple[float, int]:
    """Seconds that a pixel of a validation case takes, and how many times as many in the final scoring.

    A case that would take too long is not predicted: the pixels of the patches in a step tell how long it would take.
    """
    twin.eval()
    views = _views(task, trainer, data, twin)
    per_pixel = _presumed(step, trainer, data)
    cases = data.cases("val")
    by_size = sorted(range(len(cases)), key=lambda index: _pixels(cases[index]))
    for index in (by_size[len(cases) // 2], by_size[0]):  # the median case is like the others, the smallest is quick
        if per_pixel * _pixels(cases[index]) < seconds:
            loader: Any = data.val_dataloader()
            case = _moved(loader.collate_fn([loader.dataset[index]]), trainer)
            action = partial(_score, task, trainer, twin, case)
            took = _seconds_of(action)
            if took < seconds:  # the first time takes memory, and chooses algorithms
                took = _seconds_of(action)
            return took / _pixels(cases[index]), views
    return per_pixel, views


def limited(count: int, limit: int | float | None) -> int:
    """Number of batches or cases that a limit of the trainer leaves: a number of them, or a fraction."""
    if limit is None:
        return count
    return min(count, limit) if isinstance(limit, int) else int(count * limit)


def _pixels(prepared: Prepared) -> int:
    return math.prod(prepared.case.image.shape[1:])


def _score(task: Task, trainer: pl.Trainer, twin: torch.nn.Module, case: CaseBatch) -> None:
    """Predict and score a case as a validation does, with metrics of its own."""
    with torch.no_grad(), trainer.precision_plugin.forward_context():
        probs = task.predict(task.predictor, twin, case)
    # Of the noise that an untrained network predicts, distances take many times as long.
    regions = case["target"].ndim == probs.ndim
    truth = certain_probs(case["target"][0], None if regions else probs.shape[1])[None]
    probs = TRUTH * truth + (1 - TRUTH) * probs.float()
    for metric in task.metrics:
        own = copy.deepcopy(metric).to(probs.device)
        own.update(probs, case["target"], case["case_index"], case.get("spacing"))
        if trainer.world_size == 1:  # else it would gather the cases of all processes, which have all measured this one
            own.compute()
    _wait(trainer)


def _views(task: Task, trainer: pl.Trainer, data: DataModule, twin: torch.nn.Module) -> int:
    """How many times as much the network sees of a case in the final scoring as in a validation: all views of it."""
    image = next(_batches(data, trainer))["image"][:1].to(trainer.strategy.root_device)
    seen: list[int] = []

    def note(_: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen[-1] += inputs[0].numel()

    handle = twin.register_forward_pre_hook(note)
    with torch.no_grad(), trainer.precision_plugin.forward_context():
        for predictor in (task.predictor, task.scorer):
            seen.append(0)
            predictor(twin, image)
    handle.remove()
    return seen[1] // max(1, seen[0])


def _seconds_of(action: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin
