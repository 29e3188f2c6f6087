"""Losses that measure the overlap of classes or regions: Dice and Tversky."""

from collections.abc import Sequence

import torch
from torch import Tensor

from segexp.errors import require_at_least, require_choice
from segexp.losses.checks import require_above_zero, require_tensors
from segexp.losses.reduction import REDUCTIONS, reduce_classes, reduce_overlaps
from segexp.losses.regions import RegionLoss, SoftRegions


def soft_dice(
    probs: Tensor,
    onehot: Tensor,
    smooth: float = 1.0,
    squared: bool = False,
    batch: bool = False,
    weight: Tensor | None = None,
) -> Tensor:
    """Soft Dice overlap per class: (2 |P T| + smooth) / (|P| + |T| + smooth).

    Args:
        probs: (B, C, *S) float in [0, 1].
        onehot: (B, C, *S) one-hot truth, same shape; of regions maybe soft, between 0 and 1.
        smooth: Number of pixels added above and below; a class absent from both then scores 1, one absent from the
            truth alone smooth / (|P| + smooth).
        squared: Whether probabilities and truth are squared in the sums below, as V-Net does.
        batch: Whether sums are taken over the whole batch instead of per sample.
        weight: (B, 1 or C, *S) factor of each pixel in every sum; 0 leaves the pixel out.

    Returns:
        (B, C), or (1, C) for the whole batch; 1 is perfect.

    Raises:
        ValueError: The shapes differ.

    Source: Milletari et al. 2016 (V-Net); plain instead of squared sums unless ``squared``.
    """
    require_same_shape(probs, onehot)
    both = pixel_sums(probs * onehot, batch, weight)
    predicted = pixel_sums(probs**2 if squared else probs, batch, weight)
    true = pixel_sums(onehot**2 if squared else onehot, batch, weight)
    return (2 * both + smooth) / (predicted + true + smooth)


def soft_tversky(
    probs: Tensor,
    onehot: Tensor,
    alpha: float = 0.3,
    beta: float = 0.7,
    smooth: float = 1.0,
    batch: bool = False,
    weight: Tensor | None = None,
) -> Tensor:
    """Soft Tversky overlap per class: (TP + smooth) / (TP + alpha FP + beta FN + smooth).

    ``alpha`` is the price of false positives, ``beta`` that of false negatives; other arguments, result and errors as
    of ``soft_dice``.

    Source: Salehi et al. 2017.
    """
    require_same_shape(probs, onehot)
    true_positive = pixel_sums(probs * onehot, batch, weight)
    false_positive = pixel_sums(probs * (1 - onehot), batch, weight)
    false_negative = pixel_sums((1 - probs) * onehot, batch, weight)
    return (true_positive + smooth) / (true_positive + alpha * false_positive + beta * false_negative + smooth)


class Dice(RegionLoss):
    """1 - soft Dice, averaged over classes (or regions) and samples.

    Where a class is absent from the mask, its loss is 1 - smooth / (|P| + smooth): 0 if nothing of it is predicted,
    else a pull towards less. A sample whose pixels are all ignored scores 1: loss 0, gradient 0.

    Args:
        include_background: Whether class 0 counts too; of regions it has no meaning.
        smooth: Number of pixels added above and below, above 0.
        squared: Whether the probabilities are squared in the sum below, as V-Net does.
        batch: Whether sums are taken over the whole batch: steadier where many patches lack a class.
        ignore_index: Target of pixels that do not count.
        class_weights: Factors, one per class, background first, or region, at least 0; the mean over classes is divided
            by their sum. "auto" = ``balanced_weights`` of the training cases. None = all alike.
        reduction: "mean"; "sum" over classes and samples; "none".

    Raises:
        ValueError: A value is outside its range.

    Source: Milletari et al. 2016 (V-Net).
    """

    def __init__(
        self,
        include_background: bool = False,
        smooth: float = 1.0,
        squared: bool = False,
        batch: bool = False,
        ignore_index: int = 255,
        class_weights: Sequence[float] | str | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(include_background, ignore_index, class_weights)
        require_choice("reduction", reduction, REDUCTIONS)
        require_above_zero("smooth", smooth)
        self.smooth = smooth
        self.squared = squared
        self.batch = batch
        self.reduction = reduction

    def of(self, regions: SoftRegions) -> Tensor:
        """Return 1 - Dice, in [0, 1], a scalar or with "none" (B, K); weights are factors in the sums of Dice."""
        probs, truth, _, factors, class_factors = regions
        overlaps = soft_dice(probs, truth, self.smooth, self.squared, self.batch, factors)
        return reduce_overlaps(overlaps, class_factors, self.reduction)


class Tversky(RegionLoss):
    """(1 - soft Tversky overlap)^gamma, averaged over classes (or regions) and samples.

    alpha = beta = 0.5 is Dice of twice the ``smooth``. Where a class is absent from the mask, its loss is
    (1 - smooth / (alpha |P| + smooth))^gamma: 0 if nothing of it is predicted, else a pull towards less. A sample whose
    pixels are all ignored scores 1: loss 0, gradient 0.

    Args:
        alpha: Price of false positives, at least 0.
        beta: Price of false negatives, at least 0; not both 0.
        gamma: Exponent of each class' loss, above 0; 1 = Tversky. Focal Tversky is written with the exponent 1 / gamma
            in the paper (best at gamma = 4/3) and with gamma = 0.75 in its code: here it is the exponent, so 0.75.
        smooth: Number of pixels added above and below, above 0.
        include_background: Whether class 0 counts too; of regions it has no meaning.
        batch: Whether sums are taken over the whole batch.
        ignore_index: Target of pixels that do not count.
        class_weights: Factors, one per class, background first, or region, at least 0; the mean over classes is divided
            by their sum. "auto" = ``balanced_weights`` of the training cases. None = all alike.
        reduction: "mean"; "sum" over classes and samples; "none".

    Raises:
        ValueError: A value is outside its range.

    Source: Salehi et al. 2017 (Tversky loss function for image segmentation); gamma: Abraham & Khan 2018 (A novel focal
    Tversky loss function), their alpha is our beta.
    """

    def __init__(
        self,
        alpha: float = 0.3,
        beta: float = 0.7,
        gamma: float = 1.0,
        smooth: float = 1.0,
        include_background: bool = False,
        batch: bool = False,
        ignore_index: int = 255,
        class_weights: Sequence[float] | str | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(include_background, ignore_index, class_weights)
        require_choice("reduction", reduction, REDUCTIONS)
        require_at_least("alpha", alpha, 0)
        require_at_least("beta", beta, 0)
        if alpha == beta == 0:
            raise ValueError("alpha=0 and beta=0 make every prediction perfect: put one of them above 0")
        require_at_least("gamma", gamma, 0)
        if gamma == 0:
            raise ValueError("gamma=0 makes every loss 1: take 1 for Tversky, 0.75 for focal Tversky")
        require_above_zero("smooth", smooth)
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.smooth = smooth
        self.batch = batch
        self.reduction = reduction

    def of(self, regions: SoftRegions) -> Tensor:
        """Return (1 - overlap)^gamma, in [0, 1], reduced as that of ``Dice``; weights are factors in the sums."""
        probs, truth, _, factors, class_factors = regions
        miss = 1 - soft_tversky(probs, truth, self.alpha, self.beta, self.smooth, self.batch, factors)
        if self.gamma != 1:
            # The slope of miss^gamma at 0 is infinite where gamma < 1, and rounding may take miss below 0.
            above_zero = miss.clamp_min(torch.finfo(miss.dtype).tiny)
            miss = torch.where(miss > 0, above_zero**self.gamma, 0)
        return reduce_classes(miss, class_factors, self.reduction)


def pixel_sums(values: Tensor, batch: bool, weight: Tensor | None) -> Tensor:
    """Sum values (B, C, *S), times weight (B, 1, *S) if given, over the pixels: (B, C), or (1, C) over the batch."""
    weighted = values if weight is None else values * weight
    sums = weighted.flatten(2).sum(2)
    return sums.sum(0, keepdim=True) if batch else sums


def require_same_shape(probs: Tensor, onehot: Tensor) -> None:
    """Refuse what is no tensor, and a truth that is not one-hot of the same shape as the probabilities."""
    require_tensors(probs=probs, onehot=onehot)
    if probs.shape != onehot.shape:
        raise ValueError(
            f"onehot of shape {tuple(onehot.shape)} must have the shape of probs {tuple(probs.shape)}: (B, C, *S)"
        )
