"""Numbers of objects, which tell touching ones apart, from what mask files hold."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segexp.errors import some


def instances_of(objects: np.ndarray, target: np.ndarray, where: str, mask: str) -> np.ndarray:
    """Make ``Case.instances`` of numbers that are kept apart from the classes.

    Args:
        objects: (*S) integers, number of the object of each pixel, 0 = none.
        target: (*S) uint8 class indices.
        where: Name of the numbers, for messages.
        mask: Name of the mask of the classes.

    Raises:
        ValueError: A number is negative, or none of its pixels has a class.
    """
    require_classes(objects, target, where, mask)
    return numbered(objects, target)


def numbered(objects: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Number the objects (*S) that have a class from 1 without a gap, in their order; 0 is none."""
    from skimage.segmentation import relabel_sequential

    inside = (target != 0) & (target != 255)
    return relabel_sequential(np.where(inside, objects, 0))[0].astype(np.int32)


def require_classes(objects: np.ndarray, target: np.ndarray, where: str, mask: str) -> None:
    """Refuse numbers below 0, and those of objects without a class; arguments as ``instances_of``."""
    if objects.min(initial=0) < 0:
        raise ValueError(f"{where} holds {objects.min()}: objects are numbered from 1, and 0 is none")
    nameless = np.setdiff1d(objects[objects > 0], objects[target != 0])
    if len(nameless):
        raise ValueError(
            f"{where} numbers objects that have no class in {mask}: {some(nameless)}: give them one there, or 255 (not "
            "labeled), or take out their numbers"
        )


def objects_of(classes: Sequence[np.ndarray], raw: np.ndarray | None) -> np.ndarray:
    """Numbers of objects (*S), 0 = none: those in the file; else of the masks, later ones on top."""
    if raw is not None:
        return np.where(classes[0] == 0, 0, raw.astype(np.int64) - raw.min() + 1)
    objects = np.zeros(classes[0].shape, dtype=np.int64)
    for number, labels in enumerate(classes, 1):
        objects[labels != 0] = number
    return objects


def require_one_object_each(classes: Sequence[np.ndarray], raws: Sequence[np.ndarray], paths: Sequence[Path]) -> None:
    """Refuse, where an image has several masks, one that numbers objects of its own."""
    for labels, raw, path in zip(classes, raws, paths, strict=True):
        values = np.unique(raw[(labels != 0) & (labels != 255)])
        if len(paths) > 1 and len(values) > 1:
            raise ValueError(
                f"mask {path} has the values {some(values)} and is one of {len(paths)} masks of its image, which are "
                "one object each with instances=true: join them into one mask that numbers all objects, or save each "
                "object as a mask with one value"
            )
