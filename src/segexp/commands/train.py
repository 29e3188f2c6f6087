"""``segexp train``: learn from patches, keep the best epoch, score it on whole cases, leave a run folder."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from segexp.begun import begun
from segexp.build import build_data, build_task, require_trainer
from segexp.commands.recording import is_first_process, rank, recorded
from segexp.commands.setting_up import read, set_up
from segexp.comparison.run_page import write_run_page
from segexp.config import given_words, plain
from segexp.data import DataModule
from segexp.errors import short_path
from segexp.evaluation.outcome import keeps_best, results_of_run, score, write_outcome
from segexp.evaluation.report import print_scores
from segexp.evaluation.screen import intervals_of, print_next, undefined_words
from segexp.planning.planned import planned
from segexp.runs.claim import claimed
from segexp.runs.configuration import Config
from segexp.runs.folder import RunFolder
from segexp.runs.postprocess import kept_steps
from segexp.runs.record import Record
from segexp.runs.results import account
from segexp.runs.resumption import carry_over, require_same_settings
from segexp.training.account import clock_facts, ending, monitored
from segexp.training.at_start import require_logits, require_monitors, require_scorable
from segexp.training.best import load_best
from segexp.training.divergence import DivergenceError
from segexp.training.memory import memory_told
from segexp.training.processes import following, watched
from segexp.training.resources import ResourceMeter
from segexp.training.settings import refuse_epochs_beside_minutes, require_settings
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
    refuse_epochs_beside_minutes(config, given_words())
    _refuse_processes_in_sweep(config)
    # Whatever a class refuses is told before there is a folder.
    with memory_told(config):
        data = build_data(config)
        parts = data, build_task(config, data.symmetries)
        trainer = require_trainer(config)
        require_monitors(config, parts[1])
        if is_first_process() and not config["resume"]:
            require_logits(config, parts[1])
            read(config, *parts, trainer.world_size)
    folder = RunFolder(Path(config["paths"]["run_dir"]))
    with claimed(folder.path) if is_first_process() else following(folder, rank()):
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
    if config["resume"] and is_first_process():
        if not earlier:
            raise ValueError(f"resume={config['resume']}: there is no run.json to compare with; start a new run")
        carry_over(earlier, config, given_words())
        changed = require_same_settings(earlier, config, config["allow_changes"])
    else:
        changed = earlier.get("changed", {})
    with recorded(config, folder, changed, plan) as record, memory_told(config):
        run = set_up(config, folder, parts, record, earlier, changed, start)
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
    if config["page"] and is_first_process():
        _write_page(folder)
    return splits["val"].scores[monitored(config, splits["val"])[0]]


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


def _write_page(folder: RunFolder) -> None:
    """Write the page of the run, which is complete without it."""
    try:
        print(f"page         {short_path(write_run_page(folder.path))}")
    except (OSError, ValueError) as error:
        print(f"no page of the run: {error}; segexp report writes it anew")
