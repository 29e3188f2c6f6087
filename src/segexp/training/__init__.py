"""Training: the LightningModule, schedules, callbacks, fast paths, checkpoints."""

from segexp.training.checkpoint import open_model
from segexp.training.task import Task

__all__ = ["Task", "open_model"]
