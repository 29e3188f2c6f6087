"""Focal loss: cross-entropy in which easy pixels count less."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segexp.errors import require_at_least, require_between, require_choice
from segexp.losses.checks import (
    CLASS_DIM,
    at_least_float32,
    class_target,
    region_target,
    require_ignore_index,
    require_shapes,
)
from segexp.losses.class_weights import ClassWeights
from segexp.losses.reduction import REDUCTIONS, reduce_pixels


class Focal(nn.Module):
    """Focal loss: cross-entropy times (1 - p)^gamma, p the probability of the truth; easy pixels count less.

    Of classes it is a softmax and p the probability of the true class; of regions each is an independent binary output
    (sigmoid) and p the probability of being inside where the truth is inside, else of being outside. An empty mask is
    nothing special: its pixels are all background and become easy. If every pixel is ignored, the loss and its gradient
    are 0.

    Args:
        gamma: Focusing exponent, at least 0; 0 gives cross-entropy.
        class_weights: Factors, one per class, background first, or region, at least 0; the mean is not divided by their
            sum. [0, 1, 1] leaves out the pixels of the background. "auto" = ``balanced_weights`` of the training cases.
            None = all alike.
        ignore_index: Target of pixels that do not count.
        alpha: Factor in [0, 1] of the pixels of foreground classes, or inside a region; the others have 1 - alpha.
            None = all alike.
        reduction: "mean"; "sum" over the pixels (of all regions); "none", the loss of each, (B, *S) or (B, R, *S).

    Raises:
        ValueError: A value is outside its range.

    Source: Lin et al. 2017 (Focal Loss for Dense Object Detection), equation 5, for softmax and sigmoid, mean over
    pixels.
    """

    target_kinds = ("classes", "regions")

    def __init__(
        self,
        gamma: float = 2.0,
        class_weights: Sequence[float] | str | None = None,
        ignore_index: int = 255,
        alpha: float | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        require_at_least("gamma", gamma, 0)
        require_ignore_index(ignore_index)
        require_choice("reduction", reduction, REDUCTIONS)
        if alpha is not None:
            require_between("alpha", alpha, 0, 1, "the background has 1 - alpha")
        self.class_weights = ClassWeights("class_weights", class_weights)
        self.gamma = gamma
        self.ignore_index = ignore_index
        self.alpha = alpha
        self.reduction = reduction

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the mean over the counted pixels, of all regions, or what else ``reduction`` says.

        The target is (B, *S) of classes or (B, R, *S) of regions; other arguments and errors as ``CrossEntropy``.
        """
        regions = getattr(target, "ndim", 0) == getattr(logits, "ndim", -1)
        require_shapes(logits, target, weight, regions)
        logits = at_least_float32(logits)
        factors = self.class_weights(logits)
        if regions:
            foreground, counted = region_target(logits, target, self.ignore_index)
            entropies = F.binary_cross_entropy_with_logits(logits, foreground, reduction="none") * counted
            factors = None if factors is None else factors.view(-1, *[1] * (logits.ndim - 2))
            weight = None if weight is None else weight.unsqueeze(CLASS_DIM)
        else:
            target = class_target(logits, target, self.ignore_index)
            counted = target != self.ignore_index
            entropies = F.cross_entropy(logits, target, ignore_index=self.ignore_index, reduction="none")
            foreground = (target != 0).to(logits.dtype)
            factors = None if factors is None else factors[target.where(counted, 0)]
        losses = self._focused(entropies)
        if factors is not None:
            losses = losses * factors
        if self.alpha is not None:
            losses = losses * (self.alpha * foreground + (1 - self.alpha) * (1 - foreground))
        return reduce_pixels(losses, weight, counted, self.reduction)

    def _focused(self, entropies: Tensor) -> Tensor:
        """Weigh cross-entropies by how far the prediction misses the truth."""
        # 1 - p stays above 0, for the slope of (1 - p)^gamma at 0 is infinite where gamma < 1.
        miss = (-torch.expm1(-entropies)).clamp_min(torch.finfo(entropies.dtype).tiny)
        return miss**self.gamma * entropies
