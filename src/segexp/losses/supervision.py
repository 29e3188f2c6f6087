"""Deep supervision: the loss of every head of a network, in one number."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from segexp.losses.checks import CLASS_DIM, require_weights


class DeepSupervision:
    """Weighted sum of the losses of all heads, the finest first.

    Target and weight map are brought to the size of each head by nearest neighbor, about pixel centers; heads may
    also all have full size (U-Net++). Heads of weight 0 are not computed; DistributedDataParallel then misses the
    gradient of what they alone use: give 1e-6 there.

    Args:
        weights: Factors, one per head, at least 0, taken as they are. None = 1, 1/2, 1/4, … divided by their sum.

    Raises:
        ValueError: A weight is negative or not finite, or none is above 0.

    Source: Lee et al. 2015 (Deeply-supervised nets); the halving: Isensee et al. 2021 (nnU-Net), who give the coarsest
    head no weight.
    """

    def __init__(self, weights: Sequence[float] | None = None) -> None:
        if weights is not None:
            require_weights("weights", weights)
        self.weights = None if weights is None else tuple(weights)

    def __call__(
        self,
        loss: Callable[[Tensor, Tensor, Tensor | None], Tensor],
        heads: Sequence[Tensor],
        target: Tensor,
        weight: Tensor | None = None,
    ) -> Tensor:
        """Return the sum over heads.

        Args:
            loss: (logits, target, weight or None) to a scalar.
            heads: Logits (B, C, *S'), the finest first, each of another size.
            target: (B, *S) or, of regions, (B, C, *S).
            weight: (B, *S) or None.

        Returns:
            Scalar.

        Raises:
            ValueError: There is not one weight per head.
        """
        total = []
        for factor, logits in zip(self.factors(len(heads)), heads, strict=True):
            if factor > 0:
                size = logits.shape[CLASS_DIM + 1 :]
                pixel_weight = None if weight is None else resized(weight, size)
                total.append(factor * loss(logits, resized(target, size), pixel_weight))
        return torch.stack(total).sum()

    def factors(self, heads: int) -> tuple[float, ...]:
        """Weight of each of so many heads.

        Raises:
            ValueError: ``weights`` were given, but not one per head.
        """
        if self.weights is None:
            halves = [0.5**head for head in range(heads)]
            return tuple(half / sum(halves) for half in halves)
        if len(self.weights) != heads:
            raise ValueError(
                f"deep_supervision.weights={list(self.weights)} are {len(self.weights)}, but the network has {heads} "
                "heads: give one weight per head, the finest first, or null"
            )
        return self.weights


def resized(values: Tensor, size: Sequence[int]) -> Tensor:
    """Pick along the trailing axes of values (..., *S) the pixels nearest to the centers of a grid of ``size``."""
    for axis, new in enumerate(size, start=-len(size)):
        old = values.shape[axis]
        if old != new:
            centers = 2 * torch.arange(new, device=values.device) + 1  # in halves of a new pixel
            values = values.index_select(axis, centers * old // (2 * new))
    return values
