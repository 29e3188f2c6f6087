"""Which mirror images and turns of its patches an augmentation shows to the network, so that predictions may use them.

Axes go by z, y, x: the slices of a volume, the rows, the columns. The words are those of ``segexp.inference.views``.
"""

from collections.abc import Callable, Sequence
from typing import Any

import albumentations as A

AXES = ("z", "y", "x")
WORDS = ("flip_z", "flip_y", "flip_x", "half_turn", "quarter_turn", "transpose")
WHOLE_TURN = 360.0  # degrees

# What transforms of albumentations show; ours have a method ``symmetries`` of their own.
SHOWN: dict[type, Callable[[Any], list[str]]] = {
    A.HorizontalFlip: lambda _: ["flip_x"],
    A.VerticalFlip: lambda _: ["flip_y"],
    A.Transpose: lambda _: ["transpose"],
    A.RandomRotate90: lambda _: ["quarter_turn"],
    A.D4: lambda _: ["flip_x", "quarter_turn"],
    A.Affine: lambda transform: _all_around(transform.rotate),
    A.Rotate: lambda transform: _all_around(transform.limit),
}


def symmetries_of(transforms: Sequence[Any], size: Sequence[int]) -> list[str]:
    """Name the flips and turns that a list of transforms shows, each on its own and so all that they make together.

    Args:
        transforms: List of albumentations transforms, ours and compositions among them. What one of a user's own shows
            is told by a method ``symmetries(size)`` that returns some of ``WORDS``; without it, nothing.
        size: Size of a patch.

    Returns:
        Some of ``WORDS``, in their order.
    """
    found: set[str] = set()
    for transform in transforms:
        if getattr(transform, "p", 1) == 0:
            continue
        if hasattr(transform, "symmetries"):
            found.update(transform.symmetries(size))
        elif hasattr(transform, "transforms"):  # a composition
            found.update(symmetries_of(transform.transforms, size))
        else:
            known = next((shown for kind, shown in SHOWN.items() if isinstance(transform, kind)), lambda _: [])
            found.update(known(transform))
    return [word for word in WORDS if word in found]


def _all_around(degrees: tuple[float, float]) -> list[str]:
    return ["quarter_turn"] if degrees[1] - degrees[0] >= WHOLE_TURN else []
