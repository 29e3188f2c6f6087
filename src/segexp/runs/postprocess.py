"""Post-processing that a run keeps, or a sweep for several runs together: chosen for the best epochs of then."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from segexp.errors import short_path
from segexp.runs.files import read_json, write_json
from segexp.runs.folder import RunFolder, SweepFolder

EPOCH = "epoch"  # key of the number of the epoch that the steps were chosen for; steps written by hand may lack it

_log = logging.getLogger(__name__)


class Together(TypedDict):
    """What was chosen for runs together: ``runs`` are their best epochs by the random name of each run.

    ``steps`` are settings of post-processing by step, ``chosen`` other values, such as a threshold.
    """

    runs: dict[str, int]
    steps: dict[str, Any]
    chosen: dict[str, float]


def kept_steps(run: RunFolder, epoch: int | None) -> dict[str, Any]:
    """Read the steps that a run keeps; such as were chosen for another epoch count no more, and a warning says so.

    Args:
        run: Folder of the run.
        epoch: Number of its best epoch, as its checkpoint says.

    Returns:
        Settings by step; empty where none count.

    Raises:
        ValueError: The file is no mapping of steps.
    """
    path, steps = run.postprocess_path, run.postprocess()
    chosen_for = steps.pop(EPOCH, epoch)
    if chosen_for == epoch:
        return steps
    if not isinstance(chosen_for, int):
        raise ValueError(f"{path}: {EPOCH} must be the number of the epoch that the steps were chosen for")
    _log.warning(
        f"{short_path(path)} was chosen for epoch {chosen_for}, but the best epoch is now {epoch}: it is not applied; "
        f"choose anew with segexp evaluate run={short_path(run.path)} tune=true"
    )
    return {}


def keep_steps(run: RunFolder, steps: Mapping[str, Any], epoch: int) -> None:
    """Keep steps that were chosen for the best epoch, of that number."""
    write_json(run.postprocess_path, {EPOCH: epoch, **steps})


def choice_together(runs: Sequence[RunFolder], epochs: Sequence[int | None]) -> Together | None:
    """Find what the sweep that several runs lie in keeps for just these runs together.

    Args:
        runs: Folders of the runs.
        epochs: Number of the best epoch of each, as its checkpoint says.

    Returns:
        None where it keeps nothing for them; where it keeps something for others, a warning says so.

    Raises:
        ValueError: The file holds no such choices.
    """
    folders = {run.path.absolute().parent for run in runs}
    path = SweepFolder(min(folders)).choices_path
    if len(runs) < 2 or len(folders) > 1 or not path.is_file():
        return None
    kept = _read_choices(path)
    wanted = {run.record().get("id", ""): epoch for run, epoch in zip(runs, epochs, strict=True)}
    found = next((one for one in kept if one["runs"] == wanted), None)
    if found is None:
        _log.warning(
            f"{short_path(path)} holds what was chosen for other runs of this folder, or other epochs: it is not "
            "applied; choose anew with segexp evaluate tune=true of these runs"
        )
    return found


def keep_together(folder: SweepFolder, choice: Together) -> None:
    """Keep what was chosen for runs together; an earlier choice for the same runs makes way."""
    path = folder.choices_path
    kept = _read_choices(path) if path.is_file() else []
    others = [one for one in kept if one["runs"].keys() != choice["runs"].keys()]
    write_json(path, [choice, *others])


def _read_choices(path: Path) -> list[Together]:
    content = read_json(path, path.parent)
    kinds = {"runs": int, "steps": dict, "chosen": float | int}
    for one in content if isinstance(content, list) else [None]:
        for key, kind in kinds.items():
            values = one.get(key) if isinstance(one, dict) else None
            if not isinstance(values, dict) or not all(isinstance(value, kind) for value in values.values()):
                raise ValueError(f"{path} must be a list of choices, each with runs, steps and chosen; remove the file")
    choices: list[Together] = content
    return choices
