"""What a training step costs on this machine, measured on noise with the shapes of real patches."""

import copy
import math
import time
from typing import Any

import numpy as np
import torch

from segexp.build import build_data, build_task, build_trainer
from segexp.data import DataModule
from segexp.planning.draft import StepCost
from segexp.runs.configuration import Config, TrainerNode
from segexp.training.counted import step_bytes
from segexp.training.footprint import measure_footprint
from segexp.training.free_memory import free_memory
from segexp.training.measure import random_patches, trial_step

SECONDS = 0.8  # of timed steps; of a short training less
SHARE = 0.005  # of the whole run
WARM_UP = 2
SILENT: TrainerNode = {"devices": 1, "num_nodes": 1, "strategy": "auto", "enable_progress_bar": False}


def step_cost(config: Config, minutes: float) -> StepCost:
    """Train a copy of the network for a few steps on a batch of noise, and augment such a batch; no data are read.

    Args:
        config: Configuration of the training.
        minutes: Minutes of the whole run, of which measuring takes a small part.
    """
    data, task = build_data(config), build_task(config)
    trainer = build_trainer(config | {"callbacks": {}, "logger": None, "trainer": config["trainer"] | SILENT})
    outputs = len(data.labels.regions or data.labels.class_names)
    task.fit_class_weights(lambda: torch.ones(outputs, 2))
    batch: Any = random_patches(data, data.sampling.batch_size)
    device = trainer.strategy.root_device
    symmetries = tuple(data.augment.symmetries(data.sampling.patch_size))
    # What would not fit is not tried.
    memory = step_bytes(task, trainer, batch)
    if memory is None:
        memory = int(measure_footprint(task, trainer, batch).step_memory_mib * 2**20)
    if memory > free_memory(device):
        return StepCost(math.inf, memory, 0.0, symmetries)
    twin = copy.deepcopy(task.network).to(device).train()
    optimizer = task.make_optimizer(twin.parameters())
    own: Any = {name: value.to(device) for name, value in batch.items()}
    marks: list[float] = []
    enough = min(SECONDS, SHARE * 60 * minutes)
    while len(marks) < WARM_UP + 2 or marks[-1] - marks[WARM_UP - 1] < enough:
        optimizer.zero_grad()
        trial_step(task, trainer, twin, optimizer, own)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        marks.append(time.perf_counter())
    # The least: others may use the machine at times, and the clock of the run sees to that.
    seconds = float(np.diff(marks[WARM_UP - 1 :]).min())
    return StepCost(seconds, memory, _loading(data, batch), symmetries)


def _loading(data: DataModule, batch: Any) -> float:
    """Seconds that one process takes to augment a batch."""
    images, target = batch["image"].numpy(), batch["target"].numpy()
    if data.labels.regions is not None:
        target = target[:, 0].astype(np.int64)
    rng = np.random.default_rng(0)
    spent = []
    for image, mask in zip(images, target, strict=True):
        unit = np.clip(0.5 + image / 6, 0, 1).astype(np.float32)
        start = time.perf_counter()
        data.augment(unit, mask, None, rng)
        spent.append(time.perf_counter() - start)
    return min(spent) * len(spent)
