"""Sentences for what the user can fix: a mistyped option, a wrong value, a folder that cannot be written to."""

import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from segexp.config import compose, config_dir, search_path, split_config_dirs, unwrapped
from segexp.errors import did_you_mean


def explain(error: BaseException, arguments: list[str]) -> str | None:
    """One sentence for an error that the user can fix; None for our own faults, which deserve a traceback."""
    # A mistyped option of a group, then a mistyped key.
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        options = ", ".join(sorted(error.options))
        return f"{group}={option}: no such option{did_you_mean(option, error.options)}; there are: {options}"
    if isinstance(error, ConfigCompositionException):
        quoted = re.search(r"Could not override '([^']+)'", str(error))
        if quoted:
            key = quoted[1].partition("@")[0]
            return f"{key}: no such key{_nearest(key, _known_keys(arguments))}"
    cause = unwrapped(error)
    if isinstance(cause, TypeError):
        return _unknown_argument(str(error), arguments)
    if isinstance(cause, OmegaConfBaseException):  # the lines after the first are about its nodes
        return re.sub(r"^\w+ raised while resolving interpolation: ", "", str(cause).splitlines()[0])
    if isinstance(cause, OSError) and traceback.extract_tb(cause.__traceback__)[-1].name == "mkdir":
        return (
            f"the folder {cause.filename} cannot be made ({cause.strerror}): give one that can be written to, with "
            "hydra.run.dir= or paths.output_dir="
        )
    ours = isinstance(cause, ValueError | OSError | ImportError) and _raised_here(cause)
    return str(cause) if ours or isinstance(cause, HydraException) else None


def _unknown_argument(message: str, arguments: list[str]) -> str | None:
    """One sentence for a key of a configuration file that its class does not take; None for any other TypeError."""
    unknown = re.search(r"target '[\w.]+\.(\w+)':\s+TypeError\(.* unexpected keyword argument '(\w+)'", message)
    if not unknown:
        return None
    known = _known_keys(arguments)
    targets = {key.removesuffix("._target_"): str(value) for key, value in known.items() if key.endswith("._target_")}
    nodes = [node for node, target in targets.items() if target.rpartition(".")[2] == unknown[1]]
    key = ".".join([*nodes[:1], unknown[2]])
    return f"{key}: no such key{_nearest(key, known)}"


def _nearest(key: str, known: dict[str, object]) -> str:
    """Name the keys of the group that end alike (data.sampling.batch_size for data.batch_size), else the nearest."""
    start = key.partition(".")[0] + "."
    end = "." + key.rpartition(".")[2]
    alike = [name for name in known if name.startswith(start) and name.endswith(end) and name != key]
    own = [name for name in alike if not str(known[name]).startswith("${")]  # not a copy of another key
    if own:
        return f" (did you mean {' or '.join(map(repr, own))}?)"
    if key in known:
        return f" in the chosen option of {start[:-1]}, others have it"
    return did_you_mean(key, known)


def _known_keys(arguments: list[str]) -> dict[str, object]:
    """All keys of the chosen groups, with their values, and the groups themselves."""
    places, others = split_config_dirs(arguments)
    folders = [Path(place).absolute() for place in places]
    groups = [path.name for folder in (config_dir(), *folders) for path in folder.glob("*") if path.is_dir()]
    chosen = [argument for argument in others if argument.partition("=")[0] in groups]
    try:
        cfg = compose([*search_path(folders), *chosen])
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
