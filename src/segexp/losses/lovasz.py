"""Lovász loss: the Jaccard index (IoU) made continuous."""

import torch
from torch import Tensor

from segexp.losses.checks import CLASS_DIM, require_tensors
from segexp.losses.regions import RegionLoss, SoftRegions


class Lovasz(RegionLoss):
    """Lovász extension of 1 - Jaccard at the errors |T - P|: for P of 0 and 1 it is exactly 1 - IoU.

    Of classes it is the Lovász-softmax; of regions the same with sigmoid probabilities, which stays in [0, 1], not the
    Lovász hinge. A class that is absent from the mask is left out with ``present_only`` (0 and no gradient if all are),
    else it costs its largest probability. If every pixel is ignored, the loss and its gradient are 0.

    Args:
        per_image: Whether there is one Jaccard index per sample, averaged over all samples, instead of one over the
            whole batch.
        present_only: Whether only the classes are averaged that occur in the mask of the sample or batch.
        include_background: Whether class 0 counts too; of regions it has no meaning.
        ignore_index: Target of pixels that do not count.

    Raises:
        ValueError: ``ignore_index`` is not an integer of at least -100.

    Source: Berman et al. 2018 (The Lovász-Softmax loss), who count the background like any class.
    """

    def __init__(
        self,
        per_image: bool = False,
        present_only: bool = True,
        include_background: bool = False,
        ignore_index: int = 255,
    ) -> None:
        super().__init__(include_background, ignore_index)
        self.per_image = per_image
        self.present_only = present_only

    def of(self, regions: SoftRegions) -> Tensor:
        """Return the mean over classes, and over samples with ``per_image``, in [0, 1].

        A pixel of weight 3 counts as three pixels in the Jaccard index.
        """
        probs, truth, _, factors, _ = regions
        truth, factors = self._rows(truth), self._rows(factors.expand_as(probs))
        errors = (truth - self._rows(probs)).abs() * (factors > 0)
        losses = lovasz_jaccard(errors, truth, factors)
        averaged = ((truth * factors).sum(2) > 0) if self.present_only else torch.ones_like(losses, dtype=torch.bool)
        return ((losses * averaged).sum(1) / averaged.sum(1).clamp_min(1)).mean()

    def _rows(self, values: Tensor) -> Tensor:
        """(B, K, *S) to (B, K, pixels of a sample) or (1, K, pixels of the batch)."""
        rows = values.flatten(2)
        return rows if self.per_image else rows.transpose(0, CLASS_DIM).flatten(1).unsqueeze(0)


def lovasz_jaccard(errors: Tensor, truth: Tensor, factors: Tensor) -> Tensor:
    """Lovász extension of the Jaccard loss: sorted errors times what each adds to the loss as it turns wrong.

    The additions are written as products. As differences of neighboring Jaccard indices, which are near 1, they would
    lose their digits where pixels are many.

    Args:
        errors: (..., P) in [0, 1], 0 where a pixel does not count.
        truth: (..., P) in [0, 1]; a soft one is inside and outside in these shares.
        factors: (..., P), at least 0: as how many pixels each one counts.

    Returns:
        (...,) in [0, 1].
    """
    require_tensors(errors=errors, truth=truth, factors=factors)
    errors, order = errors.sort(-1, descending=True)
    inside = (truth * factors).gather(-1, order)
    outside = ((1 - truth) * factors).gather(-1, order)
    total = inside.sum(-1, keepdim=True)
    intersection = (total - inside.cumsum(-1)).clamp_min(0) + inside  # before the pixel turns wrong
    union = total + outside.cumsum(-1)
    before = union - outside
    # A true pixel that turns wrong leaves the intersection; a false one joins the union.
    missed = inside / union.where(union > 0, 1)
    added = intersection * outside / (union * before).where(before > 0, 1)
    first = (total == 0) & (before == 0) & (outside > 0)  # of an absent class, one wrong pixel makes the loss 1
    return (errors * (missed + added + first)).sum(-1)
