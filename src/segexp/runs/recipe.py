"""What a run was made of beside the data: settings, and the user's own modules that its classes come from."""

import ast
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import segexp
from segexp.importable import own_folders, targets_in
from segexp.runs.configuration import Config
from segexp.runs.record import Changes, Record
from segexp.runs.runs import Settings, flat_settings
from segexp.runs.secrets import masked


def differing(recorded: Record, config: Config) -> Changes:
    """Compare the settings of a run with a resolved configuration.

    A setting that an older version did not have yet takes its default.

    Args:
        recorded: Content of its run.json.
        config: Resolved configuration.

    Returns:
        The recorded and the present value by key, of all that differ.
    """
    one: Settings = flat_settings(recorded["config"]) if "config" in recorded else {}
    two = flat_settings(json.loads(json.dumps(masked(config))))
    older = recorded.get("segexp_version") != segexp.__version__
    keys = dict.fromkeys([*one, *(key for key in two if key in one or not older)])
    return {key: (one.get(key), two.get(key)) for key in keys if one.get(key) != two.get(key)}


def own_sources(config: Config, config_dirs: Iterable[Path | str]) -> dict[str, str]:
    """Digest the modules of the user's own, if a class of the configuration comes from one of them.

    Args:
        config: Resolved configuration whose classes have been imported.
        config_dirs: Folders of configuration beside segexp's.

    Returns:
        Digest by name of each imported module that lies in the working directory, or in or beside such a folder.
    """
    folders = own_folders(config_dirs)
    names = [name for name, module in sys.modules.items() if _is_own(name, getattr(module, "__file__", None), folders)]
    used = {target.partition(".")[0] for target in targets_in(config)}
    if not used.intersection(name.partition(".")[0] for name in names):
        return {}
    return present_sources(names, config_dirs)


def present_sources(names: Iterable[str], config_dirs: Iterable[Path | str]) -> dict[str, str]:
    """Digest modules as they are on the disk now, by their names; one that is gone is left out. None is imported."""
    folders = own_folders(config_dirs)
    files = {name: [file for file in _candidates(name, folders) if file.is_file()] for name in sorted(names)}
    return {name: _digest(found[0]) for name, found in files.items() if found}


def _is_own(name: str, file: str | None, folders: Sequence[Path]) -> bool:
    if not file or name.partition(".")[0] == "segexp":
        return False
    inside = os.path.normpath(file).startswith(tuple(map(os.path.normpath, folders)))  # thousands of modules do not
    return inside and Path(file) in _candidates(name, folders)


def _candidates(name: str, folders: Sequence[Path]) -> list[Path]:
    """Files in which a module may lie."""
    inner = name.replace(".", "/")
    return [folder / file for folder in folders for file in (f"{inner}.py", f"{inner}/__init__.py")]


def _digest(file: Path) -> str:
    """Digest of what a module says to Python: comments and layout do not count."""
    content = file.read_bytes()
    with suppress(SyntaxError, ValueError):  # whoever imports it will say so
        content = ast.dump(ast.parse(content)).encode()
    return hashlib.sha256(content).hexdigest()
