"""Writing the checkpoints of a run, so that a kill or a full disk at any moment leaves a good one."""

from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import CheckpointIO

from segexp.runs.folder import RunFolder
from segexp.writing import link, move, part_beside, remove, replacing


class CheckpointFiles(CheckpointIO):
    """Reads and writes checkpoints beside their place, with the one before last.ckpt kept as previous.ckpt."""

    def __init__(self) -> None:
        self._made: set[Path] = set()  # folders; one that is gone later is not made again

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            WriteError: It cannot be written; the one that was there is untouched.
        """
        del storage_options
        path = Path(path)
        if path.parent not in self._made:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(path.parent)
        with replacing(path) as part:
            _save(checkpoint, part)
            folder = RunFolder(path.parent.parent)
            if path == folder.last_checkpoint and path.is_file():
                _keep(path, folder.previous_checkpoint)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint of tensors and plain values."""
        return torch.load(path, map_location=map_location or "cpu", weights_only=weights_only is not False)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint, if it is there."""
        remove(Path(path))


def _save(checkpoint: dict[str, Any], part: Path) -> None:
    """Save with PyTorch, which hides the error of a full disk behind one of its own."""
    try:
        with part.open("wb") as file:
            torch.save(checkpoint, file)
    except RuntimeError as error:
        raise error.__context__ if isinstance(error.__context__, OSError) else error from None


def _keep(path: Path, previous: Path) -> None:
    """Keep a file under a second name, so that at no moment it is missing under both."""
    second = part_beside(previous)
    try:
        link(path, second)
    except OSError:  # a file system without hard links
        move(path, previous)
    else:
        move(second, previous)
