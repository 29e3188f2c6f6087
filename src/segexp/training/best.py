"""The checkpoints of a run, told from those of others, and the best one, told from what stands under its name."""

from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn

from segexp.checkpoints.checkpoint import load_checkpoint, load_weights
from segexp.checkpoints.own import require_own
from segexp.errors import short_path
from segexp.runs.folder import RunFolder


def load_best(trainer: pl.Trainer, network: nn.Module, folder: RunFolder) -> int:
    """Load the weights of the best epoch into the network, and return its number.

    Raises:
        FileNotFoundError: There is none.
        ValueError: No epoch has ended, or the file is not the one that was saved as the best; names both scores.
    """
    path = folder.best_checkpoint
    if not path.is_file() and trainer.current_epoch == 0:
        raise ValueError(
            "the training was asked to stop before the first epoch ended: there is nothing to score yet; go on with "
            f"resume={short_path(folder.path)}"
        )
    best = load_checkpoint(path)
    require_own(best, path, folder.record().get("id", ""))
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, ModelCheckpoint) and Path(callback.best_model_path) == path:
            stored = (best.get("callbacks") or {}).get(callback.state_key, {}).get("best_model_score")
            if stored != callback.best_model_score:
                raise ValueError(
                    f"{path} holds epoch {best['epoch']} with {callback.monitor}={_number(stored)}, but the best epoch "
                    f"had {_number(callback.best_model_score)}: the file was replaced; put it back, then resume"
                )
    load_weights(network, best)
    return best["epoch"]


def _number(score: Tensor | None) -> str:
    return "none" if score is None else f"{float(score):.6g}"
