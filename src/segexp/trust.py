"""What a run folder may say of a configuration, as long as nobody vouches for it.

A run folder may be a stranger's, and its overrides name classes, folders and options. They are composed in a checked
way. As words: no interpolations, no settings of Hydra, no options by path, no text but plain names, and paths inside
the run or where the user's own defaults lead. As the resolved configuration: whatever is built must be what the
configuration files, or arguments of the user, build at that place.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from segexp.config import compose, config_dir, plain, readable, search_path, split_config_dirs
from segexp.importable import make_importable
from segexp.runs.configuration import Config
from segexp.runs.secrets import MASK
from segexp.sweeps.jobs import quoted

KEY = re.compile(r"(?!hydra\b|resume$)[A-Za-z]\w*([./][A-Za-z0-9_][\w-]*)*")
OPTION = re.compile(r"\w[\w-]*(/\w[\w-]*)*")
NAME = re.compile(r"([\w+-][\w+ -]*/)?[\w+-][\w.,+ -]*|")  # such as val/dice or 20-23
READ = ("data.source.", "data.split.lists")  # places of paths that are read
SHOWN = "data.labels."  # place of names that are shown
LOGGER = "logger."  # leads to other machines: the run may choose one of ours, no text of its own
PACKAGE = re.compile(r"^# @package (\S+)", re.MULTILINE)
OPTIONS = {  # for --help of commands that take Vouched
    "--config-dir <folder>": "networks that files below its model/ name may be built; your own runs know their folders",
    "--trust": "build whatever class the run or file names",
}
SPECIAL = ("_args_", "_recursive_")  # keys with which Hydra builds otherwise


@dataclass(frozen=True)
class Vouched:
    """What the user vouches for on the command line, with ``--config-dir mine`` and ``--trust``.

    Args:
        folders: Folders of configuration files.
        everything: Whether all that a file or run names may be built.
    """

    folders: Sequence[Path]
    everything: bool = False

    @classmethod
    def of(cls, arguments: Sequence[str]) -> tuple["Vouched", list[str]]:
        """Take the options out of the arguments of a command; modules beside the folders can be imported since.

        Returns:
            What is vouched for, and the other arguments.

        Raises:
            FileNotFoundError: There is no such folder.
        """
        places, others = split_config_dirs(arguments)
        folders = [Path(place).absolute() for place in places]
        for folder in folders:
            if not folder.is_dir():
                raise FileNotFoundError(f"--config-dir {folder}: there is no such folder")
        make_importable(folders)
        return cls(folders, "--trust" in others), [word for word in others if word != "--trust"]

    def words(self) -> list[str]:
        """The options again."""
        return [f"--config-dir={folder}" for folder in self.folders] + ["--trust"] * self.everything

    def networks(self) -> bool | frozenset[str]:
        """Classes of networks that may be built, by their dotted paths; True = any."""
        targets = _known_targets(self.folders)
        return self.everything or frozenset(target for role, target in targets if role.partition(".")[0] == "model")


@dataclass(frozen=True)
class Foreign:
    """Overrides that a run folder holds.

    Args:
        words: The overrides.
        folder: Run folder.
        file: File that holds them, for messages.
        remedy: What the owner of the run can do, for messages.
        own: Whether the user has signed the words, see `segexp.runs.ownership`.
    """

    words: Sequence[str]
    folder: Path
    file: Path
    remedy: str
    own: bool = False

    def refuse(self, what: object, why: str) -> NoReturn:
        """Say what is wrong.

        Raises:
            ValueError: Always.
        """
        raise ValueError(f"{self.file} holds {str(what)!r}, {why}: {self.remedy}")


def compose_checked(foreign: Foreign, arguments: Sequence[str], run_dir: Path) -> Config:
    """Compose and resolve the configuration of a run that may be a stranger's.

    Args:
        foreign: What the run says; a word that is among the arguments, too, is the user's own, as are signed ones.
        arguments: Options such as ``--config-dir mine``, and overrides of the user, which come last.
        run_dir: Folder of the run to be.

    Raises:
        ValueError: A word, or what would be built, is none of the vocabulary; names file, word, reason and remedy.
    """
    folders, others = split_config_dirs(arguments)
    own = [word for word in others if "=" in word or word.startswith("~")]
    search = [config_dir(), *(Path(folder).absolute() for folder in folders)]
    make_importable(search[1:])
    start = search_path(search[1:])
    last = [*own, f"paths.run_dir={quoted(run_dir.absolute())}"]
    if foreign.own:
        return plain(compose([*start, *foreign.words, *last]))
    overrides = [_parsed(word, foreign) for word in foreign.words if word not in own]
    choices = [override for override in overrides if _is_choice(override, search)]
    # The same configuration without the run's values tells which keys are there, and which of them are paths.
    chosen = [str(word.input_line) for word in choices]
    default = compose([*start, *chosen, *last])
    for override in overrides:
        for key, text in _texts(None if override.is_delete() else override.value(), override.key_or_group):
            plain_text = (
                override in choices or key.endswith("._target_") or _is_plain(key, text, default, foreign.folder)
            )
            if not plain_text:
                foreign.refuse(override.input_line, "where a run may give a plain name, or a path of its own, alone")
    config = plain(compose([*start, *foreign.words, *last]))
    _require_vocabulary(config, search, own, foreign)
    return config


# Words


def _parsed(word: str, foreign: Foreign) -> Override:
    """Parse a word; refuse all but a plain key with one plain value, or with names of options."""
    if MASK in word:
        foreign.refuse(word, "where a secret was masked")
    try:
        override = OverridesParser.create().parse_override(readable(word))
    except HydraException:
        foreign.refuse(word, "which is no override")
    if not KEY.fullmatch(override.key_or_group) or override.package is not None or override.is_sweep_override():
        foreign.refuse(word, "which is more than one value of one key of a run")
    if "${" in word:
        foreign.refuse(word, "an interpolation, which may read what is not the run's")
    return override


def _is_choice(override: Override, folders: Sequence[Path]) -> bool:
    """Whether a word chooses options of a group, by their names."""
    group = override.key_or_group
    value: Any = override.value()
    options = value if isinstance(value, list) else [value]
    plain_options = all(option is None or OPTION.fullmatch(str(option)) for option in options)
    return "." not in group and plain_options and any((folder / group).is_dir() for folder in folders)


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Texts of a value, each with its key."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _texts(item, f"{key}.{name}")
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item, key)
    elif isinstance(value, str):
        yield key, value


def _is_plain(key: str, text: str, default: DictConfig, folder: Path) -> bool:
    """Whether a run may have a text at a key: a plain name, or a path where its own files or the user's lie."""
    if key.startswith(SHOWN):
        return text.isprintable()
    if key.startswith(READ):
        return "://" not in text and _lies_within(text, [folder, Path(default.paths.data_dir), Path()])
    known: Any = OmegaConf.to_container(default, resolve=False)
    for name in key.split("."):
        known = known.get(name, ...) if isinstance(known, dict) else ...
    if "${paths." in str(known) or key.startswith("paths."):
        return _lies_within(text, [folder, Path(str(OmegaConf.select(default, key)))])
    return known is not ... and not key.startswith(LOGGER) and NAME.fullmatch(text) is not None


def _lies_within(text: str, folders: Sequence[Path]) -> bool:
    path = Path(text).resolve()
    return any(path.is_relative_to(folder.resolve()) for folder in folders)


# Objects


def _require_vocabulary(config: Config, folders: Sequence[Path], own: Sequence[str], foreign: Foreign) -> None:
    """Refuse what would be built of a class that neither configuration files nor the user name at that place."""
    known = set(_known_targets(folders))
    for word in own:
        override = OverridesParser.create().parse_override(readable(word))
        value = None if override.is_delete() or override.is_sweep_override() else override.value()
        key, _, last = override.key_or_group.rpartition(".")
        known |= {(_role(key), str(value))} if last == "_target_" else set(_targets(value, override.key_or_group))
    for role, target in _targets(config, ""):
        if (role, target) not in known:
            foreign.refuse(
                f"{role}: {target}",
                "which none of the configuration files has at that place (--config-dir leads to own ones)",
            )


def _known_targets(folders: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """What configuration files build, each with its role."""
    for folder in folders:
        for path in folder.rglob("*.yaml"):
            text = path.read_text(encoding="utf-8")
            if "_target_" in text:
                package = PACKAGE.search(text)
                group = ".".join(path.relative_to(folder).parent.parts)
                place = package[1].removeprefix("_global_").lstrip(".") if package else group
                yield from _targets(yaml.safe_load(text), place)


def _targets(node: Any, place: str) -> Iterator[tuple[str, str]]:
    """Classes and functions that a node names, each with its role; special keys of Hydra count as such."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield _role(place), str(node["_target_"])
        for name, item in node.items():
            if name in SPECIAL:
                yield _role(place), str(name)
            yield from _targets(item, f"{place}.{name}".lstrip("."))
    elif isinstance(node, list | tuple):
        for item in node:
            yield from _targets(item, place)


def _role(place: str) -> str:
    """Place of a part, whatever its name among its like; parts of a loss are losses."""
    place = re.sub(r"^(metrics|callbacks)\.[^.]+", r"\1.*", place)
    return re.sub(r"^loss\.parts\.[^.]+$", "loss", place)
