"""What a training needs, checked before data are read: what is known at the start is told at the start."""

from typing import Any

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.strategies.launchers import _MultiProcessingLauncher

from segexp.data import DataModule, Sampling
from segexp.data.case import IGNORED
from segexp.data.patches import PatchSampler
from segexp.data.prepared import target_of
from segexp.errors import did_you_mean, name_of
from segexp.losses.foreign_loss import UNKNOWN_PIXELS as COUNTS_ALL
from segexp.losses.foreign_loss import ForeignLoss
from segexp.metrics import find_info
from segexp.metrics.foreign_metric import UNKNOWN_PIXELS, ForeignMetric
from segexp.models.probabilities import require_unbounded
from segexp.runs.configuration import Config
from segexp.training.task import Task

KNOWN_CALLBACKS = ("segexp.", "pytorch_lightning.")  # a user's own may log any score


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
