"""Cross-entropy of regions that may overlap: each is an independent binary output (sigmoid)."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from segexp.errors import require_choice
from segexp.losses.checks import CLASS_DIM, at_least_float32, region_target, require_ignore_index, require_shapes
from segexp.losses.class_weights import ClassWeights
from segexp.losses.reduction import REDUCTIONS, reduce_pixels


class BinaryCrossEntropy(nn.Module):
    """Sigmoid cross-entropy per region and pixel, the mean over the labeled pixels of all regions.

    A region that is absent from the mask is nothing special: each pixel counts as outside. If every pixel is
    ignored, the loss and its gradient are 0.

    Args:
        region_weights: Factors, one per region, at least 0; the mean is divided by the sum of the factors of what it is
            taken over, as ``CrossEntropy`` does. "auto" = ``balanced_weights`` of the training cases. None = all alike.
        ignore_index: Target of pixels that do not count for a region.
        reduction: "mean"; "sum" over pixels and regions; "none", the loss of each.

    Raises:
        ValueError: A value is outside its range.
    """

    target_kinds = ("regions",)

    def __init__(
        self,
        region_weights: Sequence[float] | str | None = None,
        ignore_index: int = 255,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        require_choice("reduction", reduction, REDUCTIONS)
        require_ignore_index(ignore_index)
        self.region_weights = ClassWeights("region_weights", region_weights)
        self.ignore_index = ignore_index
        self.reduction = reduction

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the mean over the counted pixels of logits (B, R, *S) and target (B, R, *S), 1 inside and 0 outside.

        A target between 0 and 1 is soft. Else as ``CrossEntropy.forward``.
        """
        require_shapes(logits, target, weight, regions=True)
        logits = at_least_float32(logits)
        truth, counted = region_target(logits, target, self.ignore_index)
        contributions = counted.to(logits.dtype)
        factors = self.region_weights(logits)
        if factors is not None:
            contributions = contributions * factors.view(-1, *[1] * (logits.ndim - 2))
        losses = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        pixel_weight = None if weight is None else weight.unsqueeze(CLASS_DIM)
        return reduce_pixels(losses * contributions, pixel_weight, contributions, self.reduction)
