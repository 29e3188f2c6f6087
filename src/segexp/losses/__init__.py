"""Losses: logits (B, C, *S), target (B, *S) int64 and an optional weight (B, *S) in, one number out.

Those of overlapping regions take a target (B, R, *S) and say so: their attribute ``multilabel`` is true.
"""

from segexp.losses.multilabel import BinaryCrossEntropy, DiceBinaryCrossEntropy
from segexp.losses.overlap import Dice, DiceCrossEntropy, Tversky, soft_dice, soft_tversky
from segexp.losses.pixel import CrossEntropy, Focal, WeightedCrossEntropy2015

__all__ = [
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Dice",
    "DiceBinaryCrossEntropy",
    "DiceCrossEntropy",
    "Focal",
    "Tversky",
    "WeightedCrossEntropy2015",
    "soft_dice",
    "soft_tversky",
]
