"""What all losses ask of their tensors and numbers."""

import torch
from torch import Tensor

from segexp.errors import require_at_least

CLASS_DIM = 1


def at_least_float32(logits: Tensor) -> Tensor:
    """Turn bfloat16 and float16 into float32; float32 and float64 stay."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def require_class_shapes(logits: Tensor, target: Tensor, weight: Tensor | None) -> None:
    """Refuse tensors that do not belong together.

    Raises:
        ValueError: ``target`` or ``weight`` is not (B, *S) for logits (B, C, *S).
    """
    pixels = _pixels(logits)
    _require_shape("target", target, logits, pixels, f"(B, *S) = {pixels}")
    _require_weight(weight, logits)


def require_region_shapes(logits: Tensor, target: Tensor, weight: Tensor | None) -> None:
    """Refuse tensors that do not belong together.

    Raises:
        ValueError: ``target`` is not (B, R, *S) or ``weight`` not (B, *S) for logits (B, R, *S).
    """
    shape = tuple(logits.shape)
    _require_shape("target", target, logits, shape, f"(B, R, *S) = {shape} of regions, or class indices without axis R")
    _require_weight(weight, logits)


def _require_weight(weight: Tensor | None, logits: Tensor) -> None:
    if weight is not None:
        pixels = _pixels(logits)
        _require_shape("weight", weight, logits, pixels, f"(B, *S) = {pixels}")


def _require_shape(name: str, tensor: Tensor, logits: Tensor, expected: tuple[int, ...], rule: str) -> None:
    if tuple(tensor.shape) != expected:
        raise ValueError(
            f"{name} of shape {tuple(tensor.shape)} does not fit logits of shape {tuple(logits.shape)}: "
            f"it must be {rule}"
        )


def _pixels(logits: Tensor) -> tuple[int, ...]:
    return (*logits.shape[:CLASS_DIM], *logits.shape[CLASS_DIM + 1 :])


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
