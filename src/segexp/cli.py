"""The command line: ``segexp <command> [overrides]``; the only place that calls hydra.main."""

import gc
import importlib
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import hydra
from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import RunMode
from omegaconf import DictConfig

import segexp
from segexp import stopping
from segexp.begun import note_command
from segexp.command_line import require_pairs, resumed, with_network_of, with_plan
from segexp.config import (
    config_dir,
    own_config_dirs,
    own_options,
    program,
    readable,
    register_resolvers,
    require_read,
    search_path,
    split_config_dirs,
    split_options,
    unwrapped,
)
from segexp.early import refuse_early
from segexp.errors import did_you_mean
from segexp.explain import explain
from segexp.importable import make_importable
from segexp.nearby import with_own_options
from segexp.ranks import follows
from segexp.terminal import plain_output

COMMANDS = {
    "train": "train a network and score it on whole cases",
    "predict": "turn new images into masks in their own geometry",
    "view": "look at cases of a run, or at predicted masks, in napari: image, truth, prediction, error",
    "suggest": "tell which of the unlabeled images to label next",
    "evaluate": "score a trained run on cases, as at the end of its training",
    "stress": "score a trained run on corrupted copies of its cases: noise, motion, blur, rotation …",
    "export": "hand a trained network over as one file: safetensors, ONNX, torch.export",
    "plan": "choose the settings of a training by its data, this machine and the minutes that there are",
    "adopt": "describe images and masks of your own, so that data=NAME stands for them",
    "audit": "look for what is wrong or strange in a data set",
    "preview": "draw training patches before and after augmentation",
    "replay": "look into the batch at which a run diverged",
    "compare": "set runs side by side: is one better, by how much, how sure is that",
    "learning-curve": "the score against the number of training cases: what the next label is worth",
    "runs": "list the runs under outputs/; `runs clean` removes failed and abandoned ones",
    "reproduce": "show what has changed since a run, run it again, compare the metrics",
    "report": "write the tables of an experiment's README from its runs",
    "benchmark": "measure speed: `benchmark data` for patches per second of every augmentation",
    "help": "explain a command, a group of options or a key: `segexp help loss`",
    "completion": "print the script that completes commands, options and keys in bash, zsh or fish",
}
# These take arguments and options of their own instead of overrides.
WITHOUT_CONFIGURATION = (
    "help",
    "adopt",
    "compare",
    "learning-curve",
    "runs",
    "reproduce",
    "report",
    "predict",
    "view",
    "suggest",
    "evaluate",
    "stress",
    "export",
    "completion",
)
OF_SEVERAL_PROCESSES = ("train", "evaluate", "replay")
OPTIONS = """Hydra's options, anywhere among the overrides (https://hydra.cc):

  --multirun, -m      run every combination of the values that overrides list, such as seed=1,2,3
  --config-dir, -cd   further folder of configuration files
  --cfg, -c           print the configuration and run nothing: job, hydra, all
  --package, -p       with --cfg, the part to print, such as model
  --resolve           with --cfg, resolve interpolations
  --info, -i          print what Hydra knows: all, config, defaults, defaults-tree, plugins, searchpath
  --help, -h          explain the command

How a sweep runs: hydra/launcher=local, slurm, ray; hydra/sweeper=basic, optuna; hydra.run.dir= and hydra.sweep.dir=
name the folder. Words complete in the shell after: eval "$(segexp completion bash)" (or zsh; fish | source)."""
FIRST_ARGUMENT = {"benchmark": "subject"}  # command: the key that its first argument sets when it has no "="


def main(command: str | None = None) -> None:
    """Run a command with the overrides that stand on the command line.

    Args:
        command: Name of the command; None = the first argument of the command line.
    """
    note_command()
    arguments = sys.argv[1:]
    if command is None:
        command = arguments.pop(0) if arguments else "--help"
    if command in ("--version", "-V"):
        print(segexp.__version__)
        return
    if command in ("--help", "-h"):
        command, arguments = "help", []
    if command not in COMMANDS:
        print(f"segexp {command}: no such command{did_you_mean(command, COMMANDS)}", file=sys.stderr)
        print(loaded("help", "usage")(), file=sys.stderr)
        sys.exit(2)
    if command not in WITHOUT_CONFIGURATION:
        arguments = with_own_options(arguments)
    make_importable(split_config_dirs(arguments)[0])
    waits = command in OF_SEVERAL_PROCESSES and not {"--help", "-h"} & set(arguments)
    if waits and sys.stderr.isatty() and not follows():
        print(f"segexp {segexp.__version__}: {command}, loading PyTorch and the data", file=sys.stderr)
    with plain_output():
        _run_or_explain(command, arguments)


def _run_or_explain(command: str, arguments: list[str]) -> None:
    """Run; print one sentence for what the user can fix, a traceback for our own faults."""
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then lets exceptions through to us
    original = sys.argv
    try:
        with stopping.heeded(f"segexp {command}"):
            _run(command, arguments)
    except (stopping.Stopped, Exception) as error:
        stop = stopping.cause(error)
        if isinstance(stop, stopping.Stopped):
            same = f"; the same command goes on: {shlex.join([*program(), *original[1:]])}"
            _tell(command, f"{stop}{stop.remedy or same}")
            sys.exit(stop.status)
        if wants_traceback:
            raise
        _tell(command, _sentence(error, arguments))
        sys.exit(1)
    finally:
        if not wants_traceback:
            os.environ.pop("HYDRA_FULL_ERROR", None)


def _tell(command: str, sentence: str) -> None:
    """Print why the command ended; of several processes of one run the first one does so alone."""
    if not (command in OF_SEVERAL_PROCESSES and follows()):
        print(f"segexp {command}: {sentence}", file=sys.stderr)


def _sentence(error: BaseException, arguments: list[str]) -> str:
    """One sentence for any error."""
    cause = unwrapped(error)
    fault = f"{type(cause).__name__}: {' '.join(str(cause).split())} (HYDRA_FULL_ERROR=1 shows where)"
    return explain(error, arguments) or fault


class _Failure(BaseException):
    """Carries an error past Hydra, which would print a line of its own about it."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def _outcome(job: JobReturn) -> Any:
    """What a job of a sweep has returned; its error is raised without the line that Hydra would print before it."""
    if job.status == JobStatus.FAILED:
        raise job._return_value
    return job._return_value


def loaded(command: str, name: str | None = None) -> Callable[..., Any]:
    """Import a command, or another function of its module, or of another one of the room of commands.

    What loads PyTorch is loaded by this: faster, and no signal breaks it.
    """
    gc.disable()  # it finds nothing among modules, and takes a quarter of the time of their imports
    try:
        stem = command.replace("-", "_")
        with _unbroken():
            module = importlib.import_module(f"segexp.commands.{stem}")
    finally:
        gc.freeze()  # later collections skip the modules, too
        gc.enable()
    return getattr(module, name or stem)


@contextmanager
def _unbroken() -> Iterator[None]:
    """Let signals wait while libraries are imported: one whose Python code raises something may abort the process."""
    stopping.defer()
    try:
        yield
    finally:
        stopping.defer(False)
    stopping.check()


def _overrides(command: str, options: list[str], given: list[str]) -> list[str]:
    """Arguments of a command as Hydra takes them, its options in front.

    Raises:
        ValueError: Hydra has no such setting, or there is no such run.
    """
    # `benchmark data` stands for `benchmark subject=data`.
    if command in FIRST_ARGUMENT and given and re.fullmatch(r"\w+", given[0]):
        given = [*given[1:], f"{FIRST_ARGUMENT[command]}={given[0]}"]
    require_pairs(given)
    replaying = command == "replay"
    given = with_plan(with_network_of(given)) if command == "train" else given
    words = [*_all_config_dirs(options), *resumed(_of_run(given) if replaying else given, options, replaying)]
    overrides = [readable(word) for word in words]
    # Hydra itself would accept unknown settings of its own silently.
    known = set(HydraConf.__dataclass_fields__)
    for override in overrides:
        key = re.match(r"\+*hydra\.(\w+)", override)
        if key and key[1] not in known:
            raise ValueError(f"{override!r}: hydra has no setting {key[1]!r}{did_you_mean(key[1], known)}")
    return overrides


def _all_config_dirs(options: list[str]) -> list[str]:
    """Hand several folders of configuration to Hydra, which would take the last ``--config-dir`` alone."""
    folders, others = split_config_dirs(options)
    if len(folders) < 2:
        return options
    for folder in folders:
        if not Path(folder).is_dir():
            raise FileNotFoundError(f"--config-dir {folder}: there is no such folder")
    return [*others, *search_path([Path(folder).absolute() for folder in folders])]


def _run(command: str, arguments: list[str]) -> None:
    if command in WITHOUT_CONFIGURATION:
        loaded(command)(arguments)
        return
    options, given = split_options(arguments)
    if "--hydra-help" in options:
        print(OPTIONS)
        return
    if "--help" in options or "-h" in options:
        print(loaded("help", "of_command")(command))
        return
    overrides = _overrides(command, options, given)
    original = sys.argv
    register_resolvers()

    @hydra.main(
        config_path=str(config_dir()), config_name="train" if command == "replay" else command, version_base="1.3"
    )
    def job(cfg: DictConfig) -> Any:
        sys.argv = original  # DDP starts its other processes from it
        make_importable(own_config_dirs())
        try:
            require_read()
            with _unbroken():
                refuse_early(cfg, training=command == "train")
            return loaded(command)(cfg)
        except Exception as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:  # the launchers of Hydra go on with the next job
                sentence = _sentence(error, arguments)
                _tell(command, f"job {HydraConfig.get().job.num} failed: {sentence}")
                raise ValueError(sentence) from error  # which any launcher can hand back from another process
            raise _Failure(error) from None
        finally:
            remove_if_empty(Path(HydraConfig.get().runtime.output_dir))

    JobReturn.return_value = JobReturn.return_value.getter(_outcome)  # type: ignore[attr-defined, method-assign]
    sys.argv = [original[0], *overrides]
    try:
        with own_options():
            job()
        return
    except _Failure as failure:
        error = failure.error
    finally:
        sys.argv = original
    raise error


def remove_if_empty(folder: Path) -> None:
    """Remove the folder that Hydra made for a run which was refused before it claimed it."""
    if folder != Path.cwd():
        with suppress(OSError):  # something is in it
            folder.rmdir()


def _of_run(arguments: list[str]) -> list[str]:
    """Arguments of ``segexp replay`` as those of a resumed training."""
    if not any(argument.startswith("run=") for argument in arguments):
        raise ValueError("run=<run folder> must be given: the run that diverged")
    return [re.sub(r"^run=", "resume=", argument) for argument in arguments]
