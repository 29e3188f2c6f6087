"""``segexp replay``: train from the last checkpoint to the batch at which a run diverged, and look into it."""

import math
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from segexp.build import build_data, build_task, build_trainer, settle_monitor_mode
from segexp.config import plain
from segexp.errors import short_path
from segexp.runs.configuration import Config, TrainerNode
from segexp.runs.folder import RunFolder
from segexp.terminal import Console, Table
from segexp.training.divergence import DivergenceError
from segexp.training.last_checkpoint import leave_epoch
from segexp.training.resumption import Resumption
from segexp.training.warnings import quiet

SHOWN = 12  # gradients, the largest ones


class Look(Callback):
    """Keeps what a batch does to losses and gradients, and ends the training there.

    Args:
        epoch: Number of the epoch.
        batch: Number of the batch in it.
    """

    def __init__(self, epoch: int, batch: int) -> None:
        self.epoch, self.batch = epoch, batch
        self.weights_are_finite = True
        self.patches: list[tuple[str, float, float]] = []  # case, least and greatest intensity
        self.losses: dict[str, float] = {}
        self.gradients: dict[str, float] = {}

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Note patches and weights."""
        if self._is_here(trainer, batch_idx):
            dataset: Any = trainer.train_dataloader.dataset  # type: ignore[union-attr]
            first = batch_idx * len(batch["image"])
            for position, image in enumerate(batch["image"], first):
                name = dataset.case_of((self.epoch, position)).name
                self.patches.append((name, float(image.min()), float(image.max())))
            self.weights_are_finite = all(bool(p.isfinite().all()) for p in pl_module.network.parameters())

    def on_after_backward(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Note losses and norms of gradients."""
        if self._is_here(trainer, trainer.fit_loop.batch_idx):
            self.losses = {name: float(value) for name, value in pl_module.step_losses.items()}
            named: list[tuple[str, Tensor | None]] = [(n, p.grad) for n, p in pl_module.network.named_parameters()]
            self.gradients = {name: float(torch.linalg.norm(g)) for name, g in named if g is not None}

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """End here where nothing broke."""
        if self._is_here(trainer, trainer.fit_loop.batch_idx):
            leave_epoch(trainer)

    def _is_here(self, trainer: pl.Trainer, batch_idx: int) -> bool:
        return (trainer.current_epoch, batch_idx) == (self.epoch, self.batch)


def replay(cfg: DictConfig) -> None:
    """Train on from the last checkpoint, or from the start, to the batch that run.json names; write nothing.

    Raises:
        ValueError: The run has not diverged.
    """
    quiet()
    config = plain(cfg)
    settle_monitor_mode(config)
    folder = RunFolder(Path(str(config["resume"])))
    record = folder.record()
    where = record.get("diverged")
    if where is None:
        raise ValueError(f"run={short_path(folder.path)}: its run.json tells of no divergence, so no batch is replayed")
    data = build_data(config)
    task = build_task(config, data.symmetries)
    data.prepare_data()
    data.setup()
    task.fit_class_weights(data.class_counts)
    look = Look(where["epoch"], where["batch"])
    trainer = build_trainer(_silent(config), None, [Resumption(record.get("id", ""), record.get("changed", {})), look])
    checkpoint = folder.last_checkpoint if folder.last_checkpoint.is_file() else None
    sentence = "nothing that is not finite was found: the run may have been on other devices, or with other precision"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*callbacks used to create the checkpoint need to be provided")
        try:
            trainer.fit(task, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        except DivergenceError as error:
            sentence = str(error)
    _print(look, sentence)


def _silent(config: Config) -> Config:
    """Turn a configuration into that of one process that writes nothing and validates nothing."""
    alone: TrainerNode = {"devices": 1, "num_nodes": 1, "strategy": "auto", "limit_val_batches": 0}
    alone["enable_progress_bar"] = False
    averaging = {name: node for name, node in config["callbacks"].items() if name == "ema"}
    silent = {"trainer": config["trainer"] | alone, "callbacks": averaging, "logger": None, "on_divergence": "stop"}
    return config | silent  # type: ignore[return-value]


def _print(look: Look, sentence: str) -> None:
    console = Console()
    table = Table("patch of", "least intensity", "greatest", title=f"epoch {look.epoch}, batch {look.batch}")
    for name, least, most in look.patches:
        table.add_row(name, f"{least:.4g}", f"{most:.4g}")
    console.print(table)
    if not look.weights_are_finite:
        console.print("the weights were not finite before this batch")
    table = Table("loss", "value")
    for name, value in look.losses.items():
        table.add_row(name, f"{value:.6g}")
    console.print(table)
    nearest = reversed(look.gradients)  # to the loss, where they are equal
    largest = sorted(nearest, key=lambda name: -_size(look.gradients[name]))[:SHOWN]
    table = Table("gradient of", "norm", title=f"largest of {len(look.gradients)}, in the order of the network")
    for name in look.gradients:
        if name in largest:
            table.add_row(name, f"{look.gradients[name]:.4g}")
    console.print(table)
    print(sentence)


def _size(norm: float) -> float:
    return math.inf if math.isnan(norm) else norm
