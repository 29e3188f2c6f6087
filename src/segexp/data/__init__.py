"""Data: cases from a source, split, cut into augmented patches for training, whole for scoring."""

from segexp.data.augment import Augment, GridElastic
from segexp.data.case import Case, Entry
from segexp.data.datamodule import DataModule
from segexp.data.weight_maps import BorderWeightMap

__all__ = ["Augment", "BorderWeightMap", "Case", "DataModule", "Entry", "GridElastic"]
