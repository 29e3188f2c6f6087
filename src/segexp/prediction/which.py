"""Which trained networks a path stands for: run folders, checkpoints, exported files, all runs of a sweep.

What is not there is told here, before PyTorch is loaded.
"""

import glob
import logging
from collections.abc import Iterable
from pathlib import Path

from segexp.checkpoints.archive import require_there
from segexp.data.sources.pairs import natural_order
from segexp.errors import some
from segexp.runs.folder import RunFolder

_log = logging.getLogger(__name__)


def run_paths(run: str) -> list[Path]:
    """Paths of runs that are meant, see ``open_models``."""
    return [path for given in paths_of(run) for path in _runs_in(given)]


def _runs_in(path: Path) -> list[Path]:
    """Runs below a folder that is none itself, in the order of their names; else the path."""
    if not _holds_runs(path):
        return [path]
    records = {folder: folder.record() for folder in RunFolder.below(path)}
    runs = [folder for folder, record in records.items() if "evaluation" not in record]
    runs.sort(key=lambda folder: natural_order(str(folder.path)))
    done = [run.path for run in runs if run.best_checkpoint.is_file() and records[run].get("status") == "done"]
    if not done:
        raise ValueError(f"{path} holds {len(runs)} runs, and none has ended well: name a run")
    if others := [run.path.name for run in runs if run.path not in done]:
        _log.warning(
            f"{len(others)} of the {len(runs)} runs in {path} have not ended well and are left out: {some(others, 5)}"
        )
    return done


def paths_of(run: str) -> list[Path]:
    """Split several paths with commas; one that is there may have commas in its name."""
    return [Path(run)] if Path(run).exists() else [Path(path.strip()) for path in run.split(",") if path.strip()]


def _holds_runs(path: Path) -> bool:
    """Whether a path is that of a folder that is no run, and has runs below it."""
    return path.is_dir() and not RunFolder(path).record_path.is_file() and any(RunFolder.below(path))


def require_networks(paths: Iterable[Path]) -> None:
    """Refuse paths at which there is no trained network; what a file, or a folder of runs, holds is looked at later.

    Raises:
        FileNotFoundError: Names the file and the remedy.
    """
    for path in paths:
        if not _holds_runs(path):
            require_there(RunFolder(path, foreign=True).best_checkpoint if path.is_dir() else path)


def require_input(where: str) -> None:
    """Refuse a path of images that leads nowhere; a pattern may.

    Raises:
        FileNotFoundError: Names the path.
    """
    if not glob.has_magic(where) and not Path(where).exists():
        raise FileNotFoundError(f"input={where}: there is no such file or folder")
