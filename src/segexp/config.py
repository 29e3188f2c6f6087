"""Folder of the configuration, its composition for notebooks and tests, and our resolvers."""

import re
import shlex
import sys
from collections.abc import Iterator, Sequence, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast, get_type_hints

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from segexp.errors import did_you_mean, short_path
from segexp.importable import config_dirs_among, make_importable
from segexp.merging import install_rules
from segexp.parsed import install_cache
from segexp.runs.configuration import Config
from segexp.runs.folder import RunFolder
from segexp.runs.unused import unused_folder
from segexp.signatures import require_hints

install_rules()
install_cache()


def config_dir() -> Path:
    """Folder of the configuration: inside an installed package, else at the checkout's root."""
    here = Path(__file__).resolve().parent
    packaged = here / "conf"
    return packaged if packaged.is_dir() else here.parents[1] / "conf"


def compose(
    overrides: list[str] | None = None,
    name: str = "train",
    run_dir: Path | str | None = None,
    config_dir: Path | str | Sequence[Path | str] = (),
) -> DictConfig:
    """Compose a configuration as the command line would, for notebooks and tests.

    Args:
        overrides: Overrides as on the command line, such as ["model=unet_bilinear", "data=isbi"].
        name: Name of the primary file, one per command.
        run_dir: Folder of the run; None = no run is to be started with this configuration.
        config_dir: Folder of the user's own configuration files, or several, as ``--config-dir``; modules are found in
            it and beside it.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: A file in it that is chosen has the name of one of ours.
    """
    register_resolvers()
    folders = [Path(one).absolute() for one in ([config_dir] if isinstance(config_dir, Path | str) else config_dir)]
    for own in folders:
        if not own.is_dir():
            raise FileNotFoundError(f"config_dir={own}: there is no such folder")
    make_importable(folders)
    run = [] if run_dir is None else [f"paths.run_dir={Path(run_dir).absolute()}"]
    words = [*search_path(folders), *map(readable, overrides or []), *run]
    with own_options(), initialize_config_dir(str(_ours()), version_base="1.3"):
        cfg = hydra_compose(name, words, return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    require_read()
    OmegaConf.set_struct(cfg, False)
    cfg.pop("hydra")
    OmegaConf.set_struct(cfg, True)
    return cfg


@contextmanager
def own_options() -> Iterator[None]:
    """Let our options of Hydra's groups, such as hydra/launcher=ray, stand before those of installed plugins.

    Hydra checks an option in a file against the schema that a plugin has registered under the same name for its own.
    """
    Plugins.instance()  # imports all plugins, which register their options
    hidden = []
    for path in config_dir().glob("hydra/**/*.yaml"):
        *groups, name = path.relative_to(config_dir()).parts
        options: dict[str, Any] = ConfigStore.instance().repo
        for group in groups:
            options = options.get(group, {})
        if name in options:
            hidden.append((options, name, options.pop(name)))
    try:
        yield
    finally:
        for options, name, node in hidden:
            options[name] = node


def _ours() -> Path:
    return config_dir()


def own_config_dirs() -> list[str]:
    """Folders of configuration files beside ours of the present configuration, absolute."""
    return config_dirs_among(HydraConfig.get().runtime.config_sources if HydraConfig.initialized() else [])


def require_read() -> None:
    """Refuse a chosen file of the user's own that is not read, because one of ours has its name and comes first.

    Raises:
        ValueError: Names the file and the remedy.
    """
    for group, option in HydraConfig.get().runtime.choices.items():
        ours = config_dir() / group / f"{option}.yaml"
        for folder in own_config_dirs():
            own = Path(folder) / group / f"{option}.yaml"
            if own.is_file() and ours.is_file() and not own.samefile(ours) and own.read_bytes() != ours.read_bytes():
                raise ValueError(
                    f"{own} is hidden by segexp's own option {group}={option}, which comes first: give your file "
                    f"another name and choose it with {group}=<that name>"
                )


def readable(word: str) -> str:
    """Quote the value of an override that has letters which Hydra's grammar does not know, such as ü in a path."""
    key, equals, value = word.partition("=")
    if not equals or value.isascii() or any(mark in value for mark in "'\"[]{}(),"):
        return word
    return f"{key}='{value}'"


def plain(cfg: DictConfig) -> Config:
    """Resolve every interpolation and turn the configuration of a run into plain containers."""
    content: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    content.pop("sweep", None)  # for the driver of a sweep, not for its runs
    hints = get_type_hints(Config)
    for key in ("name", "resume"):  # text that may look like a number
        hints.pop(key)
    hints["paths"] = dict[str, str | None]  # where no run is started there is no folder of it
    require_hints("", content, hints)
    return cast(Config, content)


def chosen_options() -> dict[str, Any]:
    """Chosen option of every group; conf/local belongs to the machine, so it is not among them."""
    choices = HydraConfig.get().runtime.choices if HydraConfig.initialized() else {}
    return {group: option for group, option in choices.items() if group != "local"}


def unwrapped(error: BaseException) -> BaseException:
    """Return the error that Hydra wrapped while it built an object, else the error itself."""
    while isinstance(error, HydraException) and error.__cause__ is not None:
        error = error.__cause__
    return error


def as_written(overrides: Any) -> list[str]:
    """Return a node of overrides as plain strings, the interpolations in them unresolved."""
    words = OmegaConf.to_container(overrides, resolve=False)
    assert isinstance(words, list)
    return [str(word) for word in words]


def given_words() -> list[str]:
    """Overrides of the command line."""
    return as_written(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []


def register_resolvers() -> None:
    """Make our resolvers, ``${best_precision:..}`` and so on, known; their imports wait for use."""

    def best_precision(accelerator: str) -> str:
        from segexp.training.performance import best_precision

        return best_precision(accelerator)

    def with_context(channels: int, context: int) -> int:
        return channels * (2 * context + 1)

    def outputs(num_classes: int, regions: object) -> int:
        return len(regions) if isinstance(regions, Sized) else num_classes  # the data module refuses other kinds

    def activation(regions: object) -> str:
        return "softmax" if regions is None else "sigmoid"

    def dataset_json(root: str, fact: str) -> Any:
        from segexp.data.sources.dataset_json import dataset_fact

        return dataset_fact(root, fact)

    def sweep_name(name: str | None, data: str, *, _root_: DictConfig) -> str:
        from segexp.sweeps.jobs import sweep_name

        return name or sweep_name(data, as_written(_root_.hydra.overrides.task))

    def planned_or(plan: str | None, model: str) -> str:
        return plan or model

    def run_name(folder: str) -> str:
        path = Path(folder)
        return f"{path.parent.name}/{path.name}" if path.name.isdecimal() else path.name

    for resolver in (run_name, planned_or, sweep_name, dataset_json, outputs, activation, with_context):
        OmegaConf.register_new_resolver(resolver.__name__, resolver, replace=True)
    OmegaConf.register_new_resolver("best_precision", best_precision, replace=True, use_cache=True)
    OmegaConf.register_new_resolver("unused_folder", _unused, replace=True)


def _unused(path: str, *, _root_: DictConfig) -> str:
    """Make the folder of a run once; while its configuration is still being composed, only name it."""
    if OmegaConf.is_missing(_root_.hydra.runtime, "cwd"):
        return path
    made = OmegaConf.get_cache(_root_)["unused_folder"]
    if path not in made:
        made[path] = unused_folder(path)
    return cast(str, made[path])


def search_path(folders: Sequence[Path | str]) -> list[str]:
    """Override that adds folders of configuration files, as ``--config-dir`` does; none without folders."""
    from segexp.sweeps.jobs import quoted

    places = ",".join(quoted(f"file://{folder}") for folder in folders)
    return [f"hydra.searchpath=[{places}]"] if folders else []


def program() -> list[str]:
    """Words that start this program in a shell."""
    start = Path(sys.argv[0])
    if start.name == "segexp":
        return ["segexp"]
    return [sys.executable, "-m", "segexp"] if start.name == "__main__.py" else [sys.executable, sys.argv[0]]


def how_to_go_on(folder: RunFolder) -> str:
    """Command line that resumes the run of this process, or starts it again where there is no checkpoint yet."""
    from segexp.sweeps.jobs import quoted

    folders, others = split_config_dirs(sys.argv[1:])
    if not folder.is_resumable:
        return f"no epoch had ended, start again with: {shlex.join([*program(), *sys.argv[1:]])}"
    place = short_path(folder.path)
    resume = f"resume={place}" if re.fullmatch(r"[\w./+-]+", str(place)) else f"resume={quoted(place)}"
    verb = others[:1] if others[:1] == ["train"] else []
    options = [word for path in folders for word in ("--config-dir", path)]
    return f"resume with: {shlex.join([*program(), *verb, *options, resume])}"


def split_config_dirs(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split a command line into the folders of ``--config-dir`` and all other arguments."""
    folders, others = [], []
    waiting = iter(arguments)
    for argument in waiting:
        option, equals, value = argument.partition("=")
        if option in ("--config-dir", "-cd"):
            folders.append(value if equals else next(waiting, ""))
        else:
            others.append(argument)
    return folders, others


def split_options(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split a command line into Hydra's options with their values, such as ``--config-dir mine``, and the overrides.

    Raises:
        ValueError: An option is not known.
    """
    parser = get_args_parser()
    found, unknown = parser.parse_known_intermixed_args(list(arguments))
    known = [flag for action in parser._actions for flag in action.option_strings]
    wrong = [word for word in unknown if word.startswith("-")]
    if wrong:
        option, equals, _ = wrong[0].partition("=")
        guess = did_you_mean(option, known)
        override = "" if guess or not equals else f"; an override has no dashes: {wrong[0].lstrip('-')}"
        raise ValueError(f"{option}: no such option{guess}; --hydra-help lists them{override}")
    overrides = [*found.overrides, *unknown]
    if found.shell_completion:
        raise ValueError("completion is set up with: segexp completion bash (or zsh, fish)")
    options = list(reversed(arguments))
    for word in overrides:
        options.remove(word)
    return options[::-1], overrides
