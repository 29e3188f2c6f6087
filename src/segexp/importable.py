"""Where modules of the user's own are found: the working directory, folders of configuration, and beside these."""

import importlib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from segexp.errors import did_you_mean


def make_importable(config_dirs: Iterable[Path | str] = ()) -> None:
    """Let Python find modules in the working directory, in folders of configuration and in the folders that hold those.

    They come after all that is installed, so that a file of somebody else's in the working directory, such as numpy.py,
    takes no package's place.
    """
    for folder in map(str, own_folders(config_dirs)):
        if folder not in sys.path:
            sys.path.append(folder)


def own_folders(config_dirs: Iterable[Path | str] = ()) -> list[Path]:
    """The working directory, folders of configuration and the folders that hold those: where own modules lie."""
    folders = [Path.cwd()]
    for config_dir in config_dirs:
        own = Path(config_dir).absolute()
        folders += [own.parent, own]
    return folders


def config_dirs_among(sources: Iterable[Any]) -> list[str]:
    """Folders of configuration that are the user's own, among the sources that Hydra names; absolute."""
    return [source.path for source in sources if source.schema == "file" and source.provider not in ("hydra", "main")]


def targets_in(node: Any) -> list[str]:
    """Names of what nested nodes would call."""
    if isinstance(node, Mapping):
        own = [str(node["_target_"])] if "_target_" in node else []
        return own + [name for value in node.values() for name in targets_in(value)]
    return [name for value in node for name in targets_in(value)] if isinstance(node, list | tuple) else []


def found(name: str) -> Any:
    """Import a class or function by its dotted path.

    Raises:
        ImportError: There is none; says where it was looked for.
    """
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:count])
        try:
            place: Any = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name and module.startswith(error.name):
                continue  # a class that holds the last parts
            raise ImportError(f"{name} cannot be imported: {error}; install what it needs") from error
        for part in parts[count:]:
            if not hasattr(place, part):
                file = getattr(place, "__file__", module)
                raise ImportError(f"{name} is not there: {file} has no {part!r}{did_you_mean(part, dir(place))}")
            place = getattr(place, part)
        return place
    raise ImportError(
        f"{name} cannot be imported: there is no module {parts[0]!r} among the installed ones, in the working "
        f"directory {Path.cwd()}, or in or beside a folder that --config-dir names"
    )
