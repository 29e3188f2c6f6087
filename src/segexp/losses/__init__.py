"""Losses: logits (B, C, *S), a target and an optional weight (B, *S) in, one number out.

Each says in ``target_kinds`` which targets it is for: "classes", (B, *S) int64; "regions" that may overlap, (B, R, *S)
of 0 and 1; or both, distinguished by the target's number of axes. 255 means unknown in either.
"""

from segexp.losses.boundary import Boundary, signed_distance
from segexp.losses.class_weights import ClassWeights, balanced_weights
from segexp.losses.compound import Compound
from segexp.losses.focal import Focal
from segexp.losses.generalized_dice import GeneralizedDice
from segexp.losses.lovasz import Lovasz, lovasz_jaccard
from segexp.losses.multilabel import BinaryCrossEntropy
from segexp.losses.overlap import Dice, Tversky, soft_dice, soft_tversky
from segexp.losses.pixel import CrossEntropy, WeightedCrossEntropy2015
from segexp.losses.supervision import DeepSupervision
from segexp.losses.topology import ClDice, soft_skeleton

__all__ = [
    "BinaryCrossEntropy",
    "Boundary",
    "ClDice",
    "ClassWeights",
    "Compound",
    "CrossEntropy",
    "DeepSupervision",
    "Dice",
    "Focal",
    "GeneralizedDice",
    "Lovasz",
    "Tversky",
    "WeightedCrossEntropy2015",
    "balanced_weights",
    "lovasz_jaccard",
    "signed_distance",
    "soft_dice",
    "soft_skeleton",
    "soft_tversky",
]
