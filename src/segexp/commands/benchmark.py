"""``segexp benchmark``: patches per second of every augmentation (``data``), cost of a training step (``step``)."""

import time
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, TypedDict, cast

import torch
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from segexp.build import build_data, build_task, build_trainer
from segexp.config import plain
from segexp.data import DataModule
from segexp.data.patches import PatchSampler
from segexp.errors import require_at_least, require_choice
from segexp.runs.configuration import Config, TrainerNode
from segexp.runs.files import json_text, table_text
from segexp.runs.folder import clock_of_run
from segexp.terminal import Console, Table
from segexp.training.measure import StepClock, StepCost, measure_step, random_patches
from segexp.training.warnings import quiet
from segexp.writing import write_text


class Cell(TypedDict):
    """Speed of a preset of augment with a number of workers; ``note`` says why there is none."""

    augment: str
    workers: int
    patches_per_second: float | None
    note: str


class StepReport(StepCost):
    """Cost of a training step and of the whole training: times in seconds, sizes in bytes."""

    parameters: int
    steps_per_epoch: int
    epochs: int
    minutes: float | None  # of a run by minutes
    training_seconds: float
    run_bytes: int
    batch_size: int
    processes: int
    device: str
    precision: str


class BenchmarkConfig(Config):
    """Further keys of conf/benchmark.yaml."""

    subject: str
    workers: list[int]
    seconds: float
    path: str


def benchmark(cfg: DictConfig) -> None:
    """Measure the subject, print a table and write it to a file.

    Raises:
        ValueError: The configuration or the data do not fit; the sentence names value, rule and remedy.
    """
    config = cast(BenchmarkConfig, plain(cfg))
    require_choice("subject", config["subject"], SUBJECTS)
    quiet()
    SUBJECTS[config["subject"]](config)


def _data(config: BenchmarkConfig) -> None:
    """Measure the loading of patches with every preset of augment and every number of workers."""
    for workers in config["workers"]:
        require_at_least("workers", workers, 0, integer=True)
    require_at_least("seconds", config["seconds"], 0.01)
    data = build_data(config)
    data.prepare_data()
    data.setup()
    data.sampling = replace(data.sampling, patches_per_epoch=10**9)  # no cell reaches the end of an epoch
    # All presets of augment, those of --config-dir too.
    presets = sorted(GlobalHydra.instance().config_loader().get_group_options("augment", ObjectType.CONFIG))
    cells = [_measure(data, preset, workers, config["seconds"]) for preset in presets for workers in config["workers"]]
    _print(cells, config)
    path = Path(config["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, table_text(cells))
    print(path)


def _measure(data: DataModule, preset: str, workers: int, seconds: float) -> Cell:
    """Time one cell; a preset that is not for these data says why in ``note``."""
    cell: Cell = {"augment": preset, "workers": workers, "patches_per_second": None, "note": ""}
    node = OmegaConf.to_container(compose("train", [f"augment={preset}"]).augment, resolve=True)
    try:
        data.augment = instantiate(node, _convert_="all")
        data.sampling = replace(data.sampling, num_workers=workers)
        batches = data.train_dataloader()
        rate = batches_per_second(batches, seconds, skip=2 * workers) * data.sampling.batch_size
    except Exception as error:
        cell["note"] = str(error.__cause__ or error).strip().splitlines()[-1]
    else:
        cell["patches_per_second"] = round(rate, 1)
    return cell


def batches_per_second(batches: Iterable[Any], seconds: float, skip: int = 0) -> float:
    """Time a loader.

    Args:
        batches: Batches, more than fit into the time.
        seconds: Seconds to count for; the batch at work then is still waited for.
        skip: Number of batches after the first that are not counted either: those that workers have ready before the
            clock starts.
    """
    stream = iter(batches)
    for _ in islice(stream, 1 + skip):
        pass
    start = time.perf_counter()
    count = 0
    for count, _ in enumerate(stream, start=1):  # noqa: B007
        if time.perf_counter() - start >= seconds:
            break
    return count / (time.perf_counter() - start)


def _print(cells: list[Cell], config: BenchmarkConfig) -> None:
    size = " × ".join(map(str, config["data"]["sampling"]["patch_size"]))
    columns = [f"{n} worker" + "s" * (n != 1) for n in config["workers"]]
    table = Table("augment", *columns, title=f"patches per second, {size} pixels")
    rates = {(cell["augment"], cell["workers"]): cell["patches_per_second"] for cell in cells}
    for preset in dict.fromkeys(cell["augment"] for cell in cells):
        row = [rates[preset, workers] for workers in config["workers"]]
        table.add_row(preset, *["–" if rate is None else f"{rate:.0f}" for rate in row])
    console = Console()
    console.print(table)
    for preset, note in dict.fromkeys((cell["augment"], cell["note"]) for cell in cells if cell["note"]):
        console.print(f"{preset}: {note}", soft_wrap=True, highlight=False)


def _step(config: BenchmarkConfig) -> None:
    """Measure a training step, and estimate the whole training from it."""
    require_at_least("seconds", config["seconds"], 0.01)
    cost = step_cost(config)
    table = Table("training", "value", caption="left out: loading of patches, validation, scoring")
    for name, value in _rows(cost).items():
        table.add_row(name, value)
    Console().print(table)
    path = Path(config["path"]).with_suffix(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json_text(cost))
    print(path)


def step_cost(config: BenchmarkConfig) -> StepReport:
    """Train a few steps on one batch of noise; of several processes one, with its part of the batch."""
    data = build_data(config)
    task = build_task(config, data.symmetries)
    processes = build_trainer(config | {"callbacks": {}, "logger": None}).world_size
    sampler = PatchSampler(data.sampling.patches_per_epoch, data.sampling.batch_size, world_size=processes)
    outputs = len(data.labels.regions or data.labels.class_names)
    task.fit_class_weights(lambda: torch.ones(outputs, 2))  # no data are read
    # One process trains on and on, until the clock has timed enough.
    clock = StepClock(config["seconds"], config["trainer"]["accumulate_grad_batches"])
    trainer = build_trainer(_alone(config))
    trainer.callbacks.append(clock)  # type: ignore[attr-defined]
    cost = measure_step(task, trainer, random_patches(data, data.sampling.batch_size // processes), clock)
    # The whole training, from the cost of a step.
    steps = len(sampler)
    limit = config["trainer"]["limit_train_batches"]
    if limit is not None:
        steps = min(steps, limit) if isinstance(limit, int) else int(steps * limit)
    epochs = config["trainer"]["max_epochs"]
    minutes = config["minutes"]
    if isinstance(minutes, str):
        minutes = clock_of_run(minutes)["minutes"]
    callbacks = [node for node in config["callbacks"].values() if node.get("enabled", True)]
    savers = [node for node in callbacks if node["_target_"].endswith("Checkpoint")]
    kept = [
        node.get("save_top_k", 1) + node["_target_"].endswith("LastCheckpoint") for node in savers
    ]  # that one twice
    return {
        **cost,
        "parameters": sum(p.numel() for p in task.network.parameters()),
        "steps_per_epoch": steps,
        "epochs": epochs,
        "minutes": minutes,
        "training_seconds": cost["seconds_per_step"] * steps * epochs,
        "run_bytes": cost["checkpoint_bytes"] * sum(kept),
        "batch_size": data.sampling.batch_size,
        "processes": processes,
        "device": str(trainer.strategy.root_device),
        "precision": config["trainer"]["precision"],
    }


def _alone(config: Config) -> Config:
    """Turn a configuration into that of one process that trains on and on and writes nothing."""
    alone: TrainerNode = {"devices": 1, "num_nodes": 1, "strategy": "auto"}
    silent: TrainerNode = {"enable_progress_bar": False, "enable_checkpointing": False, "limit_val_batches": 0}
    endless: TrainerNode = {"max_epochs": 1, "limit_train_batches": None}
    part_of_a_step = {name: node for name, node in config["callbacks"].items() if name == "ema"}
    trainer = config["trainer"] | alone | silent | endless
    return config | {"trainer": trainer, "callbacks": part_of_a_step, "logger": None}


def _rows(cost: StepReport) -> dict[str, str]:
    """Rows of the table that is printed."""
    sharded = f", sharded among {cost['processes']} processes" if cost["processes"] > 1 else ""
    rows = {
        "parameters": f"{cost['parameters']:,}",
        "seconds per step": f"{cost['seconds_per_step']:.4g} on {cost['device']}, {cost['precision']}",
        "patches per step": f"{cost['batch_size']}{sharded}",
        "steps": f"{cost['epochs']} epochs of {cost['steps_per_epoch']}",
        "minutes of all steps": f"{cost['training_seconds'] / 60:.2f}",
        "checkpoints": f"{cost['run_bytes'] / 1e6:.1f} MB",
    }
    if cost["minutes"] is not None:
        rows |= {"steps": "as many as fit", "minutes of all steps": f"{cost['minutes']:g} of the whole run"}
    if cost["gpu_bytes"] is not None:
        rows["peak memory of the GPU"] = f"{cost['gpu_bytes'] / 1e9:.2f} GB"
    return rows


SUBJECTS = {"data": _data, "step": _step}
