"""Training: the LightningModule, schedules, callbacks, fast paths."""

from segexp.training.task import Task

__all__ = ["Task"]
