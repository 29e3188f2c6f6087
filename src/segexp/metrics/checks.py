"""What all metrics ask of the tensors of a case.

Metrics wait for their values anyway, so that these are looked at on every device.
"""

import numpy as np
import torch
from torch import Tensor

from segexp.errors import type_name

ROUNDING = 1e-3  # by which probabilities in half precision may leave [0, 1]


def require_case(probs: Tensor, target: Tensor, case_index: Tensor, spacing: Tensor | None, multilabel: bool) -> None:
    """Refuse what cannot be the prediction and truth of a batch of cases; arguments as ``CaseMetric.update``.

    Raises:
        ValueError: Something is no tensor, of a wrong dtype, shape or range; names it and says how to mend it.
    """
    named = {"probs": probs, "target": target, "case_index": case_index}
    if spacing is not None:
        named["spacing"] = spacing
    for name, value in named.items():
        if not isinstance(value, Tensor):
            raise ValueError(f"{name} is a {type_name(value)} but must be a tensor: torch.as_tensor({name})")
    expected = probs.shape if multilabel else (probs.shape[0], *probs.shape[2:])
    if probs.ndim < 3 or target.shape != expected or case_index.shape != expected[:1]:
        raise ValueError(
            f"probs {tuple(probs.shape)}, target {tuple(target.shape)} and case_index {tuple(case_index.shape)} "
            f"do not belong together: they must be (B, C, *S), (B, {'C, ' * multilabel}*S) and (B,)"
        )
    if case_index.is_floating_point():
        raise ValueError(f"case_index of {case_index.dtype} must hold the numbers of the cases: integers")
    _require_probabilities(probs)
    _require_labels(target)


def require_instances(instances: Tensor, probs: Tensor) -> None:
    """Refuse what cannot number the true objects of a batch of cases.

    Args:
        instances: (B, *S) integers, 0 = no object.
        probs: (B, C, *S).

    Raises:
        ValueError: It is no tensor of integers from 0, or of another shape.
    """
    if not isinstance(instances, Tensor) or instances.is_floating_point():
        kind = instances.dtype if isinstance(instances, Tensor) else type_name(instances)
        raise ValueError(f"instances of {kind} must be a tensor of integers: numbers of objects, and 0 for no object")
    if instances.shape != (probs.shape[0], *probs.shape[2:]):
        raise ValueError(
            f"instances {tuple(instances.shape)} and probs {tuple(probs.shape)} do not belong together: they must be "
            "(B, *S) and (B, C, *S)"
        )
    if instances.numel() and instances.min() < 0:
        raise ValueError(f"instances hold {int(instances.min())}: they must be numbers of objects, and 0 for no object")


def _require_probabilities(probs: Tensor) -> None:
    if not probs.is_floating_point():
        raise ValueError(f"probs of {probs.dtype} must be floating point: of labels make them with certain_probs")
    low, high = torch.aminmax(probs.detach()) if probs.numel() else (probs.new_zeros(()), probs.new_zeros(()))
    if low < -ROUNDING or high > 1 + ROUNDING:  # nan is for each metric to judge
        raise ValueError(
            f"probs go from {float(low):.4g} to {float(high):.4g} but must be probabilities, 0 to 1: turn logits into "
            "them with softmax or sigmoid"
        )


def _require_labels(target: Tensor) -> None:
    if not target.is_floating_point():
        return
    fractions = target[target != target.round()]
    if fractions.numel():
        raise ValueError(
            f"target holds {float(fractions.flatten()[0]):g}, and metrics score masks: decide soft labels, such as "
            "with target > 0.5"
        )


def require_spacing(spacing: Tensor | None, probs: Tensor) -> Tensor:
    """Return the size of a pixel per case and axis, float64; 1 where none is given.

    Raises:
        ValueError: The shape does not fit, or a size is not above 0.
    """
    axes = (probs.shape[0], probs.ndim - 2)
    sizes = torch.ones(axes, dtype=torch.float64) if spacing is None else spacing.double()
    if sizes.shape != axes:
        raise ValueError(
            f"spacing {tuple(sizes.shape)} does not belong to probs {tuple(probs.shape)}: it must be {axes}, one "
            "size of a pixel per case and spatial axis"
        )
    if not (sizes > 0).all() or not sizes.isfinite().all():
        raise ValueError(f"spacing {sizes.tolist()} must be above 0 and finite: the size of a pixel per axis")
    return sizes


def require_planes(**named: object) -> None:
    """Refuse what are no arrays (H, W) of integers or bool, of one shape; arguments under their names.

    Raises:
        ValueError: Names the argument, what it is and what it must be.
    """
    first: tuple[str, np.ndarray] | None = None
    for name, value in named.items():
        if not isinstance(value, np.ndarray):
            raise ValueError(f"{name} is a {type(value).__name__} but must be an array (H, W): np.asarray({name})")
        if value.ndim != 2 or value.dtype.kind not in "biu":
            raise ValueError(f"{name} {value.shape} of {value.dtype} must be (H, W) of integers or bool")
        first = first or (name, value)
        if value.shape != first[1].shape:
            raise ValueError(f"{name} {value.shape} must have the shape of {first[0]} {first[1].shape}")
