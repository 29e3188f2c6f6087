"""The one place where logits and target become soft and true regions, be they classes or overlapping regions."""

from typing import NamedTuple

import torch
from torch import Tensor

from segexp.losses.checks import CLASS_DIM, at_least_float32, require_class_shapes, require_region_shapes


class SoftRegions(NamedTuple):
    """What overlaps, distances and skeletons are computed from; K classes or regions.

    Attributes:
        probs: (B, K, *S) in [0, 1], float32 or float64.
        truth: (B, K, *S), 1 inside and 0 elsewhere, also where nothing is known.
        counted: (B, 1 or K, *S) bool, false where the target says to ignore.
        factors: (B, 1 or K, *S), 0 where ignored, else the weight of the pixel, or 1.
    """

    probs: Tensor
    truth: Tensor
    counted: Tensor
    factors: Tensor


def soft_regions(
    logits: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, include_background: bool
) -> SoftRegions:
    """Turn logits and target into soft and true regions; the target's number of axes tells which kind it is.

    Args:
        logits: (B, K, *S); half precision is computed in float32.
        target: (B, *S) int64 class indices: softmax; or (B, K, *S) of overlapping regions, 0 or 1: sigmoid.
        weight: (B, *S) factor of each pixel, or None.
        ignore_index: Target of pixels that do not count; of regions, they do not count for that region.
        include_background: Whether class 0 is kept. Regions have no background: there it does not apply.

    Raises:
        ValueError: The shapes do not fit, or no class is left.
    """
    logits = at_least_float32(logits)
    if target.ndim == logits.ndim:
        require_region_shapes(logits, target, weight)
        probs = logits.sigmoid()
        truth = (target == 1).to(logits.dtype)
        counted = target != ignore_index
    else:
        require_class_shapes(logits, target, weight)
        probs, truth, counted = _classes(logits, target, ignore_index, include_background)
    factors = counted.to(probs.dtype)
    if weight is not None:
        factors = factors * weight.to(probs.dtype).unsqueeze(CLASS_DIM)
    return SoftRegions(probs, truth, counted, factors)


def _classes(
    logits: Tensor, target: Tensor, ignore_index: int, include_background: bool
) -> tuple[Tensor, Tensor, Tensor]:
    if logits.shape[CLASS_DIM] == 1 and not include_background:
        raise ValueError(
            "include_background=False leaves nothing of logits with 1 class: use 2 classes or include_background=True"
        )
    probs = logits.softmax(CLASS_DIM)
    counted = (target != ignore_index).unsqueeze(CLASS_DIM)
    onehot = torch.zeros_like(probs).scatter_(CLASS_DIM, target.unsqueeze(CLASS_DIM).where(counted, 0), 1)
    first = 0 if include_background else 1
    return probs[:, first:], (onehot * counted)[:, first:], counted
