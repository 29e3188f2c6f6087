"""``segexp train``: learn from patches, keep the best epoch, score it on whole cases, leave a run folder."""

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from PIL import Image
from pytorch_lightning.utilities import rank_zero_only

from segexp.build import build_data, build_task, build_trainer, describe, settle_monitor_mode
from segexp.checkpoints.checkpoint import Checkpoint, load_checkpoint, load_weights
from segexp.config import as_written, chosen_options, plain
from segexp.data import DataModule
from segexp.errors import short_path
from segexp.evaluation.report import print_folder, print_scores, results_of, rows_of_cases
from segexp.metrics import SplitResult
from segexp.pictures.reliability import draw_reliability
from segexp.runs.configuration import Config
from segexp.runs.files import write_json, write_table
from segexp.runs.folder import RunFolder, epoch_seconds
from segexp.runs.record import Record
from segexp.runs.recorder import RunRecorder
from segexp.runs.results import Results, Training, headline
from segexp.training.footprint import measure_footprint, print_footprint
from segexp.training.loggers import log_end, show
from segexp.training.measure import random_patches
from segexp.training.resources import ResourceMeter
from segexp.training.task import Task
from segexp.training.tensorboard import final_metrics, hyperparameters
from segexp.training.warnings import quiet


def train(cfg: DictConfig) -> float:
    """Train as configured.

    Returns:
        The monitored figure of the best epoch on the validation cases, for sweeps.

    Raises:
        ValueError: The configuration or the data do not fit; the sentence names value, rule and remedy.
    """
    quiet()
    config = plain(cfg)
    settle_monitor_mode(config)
    _refuse_processes_in_sweep(config)
    folder = RunFolder(Path(config["paths"]["run_dir"]))
    with _recorded(config, folder) as record:
        data, task = build_data(config), build_task(config)
        _check_patch(config, task)
        data.prepare_data()
        data.setup()
        task.description = describe(config, task.network, data.description())
        resumed = load_checkpoint(folder.last_checkpoint) if config["resume"] else None
        trainer = build_trainer(config, purge_step=resumed["global_step"] if resumed else None)
        if trainer.is_global_zero:
            print(data.report.summary(more=f"segexp audit data={chosen_options().get('data', '')} shows them"))
        record({"data_fingerprint": data.fingerprint(), "split": vars(data.split)})
        weights = task.fit_class_weights(data.class_counts)
        if trainer.is_global_zero:
            record(_footprint(trainer, task, data))
            if weights:
                record({"class_weights": weights})
        meter = ResourceMeter()
        trainer.fit(task, datamodule=data, ckpt_path=folder.last_checkpoint if resumed else None, weights_only=True)
        best = load_checkpoint(folder.best_checkpoint)
        splits = _score(trainer, task, data, best)
        if trainer.is_global_zero:
            content = _results(config, folder, task, data, splits, best["epoch"], meter.read())
            _leave(config, folder, trainer, data, splits, content)
            record({"headline": content["headline"]})
            print_scores(content)
            print_folder(folder.path, board=bool(folder.events))
    return splits["val"].scores[config["monitor"].partition("/")[2]]


def _score(trainer: pl.Trainer, task: Task, data: DataModule, best: Checkpoint) -> dict[str, SplitResult]:
    """Score the best epoch: validation cases choose the thresholds, test cases are scored with them."""
    load_weights(task.network, best)
    trainer.validate(task, datamodule=data, verbose=False)
    if data.split.test:
        trainer.test(task, datamodule=data, verbose=False)
    return {split: task.results[split] for split in ("val", "test") if split == "val" or data.split.test}


def _results(
    config: Config,
    folder: RunFolder,
    task: Task,
    data: DataModule,
    splits: dict[str, SplitResult],
    epoch: int,
    cost: Training,
) -> Results:
    """Gather scores, how they came about, and what they cost."""
    epochs = folder.curves()
    rates = [float(row["train/patches_per_second"]) for row in epochs]
    seconds = sum(epoch_seconds(epochs))
    return {
        "headline": headline(
            {split: result.scores for split, result in splits.items()},
            config["monitor"],
            config["monitor_mode"] == "max",
        ),
        **results_of(splits, task, data),
        "chosen_on_val": {"epoch": epoch, "by": config["monitor"], **splits["val"].chosen},
        "training": {
            "minutes": round(seconds / 60, 2),
            "epochs": len(epochs),
            "patches_per_second": round(statistics.median(rates), 2),
            **cost,
        },
    }


def _leave(
    config: Config,
    folder: RunFolder,
    trainer: pl.Trainer,
    data: DataModule,
    splits: dict[str, SplitResult],
    content: Results,
) -> None:
    """Write results.json and cases.csv; give hyper-parameters and final figures to the logger."""
    write_json(folder.results_path, content)
    write_table(folder.cases_path, rows_of_cases(splits, vars(data.split)))
    _draw_reliability(config, folder, trainer, content["curves"])
    params = hyperparameters(config, chosen_options(), folder.overrides())
    figures = final_metrics(content, data.labels.regions or data.labels.class_names[1:])
    for logger in trainer.loggers:
        log_end(logger, params, figures, trainer.global_step)


def _draw_reliability(config: Config, folder: RunFolder, trainer: pl.Trainer, curves: dict[str, Any]) -> None:
    """Keep the reliability diagram of each side as a picture, and show it in the logger."""
    for side, of_side in curves.items():
        if "reliability" in of_side and config["callbacks"]["panels"]["enabled"]:
            picture = draw_reliability(of_side["reliability"])
            folder.figures.mkdir(exist_ok=True)
            Image.fromarray(picture).save(folder.figures / f"reliability_{side}.png")
            for logger in trainer.loggers:
                show(logger, f"{side}/reliability", picture, trainer.global_step)


def _footprint(trainer: pl.Trainer, task: Task, data: DataModule) -> Record:
    """Measure what the network takes and print it, before the first step."""
    found = measure_footprint(task, trainer, random_patches(data, data.sampling.batch_size // trainer.world_size))
    print_footprint(found, type(task.network).__name__)
    return {
        "parameters": found.parameters,
        "multiply_adds": found.multiply_adds,
        "step_memory_mib": found.step_memory_mib,
        "receptive_field": found.receptive_field,
    }


def _check_patch(config: Config, task: Task) -> None:
    """Let a network with unpadded convolutions refuse a patch before anything is read."""
    output_size = getattr(task.network, "output_size", None)
    if output_size is not None:
        output_size(config["data"]["sampling"]["patch_size"])


def _refuse_processes_in_sweep(config: Config) -> None:
    """Several processes inside ``-m`` would each run the whole sweep: refuse before anything is written.

    Raises:
        ValueError: Names the trainer and what to do instead.
    """
    sweeping = HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN
    strategy = str(config["trainer"].get("strategy", "auto"))
    if sweeping and strategy.startswith("ddp") and "spawn" not in strategy and "fork" not in strategy:
        raise ValueError(
            f"-m with trainer.strategy={strategy}: each process would start the whole sweep again; "
            "leave hydra/launcher at local, which gives each job a process of its own"
        )


@contextmanager
def _recorded(config: Config, folder: RunFolder) -> Iterator[Callable[[Record], None]]:
    """Keep run.json true to what happens: running, then done, failed or interrupted with the reason."""
    if getattr(rank_zero_only, "rank", 0) != 0:
        yield lambda _: None
        return
    folder.path.mkdir(parents=True, exist_ok=True)
    record = _start(config, folder)
    try:
        yield record.write
    except (KeyboardInterrupt, SystemExit) as stop:
        record.finish("interrupted", f"{type(stop).__name__}: go on with resume={short_path(folder.path)}")
        raise
    except BaseException as error:
        cause = _innermost(error)
        record.finish("failed", f"{type(cause).__name__}: {cause}")
        raise
    record.finish("done", "all epochs trained and scored")


def _innermost(error: BaseException) -> BaseException:
    """What Hydra wrapped while it built an object."""
    while isinstance(error, HydraException) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _start(config: Config, folder: RunFolder) -> RunRecorder:
    """Write config.yaml, overrides.yaml and the first run.json."""
    overrides = [] if not HydraConfig.initialized() else as_written(HydraConfig.get().overrides.task)
    overrides = [word for word in overrides if not word.startswith("resume=")]
    folder.write_arguments(config, overrides)
    record = RunRecorder(folder, overrides, config["seed"])
    record.write({"choices": chosen_options(), "config": config})
    return record
