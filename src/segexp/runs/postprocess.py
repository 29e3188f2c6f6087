"""The post-processing that a run keeps: steps that were chosen for its best epoch of then."""

import logging
from collections.abc import Mapping
from typing import Any

from segexp.errors import short_path
from segexp.runs.files import write_json
from segexp.runs.folder import RunFolder

EPOCH = "epoch"  # key of the number of the epoch that the steps were chosen for; steps written by hand may lack it

_log = logging.getLogger(__name__)


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
