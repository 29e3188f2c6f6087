"""Losses that are means over pixels: cross-entropy, and the weighted cross-entropy of the U-Net paper."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from segexp.errors import require_between, require_choice
from segexp.losses.checks import at_least_float32, class_target, require_ignore_index, require_shapes
from segexp.losses.class_weights import ClassWeights
from segexp.losses.reduction import REDUCTIONS, reduce_pixels


class CrossEntropy(nn.Module):
    """Softmax cross-entropy, as ``torch.nn.CrossEntropyLoss`` but 0 instead of nan where no pixel counts.

    A mask in which only some classes occur, or only background, is nothing special here: each pixel is compared with
    its own class. If every pixel is ignored, or of a class of weight 0, the loss and its gradient are 0.

    Args:
        class_weights: Factors, one per class, at least 0; the mean over pixels is divided by the sum of the factors of
            their classes, as torch does. "auto" = ``balanced_weights`` of the training cases. None = all alike.
        label_smoothing: Fraction in [0, 1] of the truth that is spread evenly over all classes.
        ignore_index: Target of pixels that do not count.
        reduction: "mean"; "sum" over the pixels; "none", the loss (B, *S) of each.

    Raises:
        ValueError: A value is outside its range.
    """

    target_kinds = ("classes",)

    def __init__(
        self,
        class_weights: Sequence[float] | str | None = None,
        label_smoothing: float = 0.0,
        ignore_index: int = 255,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        require_choice("reduction", reduction, REDUCTIONS)
        require_between("label_smoothing", label_smoothing, 0, 1, "it is a fraction of the truth")
        require_ignore_index(ignore_index)
        self.class_weights = ClassWeights("class_weights", class_weights)
        self.label_smoothing = label_smoothing
        self.ignore_index = ignore_index
        self.reduction = reduction

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the mean over the counted pixels, or what else ``reduction`` says.

        Args:
            logits: (B, C, *S); half precision is computed in float32.
            target: (B, *S) int64 class indices.
            weight: (B, *S) factor of each pixel's loss; it does not enter what the sum is divided by.

        Returns:
            Scalar, or with "none" (B, *S), 0 where a pixel does not count.

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
        return reduce_pixels(losses, weight, contributions, self.reduction)


class WeightedCrossEntropy2015(CrossEntropy):
    """Cross-entropy times a map of weights: class balance and borders between cells, computed from the mask.

    An empty mask is nothing special: its map is 1 everywhere. If every pixel is ignored, the loss and its gradient
    are 0.

    Args:
        ignore_index: Target of pixels that do not count.
        reduction: As of ``CrossEntropy``.

    Raises:
        ValueError: ``ignore_index`` is not an integer of at least -100, or the reduction is unknown.

    Source: Ronneberger et al. 2015 (U-Net), equation 1, as a mean over the counted pixels.
    """

    def __init__(self, ignore_index: int = 255, reduction: str = "mean") -> None:
        super().__init__(ignore_index=ignore_index, reduction=reduction)

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the mean of ``weight``, which is needed, times cross-entropy; else as ``CrossEntropy.forward``."""
        if weight is None:
            raise ValueError(
                "weight=None but WeightedCrossEntropy2015 needs a weight map (B, *S): "
                "choose loss=weighted_ce_2015, which also makes the data carry the map"
            )
        return super().forward(logits, target, weight)
