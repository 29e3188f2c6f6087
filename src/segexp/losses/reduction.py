"""From losses of pixels or of classes to one number, or to none."""

from torch import Tensor

REDUCTIONS = ("mean", "sum", "none")


def reduce_pixels(losses: Tensor, weight: Tensor | None, contributions: Tensor, reduction: str = "mean") -> Tensor:
    """Reduce the losses of pixels, 0 where a pixel does not count.

    Args:
        losses: (B, *S) or (B, K, *S).
        weight: Factor of each pixel, in a shape that goes with that of ``losses``; None = all alike.
        contributions: What the mean is divided by the sum of, in the shape of ``losses``.
        reduction: "mean"; "sum", which divides by nothing; "none", the weighted losses as they are.

    Returns:
        Scalar, or with "none" the shape of ``losses``. The mean is 0, without gradient, where no pixel counts.
    """
    weighted = losses if weight is None else losses * weight.to(losses.dtype)
    if reduction == "none":
        return weighted
    if reduction == "sum":
        return weighted.sum()
    total = contributions.sum(dtype=losses.dtype)
    return weighted.sum() / total.where(total > 0, 1)


def reduce_classes(losses: Tensor, class_factors: Tensor | None = None, reduction: str = "mean") -> Tensor:
    """Reduce the losses of classes.

    Args:
        losses: (B, K), or (1, K) of the whole batch.
        class_factors: (K,), at least 0; the mean is divided by their sum. None = all alike.
        reduction: "mean"; "sum", which divides by nothing; "none", the weighted losses as they are.

    Returns:
        Scalar, or with "none" the shape of ``losses``. The mean is 0, without gradient, where all factors are 0.
    """
    weighted = losses if class_factors is None else losses * class_factors
    if reduction == "none":
        return weighted
    if reduction == "sum":
        return weighted.sum()
    if class_factors is None:
        return losses.mean()
    total = class_factors.sum() * len(losses)
    return weighted.sum() / total.where(total > 0, 1)


def reduce_overlaps(overlaps: Tensor, class_factors: Tensor | None = None, reduction: str = "mean") -> Tensor:
    """Turn overlaps (B, K), 1 where perfect, into losses and reduce them, see ``reduce_classes``."""
    if reduction == "mean" and class_factors is None:
        return 1 - overlaps.mean()  # one rounding less
    return reduce_classes(1 - overlaps, class_factors, reduction)
