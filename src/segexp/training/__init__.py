"""Training: the LightningModule, schedules, callbacks, fast paths, checkpoints."""

from segexp.training.checkpoint import load_network
from segexp.training.task import Task

__all__ = ["Task", "load_network"]
