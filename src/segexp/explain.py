"""Sentences for what the user can fix: a mistyped option, a wrong value, a folder that cannot be written to."""

import re
import traceback
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from segexp.config import chosen_options, compose, config_dir, search_path, split_config_dirs, unwrapped
from segexp.errors import did_you_mean
from segexp.making import raised_here
from segexp.merging import job_of
from segexp.signatures import ANYTHING, parameters
from segexp.sweeps.jobs import job_overrides


def explain(error: BaseException, arguments: list[str]) -> str | None:
    """One sentence for an error that the user can fix; None for our own faults, which deserve a traceback."""
    # A mistyped option of a group, then a mistyped key.
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        options = ", ".join(sorted(error.options))
        return f"{group}={option}: no such option{did_you_mean(option, error.options)}; there are: {options}"
    if isinstance(error, OverrideParseException):
        reason = next((line for line in str(error).splitlines() if "override" not in line), "a sign is out of place")
        return (
            f"{error.override} cannot be read ({reason}): close what is open, and put the whole in single quotes, as "
            f"in '{error.override}'"
        )
    if isinstance(error, ConfigCompositionException):
        job = job_of(error)
        sentence = _misplaced(str(error), [*_own_folders(arguments), *job] if job else arguments)
        sentence = sentence or _several(str(error)) or _other_kind(error.__cause__)
        if sentence:
            return f"job {' '.join(job_overrides(job))}: {sentence}; no job was started" if job else sentence
    cause = unwrapped(error)
    if isinstance(cause, TypeError):
        return _unknown_argument(str(error), arguments)
    if isinstance(cause, MissingMandatoryValue) and cause.full_key:
        return f"{cause.full_key} must be given: write {cause.full_key}=<value>"
    if isinstance(cause, OmegaConfBaseException):
        return _unresolved(str(cause))
    if isinstance(cause, OSError) and traceback.extract_tb(cause.__traceback__)[-1].name == "mkdir":
        return (
            f"the folder {cause.filename} cannot be made ({cause.strerror}): give one that can be written to, with "
            "hydra.run.dir= or paths.output_dir="
        )
    ours = isinstance(cause, ValueError | OSError | ImportError) and raised_here(cause)
    return str(cause) if ours or isinstance(cause, HydraException) else None


def _several(message: str) -> str | None:
    """One sentence for several values where one is meant; None for any other message of Hydra."""
    found = re.search(r"(?:Ambiguous value for argument|Sweep parameters) '(([^'=]+)=(.*))'", message)
    if not found:
        return None
    return (
        f"{found[1]}: several values make a sweep, which needs -m; a list stands in brackets, '{found[2]}=[{found[3]}]'"
    )


def _unresolved(message: str) -> str:
    """One sentence for what could not be resolved."""
    leaf = re.search(r"Error trying to access ([\w.]+): node `([\w.]+)` is not a container", message)
    if leaf:
        return f"{leaf[2]} must be a mapping {{…: …}}, for {leaf[1]} is needed: leave out what replaces it"
    first = message.splitlines()[0]  # those after it are about OmegaConf's nodes
    return re.sub(r"^\w+ raised while resolving interpolation: ", "", first)


def _other_kind(cause: BaseException | None) -> str | None:
    """One sentence for a list in place of a mapping, or a mapping in place of a list; None for any other error."""
    kinds = re.search(r"Cannot merge (Dict|List)Config with (Dict|List)Config", str(cause))
    if not kinds or not isinstance(cause, OmegaConfBaseException) or not cause.full_key:
        return None
    words = {"Dict": "a mapping {…: …}", "List": "a list […]"}
    return f"{cause.full_key} must be {words[kinds[1]]}, not {words[kinds[2]]}"


def _misplaced(message: str, arguments: list[str]) -> str | None:
    """One sentence for a key that cannot be overridden, added or deleted; None for any other message of Hydra."""
    there = re.search(r"An item is already at '([^']+)'", message)
    if there:
        return f"+{there[1]}: the key is there already: leave out the +"
    found = re.search(r"Could not (?:override|delete from config\.) '([^']+)'", message)
    if not found:
        return None
    key = found[1].partition("@")[0]
    return f"{key}: {_no_such_key(key, arguments)}"


def _unknown_argument(message: str, arguments: list[str]) -> str | None:
    """One sentence for a key of a configuration file that its class does not take; None for any other TypeError."""
    unknown = re.search(r"target '[\w.]+\.(\w+)':\s+TypeError\(.* unexpected keyword argument '(\w+)'", message)
    if not unknown:
        return None
    known = _known_keys(arguments)
    targets = {key.removesuffix("._target_"): str(value) for key, value in known.items() if key.endswith("._target_")}
    nodes = [node for node, target in targets.items() if target.rpartition(".")[2] == unknown[1]]
    key = ".".join([*nodes[:1], unknown[2]])
    return f"{key}: {_no_such_key(key, arguments)}"


def _no_such_key(key: str, arguments: list[str]) -> str:
    """Say what to write in place of a key: the same with +, one of the group that ends alike, or the nearest."""
    known, chosen = _known_keys(arguments), chosen_options()
    group, _, rest = key.partition(".")
    if not rest:
        return f"no such key{did_you_mean(key, (name for name in known if name != key))}"
    node, last = _parent(key, known)
    target = str(known.get(f"{node}._target_", ""))
    taken = parameters(target)
    given = [word for word in arguments if word.partition("=")[0] == key]
    added = f"+{given[-1] if given else f'{key}=<value>'}"
    if known.get(node) in (None, "???") and node.count("."):
        return f"{node} holds nothing yet: write {added}"
    if last in taken:
        return f"not listed in the configuration, but {target} takes it: write {added}"
    # A key such as data.sampling.batch_size for data.batch_size, which is no copy of another one.
    inside = [name for name in known if name.startswith(f"{group}.") and not f"{key}.".startswith(f"{name}.")]
    alike = [name for name in inside if name.endswith(f".{last}") and not str(known[name]).startswith("${")]
    if alike:
        return f"no such key (did you mean {' or '.join(map(repr, alike))}?)"
    others = _options_with(key, arguments)
    if others:
        which = f"{group}={chosen.get(group)}"
        return f"no such key in {which}, but in {', '.join(others)}: choose among those, or leave the key out"
    ends = {name.rpartition(".")[2]: name for name in reversed(inside)}
    near = get_close_matches(last, [*ends, *taken], n=1)
    if near:
        return f"no such key (did you mean {ends.get(near[0], f'+{node}.{near[0]}')!r}?)"
    if ANYTHING in taken:
        return f"not listed in the configuration; {added} hands it to {target} all the same"
    own = [name.removeprefix(f"{node}.") for name in inside if name.startswith(f"{node}.")]
    listed = ", ".join(name for name in own if "." not in name and not name.startswith("_"))
    return f"no such key; {node} has {listed}" if listed else "no such key"


def _parent(key: str, known: dict[str, object]) -> tuple[str, str]:
    """Split a key into the innermost node that is there, and the rest."""
    node, _, last = key.rpartition(".")
    while node and node not in known:
        node, _, outer = node.rpartition(".")
        last = f"{outer}.{last}"
    return node, last


def _options_with(key: str, arguments: list[str]) -> list[str]:
    """Other options of the key's group that have it."""
    group, _, rest = key.partition(".")
    name = re.compile(rf"^\s*{re.escape(rest.rpartition('.')[2])}:", re.MULTILINE)
    folders = [folder / group for folder in _folders(arguments)]
    files = [path for folder in folders for path in sorted(folder.glob("*.yaml"))]
    if not any(name.search(path.read_text(encoding="utf-8")) for path in files):
        return []
    others = [word for word in arguments if word.partition("=")[0] != group]
    return [path.stem for path in files if key in _known_keys([*others, f"{group}={path.stem}"], strict=True)]


def _folders(arguments: list[str]) -> list[Path]:
    return [config_dir(), *(Path(place).absolute() for place in split_config_dirs(arguments)[0])]


def _own_folders(arguments: list[str]) -> list[str]:
    return [word for place in split_config_dirs(arguments)[0] for word in ("--config-dir", place)]


def _known_keys(arguments: list[str], strict: bool = False) -> dict[str, object]:
    """All keys of the chosen groups, with their values, and the groups themselves.

    Where the choice cannot be composed, those of the default options, or with ``strict`` none.
    """
    folders = _folders(arguments)
    groups = [path.name for folder in folders for path in folder.glob("*") if path.is_dir()]
    chosen = [word for word in split_config_dirs(arguments)[1] if word.partition("=")[0] in groups]
    try:
        cfg = compose([*search_path(folders[1:]), *chosen])
    except HydraException:
        if strict:
            return {}
        cfg = compose([])
    return dict.fromkeys(groups) | dict(_keys(OmegaConf.to_container(cfg), ""))


def _keys(node: Any, prefix: str) -> Iterator[tuple[str, object]]:
    for key, value in node.items() if isinstance(node, dict) else ():
        yield f"{prefix}{key}", value
        yield from _keys(value, f"{prefix}{key}.")
