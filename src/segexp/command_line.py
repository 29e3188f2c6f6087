"""What the words of a command line bring with them: a plan, the settings of a run that is resumed, a network."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segexp.config import readable, search_path, split_config_dirs
from segexp.ranks import follows
from segexp.runs.folder import RunFolder
from segexp.runs.ownership import config_dirs_of_run, is_own, require_config_dirs
from segexp.runs.secrets import MASK
from segexp.sweeps.jobs import key_of, quoted, unquoted
from segexp.trust import Foreign, compose_checked

LEFT_TO_PLAN = {"data", "seed", "name", "minutes", "logger", "sweep"}  # with these alone a plan chooses the rest
BESIDE_PLAN = ("data.", "paths.", "hydra", "sweep.", "logger.", "callbacks.progress.")
FROM_DATA = ("in_channels", "num_classes", "spatial_dims")  # keys of a network that its data tell


def require_pairs(words: Sequence[str]) -> None:
    """Refuse, by a ValueError, a word that is no override: one without a value, or around spaces."""
    for place, word in enumerate(words):
        if word.startswith("~") or word.find("=") > 0:  # ~key takes a key away
            continue
        before = words[place - 1] if place else ""
        after = next((other.lstrip("=") for other in words[place + 1 :] if other.strip("=")), "")
        whole = f"{word}={after}" if after and "=" not in after else f"{word.lstrip('=')}=<value>"
        if before.endswith("="):
            whole = f"{before}{word}"
        raise ValueError(f"{word!r} is no key=value: write {whole}, without spaces")


def with_plan(given: list[str]) -> list[str]:
    """Let a plan choose where a training is asked for by nothing but its data."""
    keys = {key_of(word).partition("@")[0] for word in given}
    data = {word.partition("=")[2] for word in given if key_of(word) == "data"}
    open_to_plan = all(key in LEFT_TO_PLAN or key.startswith(BESIDE_PLAN) for key in keys)
    return ["plan=auto", *given] if data - {"synthetic"} and open_to_plan else given


def with_network_of(given: list[str]) -> list[str]:
    """With ``init=<run folder>`` and no word on the network, choose that of the run, unless it is somebody else's."""
    values = [word.partition("=")[2] for word in given if key_of(word) == "init"]
    folder = RunFolder(Path(unquoted(values[-1]) if values else ""), foreign=True)
    told = any(key_of(word).partition(".")[0] in ("model", "experiment") for word in given)
    if told or not values or not folder.record_path.is_file():
        return given
    record: Any = folder.record()
    if "config" not in record or not is_own(record):
        return given
    model = {key: value for key, value in record["config"]["model"].items() if key not in FROM_DATA}
    words = [f"model.{key}={json.dumps(value)}" for key, value in model.items() if key != "_target_"]
    return [f"model={record['choices']['model']}", *words, *given]


def resumed(arguments: list[str], options: Sequence[str] = (), replaying: bool = False) -> list[str]:
    """With ``resume=<run folder>``, put the overrides of that run before the new ones, in the same folder."""
    values = [argument.partition("=")[2] for argument in arguments if argument.startswith("resume=")]
    resume = unquoted(values[-1]) if values else ""
    if resume in ("", "null"):
        return arguments
    # There must be a checkpoint, and something left to do.
    folder = RunFolder(Path(resume).absolute())
    if not (folder.overrides_path.is_file() if replaying else folder.is_resumable):
        raise ValueError(
            f"resume={resume}: nothing to resume, there is no checkpoints/last.ckpt with its overrides.yaml; "
            "give the folder of a run that finished an epoch, or leave resume out to start anew"
        )
    longer = any(argument.startswith(("trainer.max_epochs=", "minutes=")) for argument in arguments)
    # A limit of time counts for each process: after it there is something left to do.
    by_time = "trainer.max_time" in folder.results().get("training", {}).get("ended_by", "")
    if not (longer or by_time or replaying) and folder.record()["status"] == "done":
        more = "minutes" if "clock" in folder.record() else "trainer.max_epochs"
        raise ValueError(f"resume={resume}: the run is complete; to train longer give {more}=<more>")
    # The folder may be a stranger's: its overrides are composed in a checked way first.
    stored = folder.overrides()
    record: Any = folder.record() | {"overrides": stored}
    own = is_own(record)
    if follows():  # the first process has noted its words already; to delete a key twice is an error
        arguments = [argument for argument in arguments if readable(argument) not in stored]
    given = {key_of(argument) for argument in arguments}
    stored = [word for word in stored if MASK not in word or key_of(word) not in given]
    remedy = "if it is yours, give it on the command line too; if not, do not resume this run"
    if stored and not own:
        foreign = Foreign(stored, folder.path, folder.overrides_path, remedy)
        compose_checked(foreign, [*options, *arguments], folder.path)
    if not split_config_dirs(options)[0]:
        folders = config_dirs_of_run(record)
        require_config_dirs(folders)
        stored = [*search_path(folders), *stored]
    return [*stored, f"hydra.run.dir={quoted(folder.path)}", *arguments]  # the last one of a key counts
