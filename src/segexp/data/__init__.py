"""Data: cases from a source, split, cut into augmented patches for training, whole for scoring."""

from segexp.data.appearance import Anisotropy, Motion, Noise, TorchIO
from segexp.data.augment import Augment, GridElastic, QuarterTurns
from segexp.data.case import Case, Entry
from segexp.data.datamodule import DataModule
from segexp.data.weight_maps import BorderWeightMap

__all__ = [
    "Anisotropy",
    "Augment",
    "BorderWeightMap",
    "Case",
    "DataModule",
    "Entry",
    "GridElastic",
    "Motion",
    "Noise",
    "QuarterTurns",
    "TorchIO",
]
