"""``segexp reproduce``: what has changed since a run, and does it come out the same again?"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from segexp.build import build_data, settle_monitor_mode
from segexp.comparison.reproduction import changed_names, print_facts, print_metrics, verdict
from segexp.config import search_path, split_config_dirs
from segexp.data.sources import require_files
from segexp.errors import short_path
from segexp.explain import explain
from segexp.importable import make_importable
from segexp.runs.configuration import Config
from segexp.runs.folder import RunFolder
from segexp.runs.ownership import is_own, require_config_dirs
from segexp.runs.record import Record
from segexp.runs.recorder import present_facts
from segexp.runs.runs import Run, find_runs
from segexp.runs.sameness import Fact, compare_values, config_facts, data_facts, record_facts, source_facts
from segexp.stopping import Stopped, without_deadline
from segexp.sweeps.jobs import quoted
from segexp.training.warnings import quiet
from segexp.trust import Foreign, compose_checked

SAME, DIFFERENT, IMPOSSIBLE = 0, 1, 2  # exit statuses


def reproduce(arguments: list[str]) -> None:
    """Compare a recorded run with the present, run it again, and compare the metrics.

    Checks out nothing and downloads nothing. Exit status: 0 = the same, 1 = not the same, 2 = it could not be run.
    """
    parser = argparse.ArgumentParser(prog="segexp reproduce", description=(reproduce.__doc__ or "").splitlines()[0])
    parser.add_argument("run", help="folder of a run")
    parser.add_argument("--output", type=Path, help="folder of the new run; default: <run>-again")
    parser.add_argument("--check", action="store_true", help="compare with the present, run nothing")
    parser.add_argument("--trust", action="store_true", help="follow _target_s and search paths that the run names")
    parser.add_argument(
        "--config-dir", action="append", type=Path, help="folder of the run's own configuration files now"
    )
    given = parser.parse_intermixed_args(arguments)
    quiet()
    try:
        run = _one(given.run)
        _settle_config_dirs(run, given.config_dir or (), given.trust)
        own = run.folder.resolve()
        output = (given.output or own.with_name(f"{own.name}-again")).absolute()
        if given.check:
            status = SAME if all(fact.same for fact in _compared(run, output)) else DIFFERENT
        else:
            status = _repeated(run, output)
    except (ValueError, OSError) as error:
        print(f"segexp reproduce: {error}", file=sys.stderr)
        status = IMPOSSIBLE
    sys.exit(status)


def _settle_config_dirs(run: Run, given: Sequence[Path], trust: bool) -> None:
    """Find the run's folders of configuration; refuse a run that names such, or classes or paths, of a stranger's."""
    remedy = "look at it, and give --trust if it is yours"
    words = run.record["overrides"]
    foreign = Foreign(words, run.folder, run.files.record_path, remedy, is_own(run.record) or trust)
    if given:
        run.record["config_dirs"] = [str(folder.absolute()) for folder in given]
    folders = [Path(folder) for folder in run.record.get("config_dirs", ())]
    for option in [] if foreign.own or given else _search_path(run.record):
        foreign.refuse(option, "a folder of configuration that is not segexp's")
    require_config_dirs(folders)
    make_importable(folders)
    if trust:
        return
    try:
        compose_checked(foreign, [f"--config-dir={folder}" for folder in folders], run.folder)
    except (HydraException, OmegaConfBaseException) as error:
        raise _misfit(run, f"segexp train: {explain(error, words)}") from error


def _misfit(run: Run, why: str) -> ValueError:
    return ValueError(f"the overrides of {run.folder} do not fit the present configuration: {why}")


def _repeated(run: Run, folder: Path) -> int:
    """Run again and compare."""
    if not run.results:
        raise ValueError(f"{run.folder} has no results.json (status {run.status}): only --check is possible")
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{short_path(folder)} is not empty: remove it, or name another folder with --output")
    changed = changed_names(_compared(run, folder))
    command = [*_start(run), *_words_again(run), f"hydra.run.dir={quoted(folder)}"]
    print(f"running again: {shlex.join(command)}", flush=True)
    status = _wait(command, _environment(run))
    again = RunFolder(folder)
    if status != 0 or not again.results_path.is_file():
        raise ValueError(f"the run ended with status {status}, see above and {short_path(again.record_path)}")
    metrics, scores = compare_values(run.folder, folder)
    print_metrics(metrics)
    print(verdict(metrics, scores, changed, bool(run.record.get("resumed"))))
    return SAME if all(value.same for value in [*metrics, *scores]) else DIFFERENT


def _words_again(run: Run) -> list[str]:
    """Overrides of the run; one by minutes makes the epochs again that fitted into them then."""
    words = run.record["overrides"]
    if "clock" not in run.record:
        return words
    clock = run.record["clock"]
    print(f"by minutes: its {clock['epochs']} epochs, {clock['steps']} steps, are made again, whatever the time")
    return [*(word for word in words if not word.startswith("minutes=")), f"minutes={quoted(run.folder.resolve())}"]


def _one(pattern: str) -> Run:
    """Find the one training that a folder or pattern names."""
    runs = find_runs([pattern])
    if len(runs) > 1:
        raise ValueError(f"{pattern} holds {len(runs)} runs: name one of them, such as {runs[0].folder}")
    if "evaluation" in runs[0].record:
        raise ValueError(f"{runs[0].folder} is an evaluation: run segexp evaluate again, or reproduce the run it is of")
    return runs[0]


def _compared(run: Run, folder: Path) -> list[Fact]:
    """Compare all that was recorded with the present, and print it."""
    facts = record_facts(run.record, present_facts())
    facts += source_facts(run.record, run.record.get("config_dirs", ()))
    try:
        config = _resolved(run, folder)
        facts += config_facts(run.record.get("config"), config)
        recorded, present = run.record["seed"], config["seed"]
        facts.append(Fact("seed", str(recorded), str(present), recorded == present))
        # The data are read as a run would, but without its leave to download.
        data = build_data(config)
        require_files(data.source, "start from the folder where the run was started")
        data.setup()
        facts += data_facts(run.record, data.fingerprint(), vars(data.split))
    finally:  # also where the rest cannot be compared
        print_facts(run, facts)
    return facts


def _resolved(run: Run, folder: Path) -> Config:
    """Configuration that the run would have now, from the configuration files as they are."""
    words = [*_start(run), *run.record["overrides"], f"paths.run_dir={quoted(folder)}", "--cfg", "job", "--resolve"]
    done = subprocess.run(words, capture_output=True, text=True, env=_environment(run), check=False)
    if done.returncode != 0:
        why = (done.stderr.strip() or "no reason given").splitlines()[-1]
        raise _misfit(run, why)
    config = yaml.safe_load(done.stdout)
    config.pop("sweep")  # no part of a run
    settle_monitor_mode(config)
    return config


def _start(run: Run) -> list[str]:
    return [sys.executable, "-m", "segexp", "train", *_search_path(run.record)]


def _search_path(record: Record) -> list[str]:
    """Arguments that lead to the further configuration files of a run; a run of an earlier version has its command."""
    if "config_dirs" in record:
        return search_path(record["config_dirs"])
    folders, others = split_config_dirs(record.get("command", []))
    options = [argument for folder in folders for argument in ("--config-dir", folder)]
    return options + [word for word in others if word.startswith(("hydra.searchpath=", "+hydra.searchpath="))]


def _environment(run: Run) -> dict[str, str]:
    """Environment of the run: as many CPU threads as before, since sums depend on how they are divided."""
    env = {key: value for key, value in os.environ.items() if key != "HYDRA_FULL_ERROR"}
    threads = run.record.get("machine", {}).get("threads")
    return env | ({"OMP_NUM_THREADS": str(threads)} if threads else {})


def _wait(command: Sequence[str], env: dict[str, str]) -> int:
    """Run a process to its end; a signal reaches it, too, and it is given the time to write its record."""
    without_deadline()
    process = subprocess.Popen(command, env=env)
    try:
        return process.wait()
    except (KeyboardInterrupt, Stopped) as stop:
        if getattr(stop, "number", signal.SIGINT) != signal.SIGINT:  # Ctrl-C has reached it already
            process.terminate()
        process.wait()
        raise
