"""Warnings and advertisements of Lightning."""

import logging
import warnings

from lightning_fabric.utilities.warnings import PossibleUserWarning


def quiet() -> None:
    """Silence Lightning's advertisements, and warnings about what is intended."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated")
    warnings.filterwarnings("ignore", category=PossibleUserWarning)
    warnings.filterwarnings("ignore", message='install "ipywidgets"')  # of rich: a notebook then has no progress bar
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")  # as after a resume
    warnings.filterwarnings("ignore", message=".*could not find the monitored key")  # before the first validation
