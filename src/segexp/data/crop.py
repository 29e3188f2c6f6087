"""Cutting a window out of an array, mirrored where it reaches beyond the borders."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def crop(array: np.ndarray, begin: Sequence[int], size: Sequence[int]) -> np.ndarray:
    """Cut (..., *size) from the last axes of (..., *S), mirrored beyond its borders (which are not repeated)."""
    extent = array.shape[-len(size) :]
    # Within the borders the cut is a view; beyond them pixels are picked one by one.
    if all(b >= 0 and b + p <= n for b, p, n in zip(begin, size, extent, strict=True)):
        window: tuple[Any, ...] = tuple(slice(b, b + p) for b, p in zip(begin, size, strict=True))
    else:
        window = np.ix_(*(mirrored(np.arange(b, b + p), n) for b, p, n in zip(begin, size, extent, strict=True)))
    return array[(..., *window)]


def mirrored(index: np.ndarray, extent: int) -> np.ndarray:
    """Fold indices beyond an axis of ``extent`` pixels back into it, as numpy.pad's "reflect"."""
    if extent == 1:
        return np.zeros_like(index)
    index = np.abs(index) % (2 * extent - 2)
    return np.where(index < extent, index, 2 * extent - 2 - index)
