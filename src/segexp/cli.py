"""The command line: ``segexp <command> [overrides]``; the only place that calls hydra.main."""

import gc
import importlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

import hydra
from hydra.conf import HydraConf
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import segexp
from segexp.config import compose, config_dir, register_resolvers, require_no_code
from segexp.errors import did_you_mean
from segexp.runs.folder import RunFolder

COMMANDS = {
    "train": "train a network and score it on whole cases",
    "predict": "turn new images into masks in their own geometry",
    "evaluate": "score a trained run on cases, in the way it was scored at its end",
    "export": "hand a trained network over as one file: safetensors, ONNX, torch.export",
    "audit": "look for what is wrong or strange in a data set",
    "preview": "draw training patches before and after augmentation",
    "compare": "set runs side by side: is one better, by how much, how sure is that",
    "runs": "list the runs under outputs/; `runs clean` removes failed and abandoned ones",
    "reproduce": "show what has changed since a run, run it again, compare the metrics",
    "report": "write the tables of an experiment's README from its runs",
    "benchmark": "measure speed: `benchmark data` for patches per second of every augmentation",
}
WITHOUT_CONFIGURATION = (
    "compare",
    "runs",
    "reproduce",
    "report",
    "predict",
    "evaluate",
    "export",
)  # these take words and options instead of overrides
PLAIN_WORDS = {"benchmark": "subject"}  # command: the key that its first word names when it has no "="


def main(command: str | None = None) -> None:
    """Run a command with the overrides that stand on the command line.

    Args:
        command: Its name; None = the first word of the command line.
    """
    words = sys.argv[1:]
    if command is None:
        command = words.pop(0) if words else "--help"
    if command in ("--version", "-V"):
        print(segexp.__version__)
        return
    if command not in COMMANDS:
        wanted = command in ("--help", "-h", "help")
        print(_usage() if wanted else f"segexp {command}: no such command{did_you_mean(command, COMMANDS)}\n{_usage()}")
        sys.exit(0 if wanted else 2)
    _run_or_explain(command, _keyed(command, words))


def _keyed(command: str, words: list[str]) -> list[str]:
    """Let ``benchmark data`` stand for ``benchmark subject=data``."""
    if command in PLAIN_WORDS and words and re.fullmatch(r"\w+", words[0]):
        return [*words[1:], f"{PLAIN_WORDS[command]}={words[0]}"]  # options such as --config-dir stay in front
    return words


def _usage() -> str:
    rows = "\n".join(f"  {name:10} {what}" for name, what in COMMANDS.items())
    return f"usage: segexp <command> [overrides]\n\n{rows}\n\n`segexp <command> --help` lists its configuration groups."


def _run_or_explain(command: str, words: list[str]) -> None:
    """Run; print one sentence for what the user can mend, a traceback for what is ours."""
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then lets exceptions through to us
    try:
        _run(command, words)
    except Exception as error:
        sentence = None if wants_traceback else explain(error, words)
        if sentence is None:
            raise
        print(f"segexp {command}: {sentence}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt as stop:
        print(f"segexp {command}: stopped{stop}", file=sys.stderr)
        sys.exit(130)
    finally:
        if not wants_traceback:
            os.environ.pop("HYDRA_FULL_ERROR", None)


def _run(command: str, words: list[str]) -> None:
    if command in WITHOUT_CONFIGURATION:
        getattr(importlib.import_module(f"segexp.commands.{command}"), command)(words)
        return
    given = sys.argv
    words = _resumed(words)
    _check_hydra_keys(words)
    register_resolvers()

    @hydra.main(config_path=str(config_dir()), config_name=command, version_base="1.3")
    def job(cfg: DictConfig) -> Any:
        sys.argv = given  # DDP starts its other processes from it
        with _uncollected():
            module = importlib.import_module(f"segexp.commands.{command}")
        return getattr(module, command)(cfg)

    sys.argv = [given[0], *words]
    try:
        job()
    finally:
        sys.argv = given


@contextmanager
def _uncollected() -> Iterator[None]:
    """Import without garbage collection, which finds nothing among modules and takes a quarter of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # later collections pass over the modules, too
        gc.enable()


def _resumed(words: list[str]) -> list[str]:
    """For ``resume=<run folder>``: the overrides of that run, then the new ones, in the same folder.

    Raises:
        ValueError: There is nothing to resume, or the run is complete.
    """
    folders = [word.partition("=")[2].strip("'").replace("\\'", "'") for word in words if word.startswith("resume=")]
    if not folders or folders[-1] in ("", "null"):
        return words
    folder = RunFolder(Path(folders[-1]).absolute())
    if not folder.is_resumable:
        raise ValueError(
            f"resume={folders[-1]}: nothing to resume, there is no checkpoints/last.ckpt with its overrides.yaml; "
            "give the folder of a run that finished an epoch, or leave resume out to start anew"
        )
    longer = any(word.startswith("trainer.max_epochs=") for word in words)
    if not longer and folder.record()["status"] == "done":
        raise ValueError(f"resume={folders[-1]}: the run is complete; to train longer give trainer.max_epochs=<more>")
    stored = folder.overrides()
    require_no_code(
        [word for word in stored if word not in words],
        folder.overrides_path,
        "if it is yours, give it on the command line too; if not, do not resume this run",
    )
    quoted = str(folder.path).replace("'", "\\'")
    options = list(takewhile(lambda word: word.startswith("-") or "=" not in word, words))  # such as --config-dir mine
    return [*options, *stored, f"hydra.run.dir='{quoted}'", *words[len(options) :]]


def _check_hydra_keys(words: list[str]) -> None:
    """Refuse unknown ``hydra.`` settings, which Hydra itself would take without a word."""
    known = set(HydraConf.__dataclass_fields__)
    for word in words:
        found = re.match(r"\+*hydra\.(\w+)", word)
        if found and found[1] not in known:
            raise ValueError(f"{word!r}: hydra has no setting {found[1]!r}{did_you_mean(found[1], known)}")


def explain(error: BaseException, words: list[str]) -> str | None:
    """One sentence for an error that the user can mend; None for our own faults, which deserve a traceback."""
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        options = ", ".join(sorted(error.options))
        return f"{group}={option}: no such option{did_you_mean(option, error.options)}; there are: {options}"
    if isinstance(error, ConfigCompositionException):
        found = re.search(r"Could not override '([^']+)'", str(error))
        if found:
            key = found[1].partition("@")[0]
            return f"{key}: no such key{_nearest(key, _known_keys(words))}"
    cause = error
    while cause.__cause__ is not None and isinstance(cause, HydraException):
        cause = cause.__cause__
    if isinstance(cause, OmegaConfBaseException):  # below the first line it tells of its own nodes
        return re.sub(r"^\w+ raised while resolving interpolation: ", "", str(cause).splitlines()[0])
    ours = isinstance(cause, ValueError | OSError | ImportError) and _raised_here(cause)
    return str(cause) if ours or isinstance(cause, HydraException) else None


def _nearest(key: str, known: dict[str, object]) -> str:
    """Name the keys of the group that end alike (data.sampling.batch_size for data.batch_size), else the nearest."""
    start = key.partition(".")[0] + "."
    end = "." + key.rpartition(".")[2]
    alike = [name for name in known if name.startswith(start) and name.endswith(end)]
    own = [name for name in alike if not str(known[name]).startswith("${")]  # not a copy of another key
    return f" (did you mean {' or '.join(map(repr, own))}?)" if own else did_you_mean(key, known)


def _known_keys(words: list[str]) -> dict[str, object]:
    """All keys that the chosen groups have, with their values, and the groups themselves."""
    groups = [path.name for path in config_dir().iterdir() if path.is_dir()]
    chosen = [word for word in words if word.partition("=")[0] in groups]
    try:
        cfg = compose(chosen)
    except HydraException:
        cfg = compose([])
    return dict.fromkeys(groups) | dict(_keys(OmegaConf.to_container(cfg), ""))


def _keys(node: Any, prefix: str) -> Iterator[tuple[str, object]]:
    for key, value in node.items() if isinstance(node, dict) else ():
        yield f"{prefix}{key}", value
        yield from _keys(value, f"{prefix}{key}.")


def _raised_here(error: BaseException) -> bool:
    """Whether the innermost frame of the traceback is segexp's own code."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith("segexp")
