"""What ``segexp train`` does before the first step: build, read the data, measure, tell."""

from collections.abc import Callable
from dataclasses import replace

import pytorch_lightning as pl

from segexp.build import build_trainer, describe
from segexp.checkpoints.checkpoint import load_newest
from segexp.checkpoints.own import require_own
from segexp.config import chosen_options, own_config_dirs
from segexp.data import DataModule
from segexp.evaluation.outcome import TrainingRun
from segexp.evaluation.screen import rows_above, rows_below
from segexp.models import own_module
from segexp.runs.configuration import Config
from segexp.runs.folder import RunFolder
from segexp.runs.record import Changes, Record
from segexp.runs.recorder import present_facts
from segexp.runs.resumption import require_same_data
from segexp.runs.sameness import record_facts, source_facts
from segexp.training.at_start import (
    require_batches,
    require_labels,
)
from segexp.training.clock import Clock, clock_of
from segexp.training.fitting import Fitting
from segexp.training.footprint import Footprint, measure_footprint, print_footprint
from segexp.training.forecast import forecast
from segexp.training.initial import start_from_file
from segexp.training.measure import random_patches
from segexp.training.resumption import Resumption, epochs_made
from segexp.training.stepping_down import SteppingDown
from segexp.training.task import Task


def set_up(
    config: Config,
    folder: RunFolder,
    parts: tuple[DataModule, Task],
    record: Callable[[Record], None],
    earlier: Record,
    changed: Changes,
    start: float,
) -> TrainingRun:
    """Build the trainer, read the data, and record what is known before the first step.

    Args:
        config: Configuration of the run.
        folder: Its folder.
        parts: Data and task, as built.
        record: Function that adds facts to its run.json.
        earlier: Content of run.json before it was resumed; empty of a new run.
        changed: Settings that differ from those before.
        start: Time at which the command began.
    """
    data, task = parts
    run_id = folder.record().get("id", "")
    path, resumed = load_newest(folder) if config["resume"] else (None, None)
    if path and resumed:
        require_own(resumed, path, run_id)
    clock = clock_of(config, start, resumed or {})
    further = [Resumption(run_id, changed), SteppingDown(task, record, resumed or {}), clock]
    trainer = build_trainer(config, resumed["global_step"] if resumed else None, further)
    read(config, data, task, trainer.world_size)
    # With the data read, the network can be described for its checkpoints.
    planned_by = folder.plan()
    task.description = replace(
        describe(config, task.network, data.description()), plan=planned_by.splitlines() if planned_by else None
    )
    if config["init"] and not resumed:
        facts = start_from_file(own_module(task.network), config["init"], data.description().output_names)
        record({"init": facts})
        if trainer.is_global_zero:
            print(f"starts from {config['init']}: {facts['took_over']}")
    if trainer.is_global_zero:
        print(data.report.summary(more=f"segexp audit data={chosen_options().get('data', '')} shows them"))
    if earlier and trainer.is_global_zero:
        _tell_changes(earlier)
    require_same_data(earlier, data.fingerprint(), vars(data.split), config["resume"], config["allow_changes"])
    record({"data_fingerprint": data.fingerprint(), "split": vars(data.split)})
    # All processes balance their losses; the first one reports.
    weights = task.fit_class_weights(data.class_counts)
    run = TrainingRun(config, folder, data, task, trainer, path)
    if trainer.is_global_zero:
        _tell(run, clock, epochs_made(resumed), record)
        if weights:
            record({"class_weights": weights})
    return run


def _tell(run: TrainingRun, clock: Clock, made: int, record: Callable[[Record], None]) -> None:
    """Refuse what does not fit into memory; print and record what the network costs, and how long it will take."""
    trainer, task, data = run.trainer, run.task, run.data
    Fitting(run.config, trainer, task, data).require()
    choices = chosen_options()
    footprint = _footprint(trainer, task, data)
    rows = rows_above(data, choices), rows_below(run.config, trainer, run.folder, choices)
    print_footprint(footprint, type(own_module(task.network)).__name__, *rows)
    record(
        {
            "parameters": footprint.parameters,
            "multiply_adds": footprint.multiply_adds,
            "step_memory_mib": footprint.step_memory_mib,
            "receptive_field": footprint.receptive_field,
        }
    )
    if clock.minutes is None and trainer.max_epochs != -1:
        said, clock.watch.pace = forecast(task, trainer, data, footprint.step_seconds, made)
        print(said)


def read(config: Config, data: DataModule, task: Task, processes: int) -> None:
    """Read the data, once, unless network or batches do not go with the settings; refuse labels that do not."""
    # A network with unpadded convolutions refuses a patch before anything is read.
    output_size = getattr(task.network, "output_size", None)
    if output_size is not None:
        output_size(config["data"]["sampling"]["patch_size"])
    require_batches(data.sampling, processes)
    data.prepare_data()
    data.setup()
    require_labels(task, data)


def _tell_changes(earlier: Record) -> None:
    """Print what has changed in code, packages and machine since the run: it may no longer equal an unbroken one."""
    facts = [*record_facts(earlier, present_facts()), *source_facts(earlier, own_config_dirs())]
    for fact in facts:
        if not fact.same:
            print(f"changed since the run: {fact.name} {fact.recorded} -> {fact.present}")


def _footprint(trainer: pl.Trainer, task: Task, data: DataModule) -> Footprint:
    """Measure size and cost of the network."""
    batch = random_patches(data, data.sampling.batch_size // trainer.world_size)
    return measure_footprint(task, trainer, batch)
