"""Whether a checkpoint is of the run in whose folder it lies."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def require_own(checkpoint: Mapping[str, Any], path: Path, run_id: str, otherwise: str = "start a new run") -> None:
    """Refuse a checkpoint that another run has written.

    Args:
        checkpoint: Content of the checkpoint.
        path: Path to it, in the folder of the run.
        run_id: Id of the run, from its run.json; "" = not known, any checkpoint may be its own.
        otherwise: What can be done where the right file is gone, for the message.

    Raises:
        ValueError: It is another run's; names file and remedy.
    """
    if run_id and checkpoint.get("run_id", run_id) != run_id:
        raise ValueError(f"{path} was written by another run: put back the one of this run, or {otherwise}")
