"""Losses that measure overlap of regions: Dice, Tversky, and Dice with cross-entropy."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segexp.errors import require_at_least
from segexp.losses.pixel import CLASS_DIM, CrossEntropy, at_least_float32, require_ignore_index, require_shapes


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
        onehot: (B, C, *S) one-hot truth, same shape.
        smooth: Added above and below; a class absent from both then scores 1, one absent from the truth alone
            smooth / (|P| + smooth).
        squared: Square the probabilities in the sum below, as V-Net does.
        batch: Take the sums over the whole batch instead of per sample.
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
    true = pixel_sums(onehot, batch, weight)
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

    Args:
        probs: (B, C, *S) float in [0, 1].
        onehot: (B, C, *S) one-hot truth, same shape.
        alpha: Price of false positives.
        beta: Price of false negatives.
        smooth: Added above and below; a class absent from both then scores 1.
        batch: Take the sums over the whole batch instead of per sample.
        weight: (B, 1 or C, *S) factor of each pixel in every sum; 0 leaves the pixel out.

    Returns:
        (B, C), or (1, C) for the whole batch; 1 is perfect.

    Raises:
        ValueError: The shapes differ.

    Source: Salehi et al. 2017.
    """
    require_same_shape(probs, onehot)
    true_positive = pixel_sums(probs * onehot, batch, weight)
    false_positive = pixel_sums(probs * (1 - onehot), batch, weight)
    false_negative = pixel_sums((1 - probs) * onehot, batch, weight)
    return (true_positive + smooth) / (true_positive + alpha * false_positive + beta * false_negative + smooth)


class Dice(nn.Module):
    """1 - soft Dice, averaged over classes and samples.

    Where a class is absent from the mask, its loss is 1 - smooth / (|P| + smooth): 0 if nothing of it is predicted,
    else a pull towards less. A sample whose pixels are all ignored scores 1: loss 0, gradient 0.

    Args:
        include_background: Count class 0 too.
        smooth: Added above and below, above 0.
        squared: Square the probabilities in the sum below, as V-Net does.
        batch: Take the sums over the whole batch: steadier where many patches lack a class.
        ignore_index: Pixels with this target do not count.

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
    ) -> None:
        super().__init__()
        require_above_zero("smooth", smooth)
        require_ignore_index(ignore_index)
        self.include_background = include_background
        self.smooth = smooth
        self.squared = squared
        self.batch = batch
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return 1 - Dice.

        Args:
            logits: (B, C, *S); half precision is computed in float32.
            target: (B, *S) int64 class indices.
            weight: (B, *S) factor of each pixel in the sums of Dice.

        Returns:
            Scalar in [0, 1].

        Raises:
            ValueError: The shapes do not fit, or there is only background to count and it is left out.
        """
        probs, onehot, factors = soft_regions(logits, target, weight, self.ignore_index, self.include_background)
        return 1 - soft_dice(probs, onehot, self.smooth, self.squared, self.batch, factors).mean()


class Tversky(nn.Module):
    """1 - soft Tversky overlap, averaged over classes and samples; alpha = beta = 0.5 is Dice of twice the ``smooth``.

    Where a class is absent from the mask, its loss is 1 - smooth / (alpha |P| + smooth): 0 if nothing of it is
    predicted, else a pull towards less. A sample whose pixels are all ignored scores 1: loss 0, gradient 0.

    Args:
        alpha: Price of false positives, at least 0.
        beta: Price of false negatives, at least 0; not both 0.
        smooth: Added above and below, above 0.
        include_background: Count class 0 too.
        batch: Take the sums over the whole batch.
        ignore_index: Pixels with this target do not count.

    Raises:
        ValueError: A value is outside its range.

    Source: Salehi et al. 2017 (Tversky loss function for image segmentation).
    """

    def __init__(
        self,
        alpha: float = 0.3,
        beta: float = 0.7,
        smooth: float = 1.0,
        include_background: bool = False,
        batch: bool = False,
        ignore_index: int = 255,
    ) -> None:
        super().__init__()
        require_at_least("alpha", alpha, 0)
        require_at_least("beta", beta, 0)
        if alpha == beta == 0:
            raise ValueError("alpha=0 and beta=0 make every prediction perfect: put one of them above 0")
        require_above_zero("smooth", smooth)
        require_ignore_index(ignore_index)
        self.alpha = alpha
        self.beta = beta
        self.smooth = smooth
        self.include_background = include_background
        self.batch = batch
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return 1 - Tversky overlap; arguments, result and errors as ``Dice.forward``."""
        probs, onehot, factors = soft_regions(logits, target, weight, self.ignore_index, self.include_background)
        return 1 - soft_tversky(probs, onehot, self.alpha, self.beta, self.smooth, self.batch, factors).mean()


class DiceCrossEntropy(nn.Module):
    """dice_weight * Dice + ce_weight * CrossEntropy.

    An empty mask: the Dice part is as ``Dice`` says, the cross-entropy goes on counting every pixel as background.

    Args:
        dice_weight: Factor of Dice, at least 0.
        ce_weight: Factor of cross-entropy, at least 0; not both 0.
        include_background: Count class 0 in Dice too.
        smooth: Of Dice, above 0.
        squared: Of Dice.
        batch: Of Dice.
        class_weights: Of the cross-entropy.
        label_smoothing: Of the cross-entropy.
        ignore_index: Pixels with this target do not count.

    Raises:
        ValueError: A value is outside its range.

    Source: Isensee et al. 2021 (nnU-Net), who sum the two.
    """

    def __init__(
        self,
        dice_weight: float = 1.0,
        ce_weight: float = 1.0,
        include_background: bool = False,
        smooth: float = 1.0,
        squared: bool = False,
        batch: bool = False,
        class_weights: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        ignore_index: int = 255,
    ) -> None:
        super().__init__()
        require_at_least("dice_weight", dice_weight, 0)
        require_at_least("ce_weight", ce_weight, 0)
        if dice_weight == ce_weight == 0:
            raise ValueError("dice_weight=0 and ce_weight=0 leave no loss: put one of them above 0")
        self.dice_weight = dice_weight
        self.ce_weight = ce_weight
        self.dice = Dice(include_background, smooth, squared, batch, ignore_index)
        self.cross_entropy = CrossEntropy(class_weights, label_smoothing, ignore_index)

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the weighted sum; both parts get ``weight``. Arguments and errors as ``Dice.forward``."""
        dice: Tensor = self.dice(logits, target, weight)
        cross_entropy: Tensor = self.cross_entropy(logits, target, weight)
        return self.dice_weight * dice + self.ce_weight * cross_entropy


def pixel_sums(values: Tensor, batch: bool, weight: Tensor | None) -> Tensor:
    """Sum values (B, C, *S), times weight (B, 1, *S) if given, over the pixels: (B, C), or (1, C) over the batch."""
    weighted = values if weight is None else values * weight
    sums = weighted.flatten(2).sum(2)
    return sums.sum(0, keepdim=True) if batch else sums


def require_same_shape(probs: Tensor, onehot: Tensor) -> None:
    """Refuse a truth that is not one-hot of the same shape as the probabilities."""
    if probs.shape != onehot.shape:
        raise ValueError(
            f"onehot of shape {tuple(onehot.shape)} must have the shape of probs {tuple(probs.shape)}: (B, C, *S)"
        )


def soft_regions(
    logits: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, include_background: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Turn logits and class indices into what overlaps are summed from.

    Returns:
        probs and one-hot truth (B, C, *S), without class 0 unless it is included; weight (B, 1, *S), 0 where ignored.

    Raises:
        ValueError: The shapes do not fit, or no class is left.
    """
    require_shapes(logits, target, weight)
    if logits.shape[CLASS_DIM] == 1 and not include_background:
        raise ValueError(
            "include_background=False leaves nothing of logits with 1 class: use 2 classes or include_background=True"
        )
    probs = at_least_float32(logits).softmax(CLASS_DIM)
    counted = target != ignore_index
    onehot = torch.zeros_like(probs).scatter_(CLASS_DIM, target.where(counted, 0).unsqueeze(CLASS_DIM), 1)
    factors = counted.to(probs.dtype) if weight is None else counted * weight.to(probs.dtype)
    first = 0 if include_background else 1
    return probs[:, first:], onehot[:, first:], factors.unsqueeze(CLASS_DIM)


def require_above_zero(name: str, value: float) -> None:
    """Refuse 0 and less: the overlap of a class absent from both sides would be 0 / 0."""
    require_at_least(name, value, 0)
    if value == 0:
        raise ValueError(
            f"{name}={value} must be above 0, or an absent class gives nan: take 1e-5 to add almost nothing"
        )
