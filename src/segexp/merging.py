"""How configuration files and overrides are merged, where Hydra's own rules would surprise.

A mapping that is an argument of a class, such as ``data.source.values`` or ``loss.terms``, is one value: a further one
replaces it. What a recipe sets for an option that is not chosen any more is left out. The rules hold wherever Hydra
composes: `install_rules` puts them into its loader.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.defaults_list import create_defaults_list
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, Node, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException, ValidationError

from segexp.ranks import follows

FOR_DRIVER = ("hydra", "sweep")  # nodes of the driver of a sweep, which its jobs do not compose
left_out: ContextVar[set[str]] = ContextVar("left_out")  # keys of recipes, of the configuration that is composed
options_vary: ContextVar[bool] = ContextVar("options_vary", default=False)  # whether a sweep chooses among options
told: set[str] = set()  # lines that this process has printed
_load = ConfigLoaderImpl._load_configuration_impl
_load_job = ConfigLoaderImpl.load_sweep_config
_parse = ConfigLoaderImpl._parse_overrides_and_create_caching_repo
_compose = ConfigLoaderImpl._compose_config_from_defaults_list
_apply = ConfigLoaderImpl._apply_overrides_to_config


# Mappings


def is_value(node: Node | None, parent: DictConfig) -> bool:
    """Whether a mapping is one value: an argument of a class that holds no further class."""
    return "_target_" in parent and _mapping(node) is not None and not _holds_target(node)


def clear_values(merged: DictConfig, added: DictConfig) -> None:
    """Take out of a configuration the values that further content replaces."""
    for key in list(added):
        new, old = _mapping(added._get_node(key)), merged._get_node(key)
        if new is None or _mapping(old) is None:
            continue
        if is_value(old, merged) and not _holds_target(new):
            _empty(merged, key)
        elif isinstance(old, DictConfig) and not old._is_interpolation():
            clear_values(old, new)


def clear_value(override: Override, cfg: DictConfig) -> None:
    """Take out of a configuration the value that an override replaces; ``+`` adds to it."""
    place, _, key = override.key_or_group.rpartition(".")
    replaces = isinstance(override.value(), dict) and not override.is_add() and not override.is_delete()
    parent = OmegaConf.select(cfg, place) if replaces and place else None
    if isinstance(parent, DictConfig) and is_value(parent._get_node(key), parent):
        _empty(parent, key)


def _empty(parent: DictConfig, key: Any) -> None:
    try:
        parent[key] = None
    except ValidationError:  # the schema of a plugin wants a mapping
        parent[key] = {}
        OmegaConf.set_struct(parent[key], False)


def _mapping(node: Any) -> DictConfig | None:
    """A node that is a mapping or leads to one; None for any other."""
    if isinstance(node, Node) and node._is_interpolation():
        node = node._maybe_dereference_node()
    empty = not isinstance(node, DictConfig) or node._is_none() or node._is_missing()
    return None if empty else node


def _holds_target(node: Any) -> bool:
    found = _mapping(node)
    if found is None:
        return False
    return "_target_" in found or any(_holds_target(found._get_node(key)) for key in found)


# Keys of options that are not chosen


def leave_out(merged: DictConfig, added: DictConfig, keys: Sequence[Any], place: str = "") -> Iterator[str]:
    """Drop from a recipe's content what the chosen options do not have; yield the dropped keys.

    A further part of a collection, such as a callback with its class, is none of an option's and stays.
    """
    for key in keys:
        new, old = _mapping(added._get_node(key)), _mapping(merged._get_node(key))
        target = None if new is None else new.get("_target_")
        if key not in merged:
            drops = not place or target is None or "_target_" in merged
        else:
            drops = target is not None and old is not None and target != old.get("_target_")
        if drops:
            del added[key]
            yield f"{place}{key}"
        elif new is not None and old is not None and not is_value(old, merged):
            yield from leave_out(old, new, list(new), f"{place}{key}.")


def _groups(defaults: Sequence[ResultDefault]) -> dict[str, list[str]]:
    """Files by their group, the first part of the path."""
    found: dict[str, list[str]] = {}
    for default in defaults:
        group, slash, _ = str(default.config_path).partition("/")
        if slash and group != "hydra":
            found.setdefault(group, []).append(str(default.config_path))
    return found


def _replaced(default: ResultDefault, added: DictConfig, defaults: Sequence[ResultDefault], repo: Any) -> list[str]:
    """Groups for which a file has content and of which another option is chosen than with the file alone."""
    chosen = _groups(defaults)
    group, slash, option = str(default.config_path).rpartition("/")
    others = [name for name in chosen if name in added and name != group.partition("/")[0]]
    if not slash or not others or group.startswith("hydra"):
        return []
    primary = next(str(item.config_path) for item in defaults if item.primary)
    words = OverridesParser.create().parse_overrides([f"{group}={option}"])
    with suppress(ConfigCompositionException):
        alone = _groups(create_defaults_list(repo, primary, words, prepend_hydra=True, skip_missing=True).defaults)
        return [name for name in others if alone.get(name) != chosen[name]]
    return []


def _choice(defaults: Sequence[ResultDefault], group: str) -> str:
    """Chosen options of a group, as on the command line."""
    paths = [str(item.config_path).rpartition("/") for item in defaults if item.override_key is not None]
    options = list(dict.fromkeys(option for place, _, option in paths if place == group))
    return f"{group}={options[0] if len(options) == 1 else '[' + ','.join(options) + ']'}"


def _tell(line: str) -> None:
    """Print a line once, of the processes of a training in the first one."""
    if line not in told and not follows():
        told.add(line)
        print(line, file=sys.stderr)


# In the loader


def without_null_options(words: Sequence[Override], repo: Any, primary: str) -> list[str]:
    """Write ``logger=null`` as ``logger=none``; of a group that is empty by default leave it out.

    Raises:
        HydraException: An option must be chosen.
    """
    empty = [
        word for word in words if word.value() is None and not word.is_delete() and repo.group_exists(word.key_or_group)
    ]
    lines = {id(word): str(word.input_line) for word in words}
    for word in empty:
        group, key = word.key_or_group, word.get_key_element()
        options = repo.get_group_options(group)
        if "none" in options:
            lines[id(word)] = f"{key}=none"
            continue
        chosen = create_defaults_list(repo, primary, [], prepend_hydra=True, skip_missing=True).defaults
        if any(str(item.config_path).startswith(f"{group}/") for item in chosen):
            raise HydraException(f"{word.input_line}: one must be chosen; there are: {', '.join(options)}")
        for earlier in words[: words.index(word) + 1]:
            if earlier.get_key_element() == key:
                lines.pop(id(earlier), None)
    return list(lines.values())


def compose_files(loader: ConfigLoaderImpl, defaults: list[ResultDefault], repo: Any) -> DictConfig:
    """Merge configuration files in their order."""
    merged = OmegaConf.create()
    for default in defaults:
        added = _compose(loader, [default], repo)
        for group in _replaced(default, added, defaults, repo):
            dropped = list(leave_out(merged, added, [group]))
            left_out.get().update(dropped)
            if dropped:
                choice = _choice(defaults, group)
                _tell(f"{default.config_path} sets {', '.join(dropped)}, which does not belong to {choice}: left out")
        clear_values(merged, added)
        try:
            with flag_override(merged, "no_deepcopy_set_nodes", True):  # nobody else has what was just read
                merged.merge_with(added)
        except OmegaConfBaseException as error:
            raise ConfigCompositionException(f"In '{default.config_path}': {error}") from error
    return merged


def apply_overrides(overrides: list[Override], cfg: DictConfig) -> None:
    """Apply overrides in their order; where options are swept, leave out what only some of them may have."""
    for override in overrides:
        if override.is_delete() and override.key_or_group in left_out.get():
            continue
        clear_value(override, cfg)
        try:
            _apply([override], cfg)
        except ConfigCompositionException:
            if not options_vary.get() or override.key_or_group.partition(".")[0] in FOR_DRIVER:
                raise


def parse(loader: ConfigLoaderImpl, config_name: str | None, overrides: list[str]) -> tuple[list[Override], Any]:
    """Parse overrides, those without an option as what they mean, and note whether options are swept."""
    words, repo = _parse(loader, config_name, overrides)
    lines = without_null_options(words, repo, str(config_name))
    if lines != [word.input_line for word in words]:
        words, repo = _parse(loader, config_name, lines)
    swept = any(word.is_sweep_override() and repo.group_exists(word.key_or_group) for word in words)
    options_vary.set(options_vary.get() and swept)
    return words, repo


def load(
    loader: ConfigLoaderImpl, config_name: str | None, overrides: list[str], run_mode: RunMode, **more: Any
) -> Any:
    """Compose a configuration; that of a sweep over options need not fit keys which its jobs, composed later, have."""
    tokens = options_vary.set(run_mode == RunMode.MULTIRUN), left_out.set(set())
    try:
        return _load(loader, config_name, overrides, run_mode, **more)
    finally:
        options_vary.reset(tokens[0])
        left_out.reset(tokens[1])


def load_job(loader: ConfigLoaderImpl, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
    """Compose the configuration of a job of a sweep; an error carries the words of the job as a note."""
    try:
        return _load_job(loader, master_config, sweep_overrides)
    except Exception as error:
        error.add_note(JOB + "\n".join(sweep_overrides))
        raise


JOB = "job of a sweep:\n"


def job_of(error: BaseException) -> list[str]:
    """Words of the job of a sweep whose composition has failed; none where it was another configuration."""
    notes: Sequence[str] = getattr(error, "__notes__", [])
    return next((note.removeprefix(JOB).splitlines() for note in notes if note.startswith(JOB)), [])


def install_rules() -> None:
    """Put the rules into Hydra's loader, for this process."""
    ConfigLoaderImpl._load_configuration_impl = load  # type: ignore[method-assign, assignment]
    ConfigLoaderImpl._parse_overrides_and_create_caching_repo = parse  # type: ignore[method-assign, assignment]
    ConfigLoaderImpl.load_sweep_config = load_job  # type: ignore[method-assign, assignment]
    ConfigLoaderImpl._compose_config_from_defaults_list = compose_files  # type: ignore[method-assign, assignment]
    ConfigLoaderImpl._apply_overrides_to_config = staticmethod(apply_overrides)  # type: ignore[method-assign]
