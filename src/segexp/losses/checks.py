"""What all losses ask of their tensors and numbers."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from segexp.errors import require_at_least, type_name

CLASS_DIM = 1


def at_least_float32(logits: Tensor) -> Tensor:
    """Turn bfloat16 and float16 into float32; float32 and float64 stay."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def require_shapes(logits: Tensor, target: Tensor, weight: Tensor | None, regions: bool = False) -> None:
    """Refuse what is no tensor, and tensors that do not belong together.

    Raises:
        ValueError: Something is no tensor, of a wrong dtype or on another device than the logits; ``weight``, or
            ``target`` of classes, is not (B, *S), or ``target`` of regions not (B, R, *S).
    """
    require_tensors(logits=logits, target=target, **({} if weight is None else {"weight": weight}))
    if not logits.is_floating_point():
        raise ValueError(f"logits of {logits.dtype} must be floating point: give what the network returns, no labels")
    if logits.ndim < 3 or not logits.numel():
        raise ValueError(f"logits of shape {tuple(logits.shape)} must be (B, C, *S), with one pixel at least")
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
    if not regions and (target.is_floating_point() or target.is_complex()):
        raise ValueError(
            f"target of {target.dtype} must hold class indices, such as target.long(): probabilities in place of "
            "classes are not computed with"
        )


def require_tensors(**named: object) -> None:
    """Refuse what is no tensor, or lies on another device than the first one; arguments under their names.

    Raises:
        ValueError: Names the argument, what it is and how to turn it into a tensor.
    """
    first: tuple[str, Tensor] | None = None
    for name, value in named.items():
        if not isinstance(value, Tensor):
            raise ValueError(f"{name} is a {type_name(value)} but must be a tensor: torch.as_tensor({name})")
        first = first or (name, value)
        if value.device != first[1].device:
            place = f"{first[0]} on {first[1].device}"
            raise ValueError(f"{name} lies on {value.device} and {place}: bring them together with .to(device)")


def class_target(logits: Tensor, target: Tensor, ignore_index: int) -> Tensor:
    """Return a target (B, *S) of class indices as int64.

    Values are looked at on the CPU alone: on other devices that would wait for them, and torch itself stops there.

    Raises:
        ValueError: It holds no class of the logits.
    """
    target = target.long()
    if target.device.type == "cpu" and not torch.compiler.is_compiling():
        low, high = map(int, torch.aminmax(target.where(target != ignore_index, 0)))
        classes = logits.shape[CLASS_DIM]
        if low < 0 or high >= classes:
            raise ValueError(
                f"target holds {low if low < 0 else high} but the logits have {classes} classes, 0 to {classes - 1}: "
                f"mark pixels that do not count with ignore_index={ignore_index}"
            )
    return target


def region_target(logits: Tensor, target: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    """Return the truth of regions in the dtype of the logits, 0 where nothing is known, and where it is known, bool.

    The truth may be soft, anything from 0 to 1. Values are looked at on the CPU alone: on other devices that would wait
    for them, and what is outside of this range becomes nan, and the loss with it.

    Raises:
        ValueError: It holds something else than 0 to 1 or ``ignore_index``.
    """
    counted = target != ignore_index
    truth = target.to(logits.dtype).where(counted, 0)
    if target.device.type != "cpu" or torch.compiler.is_compiling():
        return truth.where((truth >= 0) & (truth <= 1), torch.nan), counted
    low, high = map(float, torch.aminmax(truth.detach()))
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"target of regions holds {low if low < 0 else high:g} but must be 1 inside, 0 outside, between them where "
            f"it is soft, or ignore_index={ignore_index}: turn class indices into one channel per region"
        )
    return truth, counted


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
