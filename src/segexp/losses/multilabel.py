"""Losses of regions that may overlap: each is a yes or no of its own, through a sigmoid."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segexp.errors import require_at_least
from segexp.losses.overlap import require_above_zero, soft_dice
from segexp.losses.pixel import CLASS_DIM, at_least_float32, mean_over, require_ignore_index, weight_tensor


class BinaryCrossEntropy(nn.Module):
    """Sigmoid cross-entropy per region and pixel, the mean over the labelled pixels of all regions.

    If every pixel is ignored, the loss and its gradient are 0.

    Args:
        region_weights: One factor per region, at least 0; the mean is divided by the sum of the factors of what it is
            taken over, as ``CrossEntropy`` does. None weighs all regions alike.
        ignore_index: Pixels of a region with this target do not count.

    Raises:
        ValueError: A value is outside its range.
    """

    multilabel = True

    def __init__(self, region_weights: Sequence[float] | None = None, ignore_index: int = 255) -> None:
        super().__init__()
        require_ignore_index(ignore_index)
        self.register_buffer("region_weights", weight_tensor("region_weights", region_weights), persistent=False)
        self.region_weights: Tensor | None
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the mean over the counted pixels.

        Args:
            logits: (B, R, *S); half precision is computed in float32.
            target: (B, R, *S) int64, 1 in the region, 0 outside.
            weight: (B, *S) factor of each pixel's loss; it does not enter what the sum is divided by.

        Returns:
            Scalar.

        Raises:
            ValueError: The shapes do not fit, or the region weights are not one per region.
        """
        require_region_shapes(logits, target, weight)
        logits = at_least_float32(logits)
        shares = (target != self.ignore_index).to(logits.dtype)
        if self.region_weights is not None:
            shares = shares * self._per_region(self.region_weights, logits)
        losses = F.binary_cross_entropy_with_logits(logits, (target == 1).to(logits.dtype), reduction="none")
        return mean_over(losses * shares, None if weight is None else weight.unsqueeze(CLASS_DIM), shares)

    @staticmethod
    def _per_region(weights: Tensor, logits: Tensor) -> Tensor:
        if len(weights) != logits.shape[CLASS_DIM]:
            raise ValueError(
                f"region_weights has {len(weights)} values but the logits have {logits.shape[CLASS_DIM]} regions: "
                "give one weight per region"
            )
        return weights.to(logits.dtype).view(-1, *[1] * (logits.ndim - 2))


class DiceBinaryCrossEntropy(nn.Module):
    """dice_weight * (1 - soft Dice per region, averaged over regions and samples) + bce_weight * BinaryCrossEntropy.

    Of a region that is absent from the mask, the Dice part is as ``Dice`` says of a class.

    Args:
        dice_weight: Factor of Dice, at least 0.
        bce_weight: Factor of binary cross-entropy, at least 0; not both 0.
        smooth: Of Dice, above 0.
        squared: Of Dice.
        batch: Of Dice.
        region_weights: Of the binary cross-entropy.
        ignore_index: Pixels of a region with this target do not count.

    Raises:
        ValueError: A value is outside its range.

    Source: Isensee et al. 2020 (nnU-Net for Brain Tumor Segmentation), who sum the two over the regions of BraTS.
    """

    multilabel = True

    def __init__(
        self,
        dice_weight: float = 1.0,
        bce_weight: float = 1.0,
        smooth: float = 1.0,
        squared: bool = False,
        batch: bool = False,
        region_weights: Sequence[float] | None = None,
        ignore_index: int = 255,
    ) -> None:
        super().__init__()
        require_at_least("dice_weight", dice_weight, 0)
        require_at_least("bce_weight", bce_weight, 0)
        if dice_weight == bce_weight == 0:
            raise ValueError("dice_weight=0 and bce_weight=0 leave no loss: put one of them above 0")
        require_above_zero("smooth", smooth)
        self.dice_weight, self.bce_weight = dice_weight, bce_weight
        self.smooth, self.squared, self.batch = smooth, squared, batch
        self.bce = BinaryCrossEntropy(region_weights, ignore_index)

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the weighted sum; both parts get ``weight``. Arguments and errors as ``BinaryCrossEntropy``'s."""
        bce: Tensor = self.bce(logits, target, weight)
        return self.dice_weight * self._dice(logits, target, weight) + self.bce_weight * bce

    def _dice(self, logits: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        probs = at_least_float32(logits).sigmoid()
        truth = (target == 1).to(probs.dtype)
        factors = (target != self.bce.ignore_index).to(probs.dtype)
        if weight is not None:
            factors = factors * weight.to(probs.dtype).unsqueeze(CLASS_DIM)
        return 1 - soft_dice(probs, truth, self.smooth, self.squared, self.batch, factors).mean()


def require_region_shapes(logits: Tensor, target: Tensor, weight: Tensor | None) -> None:
    """Refuse tensors that do not belong together.

    Raises:
        ValueError: ``target`` is not (B, R, *S) or ``weight`` not (B, *S) for logits (B, R, *S).
    """
    pixels = torch.Size((*logits.shape[:CLASS_DIM], *logits.shape[CLASS_DIM + 1 :]))
    if target.shape != logits.shape or (weight is not None and weight.shape != pixels):
        shape = "None" if weight is None else tuple(weight.shape)
        raise ValueError(
            f"target of shape {tuple(target.shape)} and weight of shape {shape} do not fit logits of shape "
            f"{tuple(logits.shape)}: they must be (B, R, *S) = {tuple(logits.shape)} and (B, *S) = {tuple(pixels)}"
        )
