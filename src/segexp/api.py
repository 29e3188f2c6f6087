"""Training from Python: what ``segexp train`` does, in this process, with the run as its result."""

import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig

from segexp import stopping
from segexp.cli import remove_if_empty
from segexp.command_line import resumed, with_network_of, with_plan
from segexp.config import config_dir as own_config_dir
from segexp.config import (
    own_config_dirs,
    own_options,
    readable,
    register_resolvers,
    require_read,
    search_path,
    split_config_dirs,
    unwrapped,
)
from segexp.errors import some
from segexp.explain import explain
from segexp.importable import make_importable
from segexp.runs.files import Rows
from segexp.runs.record import Record
from segexp.runs.results import Results
from segexp.runs.runs import Run
from segexp.runs.runs import find_runs as find
from segexp.sweeps.jobs import quoted
from segexp.terminal import plain_output

Folders = str | Path | Sequence[str | Path]
_training = threading.Lock()


@dataclass(frozen=True)
class TrainedRun:
    """A run on the disk, for notebooks.

    Args:
        run: The run.
    """

    run: Run

    @property
    def folder(self) -> Path:
        """Run folder."""
        return self.run.folder

    @property
    def record(self) -> Record:
        """Content of run.json: status, overrides, seed, code, packages, machine."""
        return self.run.record

    @property
    def results(self) -> Results:
        """Content of results.json, such as ``results["test"]["dice"]``; empty if the run has not ended well."""
        return self.run.results

    @property
    def metrics(self) -> dict[str, float]:
        """Final metrics of the split that counts, test where there is one, else val; an undefined one is nan."""
        return self.run.metrics

    @cached_property
    def cases(self) -> Any:
        """One row per case and class: split, case, class, metrics. A DataFrame where pandas is there, else dicts."""
        return _table(self.run.files.cases())

    @cached_property
    def curves(self) -> Any:
        """One row per epoch: losses and metrics. A DataFrame where pandas is there, else dicts."""
        return _table(self.run.files.curves())

    def predict(self, image: Any, spacing: Sequence[float] | None = None, **settings: Any) -> Any:
        """Predict an image with the checkpoint of the best epoch; for arguments and result see `segexp.prediction`."""
        from segexp.prediction import open_models, segment

        return segment(open_models(str(self.folder)), image, spacing, **settings)

    def __repr__(self) -> str:
        headline = self.results.get("headline")
        score = ""
        if headline and headline["value"] is not None:
            score = f", {headline['split']}/{headline['metric']}={headline['value']:.4f}"
        return f"TrainedRun({str(self.folder)!r}, {self.run.status}{score})"


def train(overrides: Sequence[str] = (), *, config_dir: Folders = (), run_dir: str | Path | None = None) -> TrainedRun:
    """Train in this process, as ``segexp train`` does with the same words.

    Signals are heeded meanwhile in the main thread: Ctrl-C ends the training after its batch, with a checkpoint from
    which ``resume=<run folder>`` resumes, and is then raised as ever.

    Args:
        overrides: Overrides as on the command line, such as ["model=unet_tiny", "loss=ce", "trainer.max_epochs=5"].
        config_dir: Folder of one's own configuration files, or several, as ``--config-dir``.
        run_dir: Run folder, as ``hydra.run.dir=``; None = a new one under ``paths.output_dir``.

    Returns:
        The run, ended well.

    Raises:
        ValueError: The overrides or the data do not fit; the sentence names value, rule and remedy.
        RuntimeError: Another thread of this process is training.
    """
    if isinstance(overrides, str):
        raise ValueError(f"overrides={overrides!r} must be a list of words: [{overrides!r}]")
    for word in overrides:
        _require_one_run(word)
    folders = _folders(config_dir)
    place = [] if run_dir is None else [f"hydra.run.dir={quoted(Path(run_dir).absolute())}"]
    given = [f"--config-dir={folder}" for folder in folders] + [*overrides, *place]
    if not _training.acquire(blocking=False):
        raise RuntimeError("another thread of this process is training: wait for its end, or start a process")
    try:
        with _as_command(given):
            return open_run(_trained(given))
    except stopping.Stopped as stop:
        print(f"segexp train: {stop}{stop.remedy}", file=sys.stderr)
        signal.raise_signal(stop.number)  # to whom it belongs outside of a training: KeyboardInterrupt of Ctrl-C
        raise
    finally:
        _training.release()


def open_run(folder: str | Path) -> TrainedRun:
    """Open a run folder.

    Raises:
        FileNotFoundError: There is no run.
        ValueError: There are several, or a file is damaged.
    """
    runs = find([str(folder)])
    if len(runs) > 1:
        names = some([str(run.folder) for run in runs], 3)
        raise ValueError(f"{folder} holds {len(runs)} runs ({names}): name one of them, or take find_runs")
    return TrainedRun(runs[0])


def find_runs(*patterns: str | Path) -> list[TrainedRun]:
    """Find run folders.

    Args:
        patterns: Run folders, folders that hold runs at any depth (sweeps), or glob patterns of either.

    Raises:
        FileNotFoundError: A pattern leads to no run.
    """
    return [TrainedRun(run) for run in find([str(pattern) for pattern in patterns])]


def _require_one_run(word: str) -> None:
    """Refuse options of the command line, and overrides of several values."""
    if word.startswith("-"):
        raise ValueError(
            f"{word} is no override: give folders of configuration as config_dir=; a sweep (-m) is started on the "
            "command line, or train is called for each of its values"
        )
    with suppress(HydraException):  # what cannot be parsed is told later, by its place
        if OverridesParser.create().parse_override(readable(word)).is_sweep_override():
            raise ValueError(f"{word} has several values, but one call trains one run: call train for each")


def _folders(given: Folders) -> list[Path]:
    folders = [Path(one).absolute() for one in ([given] if isinstance(given, str | Path) else given)]
    for folder in folders:
        if not folder.is_dir():
            raise FileNotFoundError(f"config_dir={folder}: there is no such folder")
    return folders


@contextmanager
def _as_command(given: Sequence[str]) -> Iterator[None]:
    """Be the command inside: with its arguments, which the run records, and its signals; afterwards as before."""
    original = sys.argv
    sys.argv = [str(Path(__file__).with_name("__main__.py")), "train", *given]
    try:
        with warnings.catch_warnings(), plain_output(), stopping.heeded("segexp train", process_ends=False):
            yield
    finally:
        sys.argv = original


def _trained(given: Sequence[str]) -> Path:
    """Compose and train; return the run folder."""
    stopping.defer()  # a library whose Python code raises something while it is imported may abort the process
    from segexp.commands.train import train as run

    stopping.check()
    try:
        folders, words = split_config_dirs(given)
        options = [f"--config-dir={folder}" for folder in folders]
        return _composed(
            [*search_path(folders), *map(readable, resumed(with_plan(with_network_of(words)), options))], run
        )
    except Exception as error:
        cause = stopping.cause(error)
        if isinstance(cause, stopping.Stopped):
            raise cause from error
        sentence = explain(error, list(given))
        if sentence is None or sentence == str(error):
            raise
        own = unwrapped(error)
        raise own if sentence == str(own) else ValueError(sentence) from error


def _composed(words: list[str], run: Callable[..., Any]) -> Path:
    """Run a function with the configuration of the words, as hydra.main would."""
    register_resolvers()
    folders: list[Path] = []
    failures: list[Exception] = []

    def job(cfg: DictConfig) -> None:
        folders.append(Path(HydraConfig.get().runtime.output_dir))
        try:
            make_importable(own_config_dirs())
            require_read()
            run(cfg, further_processes=False)
        except Exception as error:  # past Hydra, which would print a line of its own about it
            failures.append(error)

    with own_options(), initialize_config_dir(str(own_config_dir()), job_name="train", version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        if hydra.get_mode("train", words) == RunMode.MULTIRUN:
            raise ValueError("one call trains one run: leave sweep=… out, and call it for each seed and fold")
        hydra.run("train", job, words, with_log_configuration=False)
    for error in failures:
        remove_if_empty(folders[0])
        raise error
    return folders[0]


def _table(rows: Rows) -> Any:
    """Rows with numbers as numbers, nan where there is none."""
    names = ("split", "case", "class", "group")
    values = [{key: cell if key in names else float(cell or "nan") for key, cell in row.items()} for row in rows]
    try:
        import pandas as pd
    except ImportError:
        return values
    return pd.DataFrame(values)
