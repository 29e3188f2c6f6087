"""Losses that are means over pixels: cross-entropy, focal loss, and the weighted cross-entropy of the U-Net paper."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segexp.errors import require_at_least, require_between
from segexp.losses.checks import at_least_float32, class_target, require_ignore_index, require_shapes
from segexp.losses.class_weights import ClassWeights


class CrossEntropy(nn.Module):
    """Softmax cross-entropy, as ``torch.nn.CrossEntropyLoss`` but 0 instead of nan where no pixel counts.

    A mask in which only some classes occur, or only background, is nothing special here: each pixel is compared with
    its own class. If every pixel is ignored, or of a class of weight 0, the loss and its gradient are 0.

    Args:
        class_weights: Factors, one per class, at least 0; the mean over pixels is divided by the sum of the factors of
            their classes, as torch does. "auto" = ``balanced_weights`` of the training cases. None = all alike.
        label_smoothing: Fraction in [0, 1] of the truth that is spread evenly over all classes.
        ignore_index: Target of pixels that do not count.

    Raises:
        ValueError: A value is outside its range.
    """

    target_kinds = ("classes",)

    def __init__(
        self, class_weights: Sequence[float] | str | None = None, label_smoothing: float = 0.0, ignore_index: int = 255
    ) -> None:
        super().__init__()
        require_between("label_smoothing", label_smoothing, 0, 1, "it is a fraction of the truth")
        require_ignore_index(ignore_index)
        self.class_weights = ClassWeights("class_weights", class_weights)
        self.label_smoothing = label_smoothing
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the mean over the counted pixels.

        Args:
            logits: (B, C, *S); half precision is computed in float32.
            target: (B, *S) int64 class indices.
            weight: (B, *S) factor of each pixel's loss; it does not enter what the sum is divided by.

        Returns:
            Scalar.

        Raises:
            ValueError: Shapes, dtypes or values do not fit, or the class weights are not one per class or not yet
                fitted.
        """
        require_shapes(logits, target, weight)
        logits = at_least_float32(logits)
        target = class_target(logits, target, self.ignore_index)
        factors = self.class_weights(logits)
        losses = F.cross_entropy(
            logits,
            target,
            factors,
            ignore_index=self.ignore_index,
            reduction="none",
            label_smoothing=self.label_smoothing,
        )
        counted = target != self.ignore_index
        contributions = counted if factors is None else factors[target.where(counted, 0)] * counted
        return mean_over(losses, weight, contributions)


class Focal(nn.Module):
    """Focal loss: cross-entropy times (1 - p)^gamma, p the probability of the true class; easy pixels count less.

    An empty mask is nothing special: its pixels are all background and become easy. If every pixel is ignored, the
    loss and its gradient are 0.

    Args:
        gamma: Focusing exponent, at least 0; 0 gives cross-entropy.
        class_weights: Factors, one per class (alpha of the paper), at least 0; the mean is not divided by their sum.
            "auto" = ``balanced_weights`` of the training cases. None = all alike.
        ignore_index: Target of pixels that do not count.

    Raises:
        ValueError: A value is outside its range.

    Source: Lin et al. 2017 (Focal Loss for Dense Object Detection), equation 5, for softmax, mean over pixels.
    """

    target_kinds = ("classes",)

    def __init__(
        self, gamma: float = 2.0, class_weights: Sequence[float] | str | None = None, ignore_index: int = 255
    ) -> None:
        super().__init__()
        require_at_least("gamma", gamma, 0)
        require_ignore_index(ignore_index)
        self.class_weights = ClassWeights("class_weights", class_weights)
        self.gamma = gamma
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the mean over the counted pixels; arguments and errors as ``CrossEntropy.forward``."""
        require_shapes(logits, target, weight)
        logits = at_least_float32(logits)
        target = class_target(logits, target, self.ignore_index)
        counted = target != self.ignore_index
        entropies = F.cross_entropy(logits, target, ignore_index=self.ignore_index, reduction="none")
        # 1 - p stays above 0, for the slope of (1 - p)^gamma at 0 is infinite where gamma < 1.
        miss = (-torch.expm1(-entropies)).clamp_min(torch.finfo(logits.dtype).tiny)
        losses = miss**self.gamma * entropies
        factors = self.class_weights(logits)
        if factors is not None:
            losses = losses * factors[target.where(counted, 0)]
        return mean_over(losses, weight, counted)


class WeightedCrossEntropy2015(CrossEntropy):
    """Cross-entropy times a map of weights: class balance and borders between cells, computed from the mask.

    An empty mask is nothing special: its map is 1 everywhere. If every pixel is ignored, the loss and its gradient
    are 0.

    Args:
        ignore_index: Target of pixels that do not count.

    Raises:
        ValueError: ``ignore_index`` is not an integer of at least -100.

    Source: Ronneberger et al. 2015 (U-Net), equation 1, as a mean over the counted pixels.
    """

    def __init__(self, ignore_index: int = 255) -> None:
        super().__init__(ignore_index=ignore_index)

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the mean of ``weight``, which is needed, times cross-entropy; else as ``CrossEntropy.forward``."""
        if weight is None:
            raise ValueError(
                "weight=None but WeightedCrossEntropy2015 needs a weight map (B, *S): "
                "choose loss=weighted_ce_2015, which also makes the data carry the map"
            )
        return super().forward(logits, target, weight)


def mean_over(losses: Tensor, weight: Tensor | None, contributions: Tensor) -> Tensor:
    """Divide the sum of the weighted losses by that of ``contributions``; 0, without gradient, where none counts."""
    weighted = losses if weight is None else losses * weight.to(losses.dtype)
    total = contributions.sum(dtype=losses.dtype)
    return weighted.sum() / total.where(total > 0, 1)
