"""Corruptions of geometry: image, truths and field of view move together.

Each takes a case, the parameter itself, and random numbers. What comes from outside of the image is mirrored, and is
marked as not labeled, so that it counts nowhere.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.ndimage import affine_transform

from segexp.data.case import IGNORED, Case
from segexp.stress.acquisition import rotation_matrix
from segexp.stress.scan import Scan


def rotation(case: Case, degrees: float, rng: np.random.Generator) -> Case:
    """Turn about the center, in the plane of the slices, left or right as drawn."""
    angle = np.radians(degrees) * rng.choice((-1, 1))
    return moved(case, rotation_matrix(float(angle), Scan.of(case)))


def scaling(case: Case, percent: float, rng: np.random.Generator) -> Case:
    """Enlarge by so many percent along all axes, or make smaller by the same factor, as drawn."""
    factor = (1 + percent / 100) ** rng.choice((-1, 1))
    return moved(case, np.eye(len(case.spacing)) / factor)


def moved(case: Case, matrix: np.ndarray) -> Case:
    """Move all of a case about its center; images are interpolated linearly, labels by nearest neighbor.

    Args:
        case: The case.
        matrix: (axes, axes) from new to old places, relative to the center, in pixels.
    """
    size = np.array(case.image.shape[1:])
    offset = (size - 1) / 2 - matrix @ ((size - 1) / 2)
    scan = Scan.of(case)
    image = np.stack([affine_transform(each, matrix, offset, order=1, mode="mirror") for each in scan.image])
    ones = np.ones(tuple(size), np.uint8)
    inside = affine_transform(ones, matrix, offset, order=0, mode="grid-constant").astype(bool)  # up to a pixel's edge

    def labels(array: np.ndarray, outside: int) -> np.ndarray:
        found = affine_transform(array.astype(np.int32), matrix, offset, order=0, mode="mirror")
        return np.where(inside, found, outside).astype(array.dtype)

    return _each(replace(case, image=scan.stored(image)), labels)


def _each(case: Case, change: Callable[[np.ndarray, int], np.ndarray]) -> Case:
    """Change all arrays of labels of a case; the second argument is what stands for no label."""
    return replace(
        case,
        target=None if case.target is None else change(case.target, IGNORED),
        valid=None if case.valid is None else change(case.valid, 0),
        others={who: change(truth, IGNORED) for who, truth in case.others.items()},
        instances=None if case.instances is None else change(case.instances, 0),
    )


def crop(case: Case, percent: float, rng: np.random.Generator) -> Case:
    """Cut so many percent of the extent away along each axis of the plane, from one side or both as drawn."""
    window = [slice(None)] * len(case.spacing)
    for axis in Scan.of(case).plane:
        size = case.image.shape[axis + 1]
        cut = min(size - 1, round(size * percent / 100))
        begin = round(cut * rng.uniform())
        window[axis] = slice(begin, begin + size - cut)
    chosen = tuple(window)
    affine = None if case.affine is None else case.affine.copy()
    if affine is not None:  # its axes are (x, y, z)
        corner = [part.start or 0 for part in window][::-1]
        affine[:3, 3] += affine[:3, :3] @ np.array(corner)
    cut_case = replace(case, image=case.image[(slice(None), *chosen)], affine=affine)
    return _each(cut_case, lambda array, _: array[chosen])
