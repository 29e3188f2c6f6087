"""Values of mask files: what they are, and the classes that they stand for."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from segexp.data.case import FileFacts
from segexp.errors import some

WHOLE = 1e-3  # how far a label may lie from an integer: what a slope or a resampling that moves nothing leaves
_MOST = 2**53  # whole numbers that float64 tells apart


def whole_labels(raw: np.ndarray, path: Path) -> np.ndarray:
    """Turn the values of a mask into integers, though they may have been through floats or a slope (0.9999999998).

    Args:
        raw: (*S) as decoded; integers come back as they are.
        path: Path to the mask, for the message.

    Returns:
        (*S) integers: of floats the nearest ones, int32, or int64 where one needs it.

    Raises:
        ValueError: Values are NaN or infinite, more than ``WHOLE`` away from an integer, or beyond 2^53; names file and
            values.
    """
    if raw.dtype.kind != "f":
        return raw
    finite = np.isfinite(raw)
    if not finite.all():
        count = raw.size - np.count_nonzero(finite)
        raise ValueError(f"mask {path} has {count} of {raw.size} values that are NaN or infinite: put class numbers")
    near = np.rint(raw)
    fractions = np.unique(raw[np.abs(raw - near) > WHOLE])
    if fractions.size:
        values = some(f"{value:g}" for value in fractions)
        raise ValueError(f"mask {path} holds fractions ({values}): save class numbers as integers")
    largest = float(np.abs(near).max(initial=0))
    if largest > _MOST:
        raise ValueError(f"mask {path} holds numbers up to {largest:g}: save class numbers as integers")
    return near.astype(np.int64 if largest > np.iinfo(np.int32).max else np.int32)


def map_values(raw: np.ndarray, values: Mapping[int, int], tolerance: int, path: Path) -> np.ndarray:
    """Turn the values of a mask into class indices.

    Args:
        raw: (*S) integers.
        values: Class of each value that may occur, such as {0: 0, 255: 1}.
        tolerance: A value this near to a declared one counts as the nearest declared one (of two equally near the
            lower), for masks that JPEG has blurred; 0 = exact.
        path: Path to the mask, for the message.

    Returns:
        (*S) uint8 class indices.

    Raises:
        ValueError: A value is not declared; names file, values, the declared ones and the remedy.
    """
    present = np.unique(raw)
    declared = np.array(sorted(values), dtype=np.int64)
    whole = present.astype(np.int64)
    # Each value that is present takes the class of the nearest declared one.
    distance = np.abs(whole[:, None] - declared)
    strange = whole[distance.min(axis=1) > tolerance]
    if strange.size:
        raise ValueError(
            f"mask {path} has values without a class: {some(strange)} (declared are {some(declared)}): "
            f"declare a class for each, or raise the tolerance (now {tolerance}) where JPEG blurred the mask"
        )
    classes = np.array([values[int(value)] for value in declared[distance.argmin(axis=1)]], dtype=np.uint8)
    return classes[np.searchsorted(present, raw)]


def require_values(values: Mapping[int, int]) -> None:
    """Refuse, by a ValueError, a map that is empty, or whose values are not integers and classes not 0 to 255."""
    whole = all(type(number) is int for pair in values.items() for number in pair)
    if not values or not whole or min(values.values()) < 0 or max(values.values()) > 255:
        raise ValueError(f"values={dict(values)} must give each mask value (an integer) a class from 0 to 255")


def file_facts(image: np.ndarray, mask: np.ndarray | None) -> FileFacts:
    """What the audit wants to know of the files of a case, before classes are made of the mask.

    Args:
        image: (C, *S) in the dtype of the file.
        mask: (*S) integers as the file has them; None = the case has no mask.

    Returns:
        ``image_dtype`` and, with a mask, ``mask_dtype`` and ``mask_values`` (pixels per value); plain values.
    """
    facts = FileFacts(image_dtype=str(image.dtype))
    if mask is not None:
        values, counts = np.unique(mask, return_counts=True)
        facts["mask_dtype"] = str(mask.dtype)
        facts["mask_values"] = {int(value): int(count) for value, count in zip(values, counts, strict=True)}
    return facts
