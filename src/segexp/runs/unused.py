"""Folders in which a run may start: new ones, or such that hold nothing which it would overwrite."""

import itertools
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from segexp.errors import short_path
from segexp.runs.folder import RunFolder

# What lies in the folder of a run before run.json, the first file that tells which run it is.
BEFORE_A_RUN = r"\.lock|\.reserve|\.part-.*|\.nfs.*|checksums\.json|log(-rank\d+)?\.txt"


def unused_folder(path: str) -> str:
    """Make a folder; where there is one already, as of a run that started in the same second, with a number behind."""
    for number in itertools.count(1):
        folder = path if number == 1 else f"{path}-{number}"
        with suppress(FileExistsError):
            Path(folder).mkdir(parents=True)
            return folder
    raise AssertionError


def held(folder: Path) -> list[str]:
    """Names of what a folder holds, but for what lies there before a run starts; sorted."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return [name for name in names if not re.fullmatch(BEFORE_A_RUN, name)]


def require_unused(folder: RunFolder, overrides: Sequence[str]) -> None:
    """Refuse to start a run where something is that it would overwrite; clear what a start without end has left.

    Args:
        folder: Folder of the run, already claimed.
        overrides: Overrides of the run.

    Raises:
        FileExistsError: Names what is there, and the remedy.
    """
    found = held(folder.path)
    if not found:
        return
    record = folder.record()
    same = bool(record) and record["status"] != "done" and record.get("overrides") == list(overrides)
    if same and not folder.is_resumable:
        folder.clear_curves()
        return
    place = short_path(folder.path)
    further = "remove what is there, if nobody needs it"
    if folder.is_resumable:
        further = f"go on with that run by resume={place}"
    raise FileExistsError(
        f"{place} is not empty ({', '.join(found[:3])}{', …' if len(found) > 3 else ''}): a run starts in a folder of "
        f"its own; name another with hydra.run.dir=<folder>, or {further}"
    )
