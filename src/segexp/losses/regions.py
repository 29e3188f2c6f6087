"""Losses of regions, be they classes or overlapping: logits and target become soft and true regions in one place."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from segexp.losses.checks import (
    CLASS_DIM,
    at_least_float32,
    class_target,
    region_target,
    require_ignore_index,
    require_shapes,
)
from segexp.losses.class_weights import ClassWeights


class SoftRegions(NamedTuple):
    """What overlaps, distances and skeletons are computed from; K classes or regions.

    Attributes:
        probs: (B, K, *S) in [0, 1], float32 or float64.
        truth: (B, K, *S), 1 inside and 0 elsewhere, also where nothing is known; of regions maybe between them.
        counted: (B, 1 or K, *S) bool, false where the target says to ignore.
        factors: (B, 1 or K, *S), 0 where ignored, else the weight of the pixel, or 1.
        class_factors: (K,), the weights of the classes or regions; None = all alike.
    """

    probs: Tensor
    truth: Tensor
    counted: Tensor
    factors: Tensor
    class_factors: Tensor | None


class RegionLoss(nn.Module, ABC):
    """What losses of overlap, distance and connectedness share.

    Args:
        include_background: Whether class 0 counts too; of regions it has no meaning.
        ignore_index: Target of pixels that do not count.
        class_weights: Factors, one per class, background first, or region, at least 0; "auto" = ``balanced_weights`` of
            the training cases. None = all alike.

    Raises:
        ValueError: ``ignore_index`` is not an integer of at least -100, or a class weight is out of range.
    """

    target_kinds = ("classes", "regions")

    def __init__(
        self,
        include_background: bool = False,
        ignore_index: int = 255,
        class_weights: Sequence[float] | str | None = None,
    ) -> None:
        super().__init__()
        require_ignore_index(ignore_index)
        self.class_weights = ClassWeights("class_weights", class_weights)
        self.include_background = include_background
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the loss, a scalar unless ``reduction`` is "none".

        Args:
            logits: (B, C, *S); half precision is computed in float32.
            target: (B, *S) int64 class indices (softmax), or (B, C, *S) of overlapping regions, 0 to 1
                (sigmoid).
            weight: (B, *S) factor of each pixel; None = all alike.

        Raises:
            ValueError: Shapes, dtypes or values do not fit, there is only background to count and it is left out, or
                there is not one weight per class or region.
        """
        regions = getattr(target, "ndim", 0) == getattr(logits, "ndim", -1)
        require_shapes(logits, target, weight, regions)
        logits = at_least_float32(logits)
        if regions:
            probs = logits.sigmoid()
            truth, counted = region_target(logits, target, self.ignore_index)
        else:
            probs, truth, counted = self._of_classes(logits, class_target(logits, target, self.ignore_index))
        factors = counted.to(probs.dtype)
        if weight is not None:
            factors = factors * weight.to(probs.dtype).unsqueeze(CLASS_DIM)
        class_factors = self.class_weights(logits)
        if class_factors is not None:
            class_factors = class_factors[-probs.shape[CLASS_DIM] :]  # without that of a background left out
        return self.of(SoftRegions(probs, truth, counted, factors, class_factors))

    @abstractmethod
    def of(self, regions: SoftRegions) -> Tensor:
        """Return the loss of soft regions against the true ones."""

    def _of_classes(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if logits.shape[CLASS_DIM] == 1 and not self.include_background:
            raise ValueError(
                "include_background=False leaves nothing of logits with 1 class: use 2 classes or "
                "include_background=True"
            )
        probs = logits.softmax(CLASS_DIM)
        counted = (target != self.ignore_index).unsqueeze(CLASS_DIM)
        onehot = torch.zeros_like(probs).scatter_(CLASS_DIM, target.unsqueeze(CLASS_DIM).where(counted, 0), 1)
        first = 0 if self.include_background else 1
        return probs[:, first:], (onehot * counted)[:, first:], counted
