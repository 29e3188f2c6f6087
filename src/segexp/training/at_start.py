"""What a training needs, checked before data are read: what is known at the start is told at the start."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.strategies.launchers import _MultiProcessingLauncher

from segexp.data import DataModule, Sampling
from segexp.data.case import IGNORED
from segexp.data.patches import PatchSampler
from segexp.data.prepared import target_of
from segexp.errors import did_you_mean, name_of, require_at_least, require_between
from segexp.losses.foreign_loss import UNKNOWN_PIXELS as COUNTS_ALL
from segexp.losses.foreign_loss import ForeignLoss
from segexp.metrics import find_info
from segexp.metrics.foreign_metric import UNKNOWN_PIXELS, ForeignMetric
from segexp.models.probabilities import require_unbounded
from segexp.runs.configuration import Config
from segexp.runs.folder import RunFolder, clock_of_run
from segexp.signatures import require_keys, require_types
from segexp.training.task import Task

MOST_SEED = 2**32 - 1  # that NumPy takes
NEEDED = ("max_epochs", "accumulate_grad_batches", "precision", "strategy")  # settings of the trainer
LIMITS = ("limit_train_batches", "limit_val_batches", "limit_test_batches")
KNOWN_CALLBACKS = ("segexp.", "pytorch_lightning.")  # a user's own may log any score


def require_settings(config: Config) -> None:
    """Refuse settings with which a training could not end well.

    Raises:
        ValueError: Names setting, value, rule and remedy.
    """
    require_keys("", config, Config)
    trainer: dict[str, Any] = dict(config["trainer"])
    require_types("trainer", trainer)
    for key in NEEDED:
        if key not in trainer:
            raise ValueError(f"trainer.{key} is missing: leave out what takes it away, such as ~trainer.{key}")
    _require_places(config)
    require_between("seed", config["seed"], 0, MOST_SEED, integer=True)
    for key in ("max_epochs", "accumulate_grad_batches"):
        require_at_least(f"trainer.{key}", trainer[key], 1, integer=True)
    for key in LIMITS:
        if trainer.get(key) == 0:
            raise ValueError(
                f"trainer.{key}=0 leaves nothing to train on or to score: it must be null, a fraction above 0, or a "
                "number of batches of at least 1"
            )
    if isinstance(config["minutes"], str):
        clock_of_run(config["minutes"])
    elif config["minutes"] is not None:
        require_between("minutes", config["minutes"], 0, 1_000_000, "they are those of the whole run", open_at="both")
    every = trainer.get("check_val_every_n_epoch") if config["minutes"] is None else None
    if every is not None and every > trainer["max_epochs"] and config["monitor"].startswith("val/"):
        raise ValueError(
            f"trainer.check_val_every_n_epoch={every} is beyond trainer.max_epochs={trainer['max_epochs']}: no epoch "
            f"would be validated, and none chosen by monitor={config['monitor']}; validate more often, or take "
            "monitor=train/loss"
        )


def _require_places(config: Config) -> None:
    """Refuse another place for a file that the end of the training, or another command, looks for in the run folder."""
    folder = RunFolder(Path(config["paths"]["run_dir"]))
    wanted: dict[str, dict[str, Any]] = {
        "best": {"dirpath": folder.best_checkpoint.parent, "filename": folder.best_checkpoint.stem},
        "last": {"path": folder.last_checkpoint},
        "table": {"path": folder.curves_path},
        "overview": {"record": folder.record_path},
    }
    for name, places in wanted.items():
        node: Any = config["callbacks"].get(name, {})
        for key, place in places.items():
            if key in node and node.get("enabled", True) and str(node[key]) != str(place):
                raise ValueError(
                    f"callbacks.{name}.{key}={node[key]!r} must be {place}, where it is looked for later: leave it "
                    "out, and let a further callback write elsewhere (+callbacks.mine._target_=…)"
                )


def refuse_epochs_beside_minutes(config: Config, words: Iterable[str]) -> None:
    """Refuse overrides that fix both the time of a run and its epochs.

    Raises:
        ValueError: Names both, and what to leave out.
    """
    epochs = [word for word in words if word.startswith("trainer.max_epochs=")]
    if config["minutes"] is not None and epochs:
        raise ValueError(
            f"minutes={config['minutes']} and {epochs[-1]}: the epochs of a run by minutes are as many as fit; leave "
            "one of them out (minutes=null where a run that is resumed had them)"
        )


def require_batches(sampling: Sampling, processes: int) -> None:
    """Refuse batches that an epoch cannot fill, or that cannot be divided among the processes.

    Raises:
        ValueError: Names setting, value, rule and remedy.
    """
    PatchSampler(sampling.patches_per_epoch, sampling.batch_size, 0, processes)


def require_logits(config: Config, task: Task) -> None:
    """Refuse a network that gives probabilities; one that was trained already may still be used.

    Raises:
        ValueError: Names the network and the remedy.
    """
    geometry: Any = config["data"]["geometry"]
    channels = config["data"]["channels"] * (2 * geometry["context"] + 1)
    require_unbounded(task.network, channels, geometry["spatial_dims"])


def require_labels(task: Task, data: DataModule) -> None:
    """Refuse pixels without a label where a part of the loss, or a metric, of others cannot leave them out.

    Raises:
        ValueError: Names the first such case, and what else can be done.
    """
    losses = [part for part in task.loss.modules() if isinstance(part, ForeignLoss) and not part.leaves_out]
    metrics = [metric for metric in task.metrics if isinstance(metric, ForeignMetric) and not metric.leaves_out]
    splits = [("train", losses, []), ("val", losses, metrics), ("test", [], metrics)]
    for split, blind_losses, blind_metrics in splits:
        for prepared in data.cases(split) if blind_losses or blind_metrics else ():
            if np.any(target_of(prepared.case) == IGNORED):
                who = f"loss {name_of(blind_losses[0].loss)} {COUNTS_ALL}" if blind_losses else ""
                who = who or f"metric {blind_metrics[0].name} {UNKNOWN_PIXELS}"
                raise ValueError(f"case {prepared.case.name}: {who}")


def require_scorable(config: Config, trainer: pl.Trainer, further_processes: bool = True) -> None:
    """Refuse a strategy after whose training the network is not whole in this process, which scores it.

    Args:
        config: Configuration of the run.
        trainer: Its trainer.
        further_processes: Whether processes may be started that repeat the command line.

    Raises:
        ValueError: Names the strategy and what to take instead.
    """
    name = f"trainer.strategy={config['trainer']['strategy']}"
    remedy = "take trainer=ddp, or trainer=ddp_cpu where there is no GPU"
    if isinstance(trainer.strategy.launcher, _MultiProcessingLauncher):
        raise ValueError(f"{name} trains in processes that end with it, and leaves nothing to score: {remedy}")
    if trainer.strategy.launcher is not None and not further_processes:
        raise ValueError(f"{name} starts processes with the command line: take segexp train, or trainer.devices=1")
    if trainer.strategy.restore_checkpoint_after_setup:  # as Lightning's strategies say that divide a network
        raise ValueError(f"{name} divides the network among processes, which cannot score it: {remedy}")


def require_monitors(config: Config, task: Task) -> None:
    """Refuse a monitored score that nothing would log, wherever it is monitored.

    Raises:
        ValueError: Names the score, those that there are, and the nearest one.
    """
    nodes: list[Any] = [node for node in config["callbacks"].values() if node.get("enabled", True)]
    if any(not str(node.get("_target_")).startswith(KNOWN_CALLBACKS) for node in nodes):
        return
    losses = ["loss", *(f"loss_{term}" for term in getattr(task.loss, "terms", ()))]
    logged = [f"val/{name}" for metric in task.metrics for name in metric.info]
    logged += [f"{split}/{name}" for split in ("val", "train") for name in losses]
    watching: list[Any] = [config, config["scheduler"], *nodes]
    for monitor in [str(node["monitor"]) for node in watching if node.get("monitor") is not None]:
        split, _, name = monitor.partition("/")
        if monitor not in logged and not (split == "val" and find_info(name, task.metrics)):
            raise ValueError(
                f"monitor={monitor} is logged by nothing{did_you_mean(monitor, logged)}; there are: {', '.join(logged)}"
            )
