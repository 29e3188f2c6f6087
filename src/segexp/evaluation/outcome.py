"""What a training leaves: scores of whole cases, their tables and figures, what it cost."""

from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl

from segexp.config import chosen_options
from segexp.data import DataModule
from segexp.evaluation.positions import write_positions
from segexp.evaluation.report import headline, results_of, rows_of_cases
from segexp.metrics import SplitResult
from segexp.pictures.figures import save_picture
from segexp.pictures.reliability import draw_reliability
from segexp.runs.configuration import Config
from segexp.runs.files import write_json, write_table
from segexp.runs.folder import RunFolder
from segexp.runs.record import SplitName
from segexp.runs.results import Results, Training
from segexp.runs.secrets import masked
from segexp.training.account import clock_facts, limits, monitored, pace
from segexp.training.loggers import log_end, show
from segexp.training.stepping_down import stepped_down
from segexp.training.task import Task
from segexp.training.tensorboard import final_metrics, hyperparameters


@dataclass(frozen=True)
class TrainingRun:
    """Objects of a training run.

    Args:
        config: Configuration of the run.
        folder: Its folder.
        data: Its data, read.
        task: Network, loss and metrics.
        trainer: Trainer of the task.
        checkpoint: File that it resumes from; None = it is new.
    """

    config: Config
    folder: RunFolder
    data: DataModule
    task: Task
    trainer: pl.Trainer
    checkpoint: Path | None


def is_on(config: Config, callback: str) -> bool:
    """Whether a callback is there and switched on."""
    node = config["callbacks"].get(callback)
    return node is not None and node.get("enabled", True)


def keeps_best(config: Config) -> bool:
    """Whether the training keeps the best epoch; Lightning's dry run keeps none."""
    return is_on(config, "best") and not config["trainer"].get("fast_dev_run")


def score(run: TrainingRun) -> dict[str, SplitResult]:
    """Score the loaded weights: validation cases choose the thresholds, test cases are scored with them."""
    run.trainer.validate(run.task, datamodule=run.data, verbose=False)
    if not run.data.split.test:
        return {"val": run.task.results["val"]}
    run.trainer.test(run.task, datamodule=run.data, verbose=False)
    return {split: run.task.results[split] for split in ("val", "test")}


def results_of_run(run: TrainingRun, splits: dict[str, SplitResult], epoch: int, resources: Training) -> Results:
    """Gather scores, how they came about, and what they cost."""
    monitor = run.config["monitor"] if keeps_best(run.config) else "last epoch"
    split: SplitName = "test" if "test" in splits else "val"
    names = vars(run.data.split)
    cases, learned = len(names[split]), names[split] == names["train"]
    score, higher_is_better = monitored(run.config, splits["val"])
    facts, stepped = clock_facts(run.trainer), stepped_down(run.trainer)
    return {
        "headline": headline(split, splits[split], score, higher_is_better, cases, True, {}, learned),
        **results_of(splits, run.task, run.data),
        "chosen_on_val": {"epoch": epoch, "by": monitor, **splits["val"].chosen},
        "limits": limits(run.config["trainer"]),
        "training": {
            "epochs": run.trainer.current_epoch,
            "epochs_asked": facts.get("epochs", run.config["trainer"]["max_epochs"]),
            **pace(run.folder.curves()),
            **resources,
            **({"clock": facts} if facts else {}),
            **({"stepped_down": stepped} if stepped else {}),
        },
    }


def write_outcome(run: TrainingRun, splits: dict[str, SplitResult], results: Results) -> None:
    """Write results.json, cases.csv and positions.csv; give hyper-parameters and final metrics to the logger."""
    write_json(run.folder.results_path, results)
    write_table(run.folder.cases_path, rows_of_cases(splits, vars(run.data.split)))
    panels = is_on(run.config, "panels")
    write_positions(run.folder, splits, vars(run.data.split), results["positions"], panels)
    if panels:
        _draw_reliability(run, results)
    labels = run.data.labels
    params = hyperparameters(masked(run.config), chosen_options(), run.folder.overrides())
    metrics = final_metrics(results, labels.regions or labels.class_names[1:])
    for logger in run.trainer.loggers:
        log_end(logger, params, metrics, run.trainer.global_step)


def _draw_reliability(run: TrainingRun, results: Results) -> None:
    """Keep the reliability diagram of each split as a picture, and show it in the logger."""
    for split, curves in results["curves"].items():
        if "reliability" in curves:
            picture = draw_reliability(curves["reliability"])
            run.folder.figures.mkdir(exist_ok=True)
            save_picture(run.folder.figures / f"reliability_{split}.png", picture)
            for logger in run.trainer.loggers:
                show(logger, f"z_reliability/{split}", picture, run.trainer.global_step)
