"""What a trained network is on disk: archive, description, checkpoint, package, export; needs no Lightning."""

from segexp.checkpoints.checkpoint import Model, open_model

__all__ = ["Model", "open_model"]
