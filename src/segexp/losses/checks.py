"""What all losses ask of their tensors and numbers."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from segexp.errors import require_at_least

CLASS_DIM = 1


def at_least_float32(logits: Tensor) -> Tensor:
    """Turn bfloat16 and float16 into float32; float32 and float64 stay."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def require_shapes(logits: Tensor, target: Tensor, weight: Tensor | None, regions: bool = False) -> None:
    """Refuse tensors that do not belong together.

    Raises:
        ValueError: ``weight``, or ``target`` of classes, is not (B, *S), or ``target`` of regions not (B, R, *S).
    """
    pixels = (*logits.shape[:CLASS_DIM], *logits.shape[CLASS_DIM + 1 :])
    of_pixels = f"(B, *S) = {pixels}"
    of_regions = f"(B, R, *S) = {tuple(logits.shape)} of regions, or class indices without axis R"
    checks = [("target", target, tuple(logits.shape), of_regions) if regions else ("target", target, pixels, of_pixels)]
    if weight is not None:
        checks.append(("weight", weight, pixels, of_pixels))
    for name, tensor, wanted, rule in checks:
        if tensor.shape != wanted:
            raise ValueError(
                f"{name} of shape {tuple(tensor.shape)} does not fit logits of shape {tuple(logits.shape)}: "
                f"it must be {rule}"
            )


def require_weights(name: str, weights: Sequence[float]) -> None:
    """Refuse factors of classes or heads of which one is negative or not finite, or none above 0."""
    for index, value in enumerate(weights):
        require_at_least(f"{name}[{index}]", value, 0)
    if not (sum(weights) > 0 and math.isfinite(sum(weights))):
        raise ValueError(f"{name}={list(weights)} must be finite, and one at least above 0")


def require_ignore_index(ignore_index: object) -> None:
    """Refuse what is not an integer; -100, the default of torch, is the least."""
    require_at_least("ignore_index", ignore_index, -100, integer=True)


def require_above_zero(name: str, value: float) -> None:
    """Refuse 0 and less: the overlap of a class absent from both sides would be 0 / 0."""
    require_at_least(name, value, 0)
    if value == 0:
        raise ValueError(
            f"{name}={value} must be above 0, or an absent class gives nan: take 1e-5 to add almost nothing"
        )
