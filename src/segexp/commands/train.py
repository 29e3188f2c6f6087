"""``segexp train``: learn from patches, keep the best epoch, score it on whole cases, leave a run folder."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from pytorch_lightning.utilities import rank_zero_only

from segexp.begun import begun
from segexp.build import build_data, build_task, build_trainer, describe, require_trainer
from segexp.checkpoints.checkpoint import load_newest
from segexp.checkpoints.own import require_own
from segexp.comparison.run_page import write_run_page
from segexp.config import as_written, chosen_options, how_to_go_on, own_config_dirs, plain, unwrapped
from segexp.data import DataModule
from segexp.errors import short_path
from segexp.evaluation.outcome import TrainingRun, keeps_best, results_of_run, score, write_outcome
from segexp.evaluation.report import print_scores
from segexp.evaluation.screen import intervals_of, print_next, rows_above, rows_below, undefined_words
from segexp.models import own_module
from segexp.planning.planned import planned
from segexp.runs.claim import claimed
from segexp.runs.configuration import Config
from segexp.runs.folder import Account, RunFolder
from segexp.runs.ownership import sign
from segexp.runs.postprocess import kept_steps
from segexp.runs.recipe import own_sources
from segexp.runs.record import Changes, Record
from segexp.runs.recorder import RunRecorder, present_facts
from segexp.runs.results import account
from segexp.runs.resumption import carry_over, require_same_data, require_same_settings
from segexp.runs.sameness import record_facts, source_facts
from segexp.runs.unused import require_unused
from segexp.stopping import Stopped, cause, check, defer, last_words
from segexp.training.account import clock_facts, ending, monitored
from segexp.training.at_start import (
    refuse_epochs_beside_minutes,
    require_batches,
    require_labels,
    require_logits,
    require_monitors,
    require_scorable,
    require_settings,
)
from segexp.training.best import load_best
from segexp.training.clock import clock_of
from segexp.training.divergence import DivergenceError
from segexp.training.fitting import Fitting
from segexp.training.footprint import Footprint, measure_footprint, print_footprint
from segexp.training.forecast import forecast
from segexp.training.initial import start_from_file
from segexp.training.measure import random_patches
from segexp.training.memory import memory_told
from segexp.training.processes import following, watched
from segexp.training.resources import ResourceMeter
from segexp.training.resumption import Resumption, epochs_made
from segexp.training.stepping_down import SteppingDown
from segexp.training.task import Task
from segexp.training.warnings import quiet


def train(cfg: DictConfig, further_processes: bool = True) -> float:
    """Train as configured.

    Args:
        cfg: Composed configuration.
        further_processes: Whether Lightning may start further processes, which it does with the command line.

    Returns:
        Monitored metric of the best epoch on the validation cases, for sweeps.

    Raises:
        ValueError: The configuration or the data do not fit; the sentence names value, rule and remedy.
    """
    quiet()
    start = begun()
    cfg, plan = planned(cfg)
    config = plain(cfg)
    require_settings(config)
    refuse_epochs_beside_minutes(config, _words())
    _refuse_processes_in_sweep(config)
    # Whatever a class refuses is told before there is a folder.
    with memory_told(config):
        data = build_data(config)
        parts = data, build_task(config, data.symmetries)
        trainer = require_trainer(config)
        require_monitors(config, parts[1])
        if _is_first_process() and not config["resume"]:
            require_logits(config, parts[1])
            _read(config, *parts, trainer.world_size)
    folder = RunFolder(Path(config["paths"]["run_dir"]))
    with claimed(folder.path) if _is_first_process() else following(folder, _rank()):
        return _train(config, folder, parts, further_processes, start, plan)


def _train(
    config: Config,
    folder: RunFolder,
    parts: tuple[DataModule, Task],
    further_processes: bool,
    start: float,
    plan: str | None,
) -> float:
    """Train in a folder that nobody else works in."""
    earlier: Record = folder.record() if config["resume"] else {}
    # A resumed run is compared with the command before anything of it is written.
    if config["resume"] and _is_first_process():
        if not earlier:
            raise ValueError(f"resume={config['resume']}: there is no run.json to compare with; start a new run")
        carry_over(earlier, config, _words())
        changed = require_same_settings(earlier, config, config["allow_changes"])
    else:
        changed = earlier.get("changed", {})
    with _recorded(config, folder, changed, plan) as record, memory_told(config):
        run = _set_up(config, folder, parts, record, earlier, changed, start)
        require_scorable(config, run.trainer, further_processes)
        meter = ResourceMeter()
        with watched(run.trainer, folder):
            try:
                run.trainer.fit(run.task, datamodule=run.data, ckpt_path=run.checkpoint, weights_only=True)
            except DivergenceError as error:
                record({"diverged": {"epoch": error.epoch, "batch": error.batch}})
                raise
            ended = ending(run.trainer)
            if facts := clock_facts(run.trainer):
                record({"clock": facts})
            # Where no best epoch is kept, the weights of the last one are there.
            epoch = run.trainer.current_epoch - 1
            if keeps_best(config):
                epoch = load_best(run.trainer, run.task.network, folder)
            splits = score(run)
        if run.trainer.is_global_zero:
            results = results_of_run(run, splits, epoch, {**meter.read(), "ended_by": ended})
            write_outcome(run, splits, results)
            record({"headline": results["headline"], "why": account(results)})
            split = results["headline"]["split"]
            print_scores(results, intervals=intervals_of(splits[split]))
            print(account(results))
            if told := undefined_words(results["undefined"][split]):
                print(told)
            kept_steps(run.folder, epoch)  # tells if it was chosen for an earlier best epoch
            print_next(results, folder.path, board=bool(folder.events))
    if config["page"] and _is_first_process():
        _write_page(folder)
    return splits["val"].scores[monitored(config, splits["val"])[0]]


def _set_up(
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
    _read(config, data, task, trainer.world_size)
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
    if trainer.is_global_zero:
        Fitting(config, trainer, task, data).require()
        choices = chosen_options()
        footprint = _footprint(trainer, task, data)
        rows = rows_above(data, choices), rows_below(config, trainer, folder, choices)
        print_footprint(footprint, type(own_module(task.network)).__name__, *rows)
        record(
            {
                "parameters": footprint.parameters,
                "multiply_adds": footprint.multiply_adds,
                "step_memory_mib": footprint.step_memory_mib,
                "receptive_field": footprint.receptive_field,
            }
        )
        if weights:
            record({"class_weights": weights})
        if clock.minutes is None and trainer.max_epochs != -1:
            said, clock.watch.pace = forecast(task, trainer, data, footprint.step_seconds, epochs_made(resumed))
            print(said)
    return TrainingRun(config, folder, data, task, trainer, path)


def _read(config: Config, data: DataModule, task: Task, processes: int) -> None:
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
            "leave hydra/launcher at local, which gives each job a separate process"
        )


@contextmanager
def _recorded(
    config: Config, folder: RunFolder, changed: Changes, plan: str | None
) -> Iterator[Callable[[Record], None]]:
    """Keep the status in run.json up to date: running, then done, failed or interrupted with the reason."""
    if not _is_first_process():
        yield lambda _: None
        return
    overrides = [word for word in _words() if not word.startswith(("resume=", "allow_changes="))]
    if not config["resume"]:
        require_unused(folder, overrides)
    before = folder.account() if config["resume"] else None
    defer()  # signals wait until the record can tell of them
    record = RunRecorder(folder, overrides, config["seed"])
    end = partial(_end, record, folder, before)
    try:
        with last_words(end):
            check()
            folder.write_arguments(config, overrides)
            if plan is not None:
                folder.write_plan(plan)
            folders = own_config_dirs()
            signature = sign(record.content["overrides"], folders)
            sources = own_sources(config, folders)
            record.write({"config_dirs": folders, "sources": sources, "signature": signature})
            record.write({"choices": chosen_options(), "config": config, "changed": changed})
            yield record.write
    except BaseException as error:
        reason = cause(error)
        end(reason)
        if reason is not error:
            raise reason from error
        raise
    record.finish("done", record.content["why"])


def _end(record: RunRecorder, folder: RunFolder, before: Account | None, error: BaseException) -> None:
    """Note an early end and how to go on; a resumed run that ends before it has saved anything is left as it was."""
    remedy = f"; {how_to_go_on(folder)}"
    if isinstance(error, Stopped):
        error.remedy = remedy
    unsaved = before is not None and before.still_holds()
    if before is not None and unsaved and (before.finished or not isinstance(error, Stopped)):
        record.free_reserve()
        before.restore()
    else:
        record.stop(unwrapped(error), remedy)


def _write_page(folder: RunFolder) -> None:
    """Write the page of the run, which is complete without it."""
    try:
        print(f"page         {short_path(write_run_page(folder.path))}")
    except (OSError, ValueError) as error:
        print(f"no page of the run: {error}; segexp report writes it anew")


def _words() -> list[str]:
    """Overrides of the command line."""
    return as_written(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []


def _rank() -> int:
    return getattr(rank_zero_only, "rank", 0)


def _is_first_process() -> bool:
    return _rank() == 0
