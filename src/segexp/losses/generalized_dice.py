"""Dice in which rare classes weigh more."""

import torch
from torch import Tensor

from segexp.errors import require_choice
from segexp.losses.checks import require_above_zero
from segexp.losses.overlap import pixel_sums
from segexp.losses.reduction import REDUCTIONS, reduce_overlaps
from segexp.losses.regions import RegionLoss, SoftRegions


class GeneralizedDice(RegionLoss):
    """1 - 2 sum_k(w_k |P T|) / sum_k(w_k (|P| + |T|)), averaged over samples; rare classes weigh more: w_k = 1 / |T|^2.

    The weights are divided by the largest of their sample, which leaves the ratio as it is and makes ``smooth`` mean
    pixels of the rarest class. A class that is absent from the mask weighs as much as the rarest that is present; if
    all are absent, all weigh alike and the loss is 1 - smooth / (|P| + smooth): 0 if nothing is predicted, else a pull
    towards less. A sample whose pixels are all ignored scores 1: loss 0, gradient 0.

    Args:
        include_background: Whether class 0 counts too. With one foreground class and without it, this is ``Dice``. Of
            regions it has no meaning.
        smooth: Number of pixels added above and below, above 0.
        batch: Whether weights and sums are taken over the whole batch instead of per sample.
        ignore_index: Target of pixels that do not count.
        reduction: "mean", "sum" or "none", of the losses of the samples.

    Raises:
        ValueError: A value is outside its range.

    Source: Sudre et al. 2017 (Generalised Dice overlap as a deep learning loss function for highly unbalanced
    segmentations).
    """

    def __init__(
        self,
        include_background: bool = True,
        smooth: float = 1.0,
        batch: bool = False,
        ignore_index: int = 255,
        reduction: str = "mean",
    ) -> None:
        super().__init__(include_background, ignore_index)
        require_above_zero("smooth", smooth)
        require_choice("reduction", reduction, REDUCTIONS)
        self.smooth = smooth
        self.batch = batch
        self.reduction = reduction

    def of(self, regions: SoftRegions) -> Tensor:
        """Return 1 - generalized Dice, in [0, 1]: a scalar, or with "none" (B,), of the whole batch (1,)."""
        probs, truth, _, factors, _ = regions
        both = pixel_sums(probs * truth, self.batch, factors)
        predicted = pixel_sums(probs, self.batch, factors)
        true = pixel_sums(truth, self.batch, factors)
        # (smallest size above 0 / size)^2; 1 where the size is 0.
        sizes = true.where(true > 0, torch.inf)
        weights = torch.where(true > 0, (sizes.amin(1, keepdim=True) / sizes) ** 2, 1)
        above = 2 * (weights * both).sum(1) + self.smooth
        return reduce_overlaps(above / ((weights * (predicted + true)).sum(1) + self.smooth), None, self.reduction)
