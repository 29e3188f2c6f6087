"""Connected components of labels and regions, for post-processing."""

from collections.abc import Sequence

import numpy as np

from segexp.errors import require_at_least, require_choice

CONNECTIVITIES = ("faces", "full")
UNITS = ("px", "mm")
Spacing = tuple[float, ...] | None


def require_common(classes: Sequence[int] | None, connectivity: str) -> None:
    """Refuse settings of any step that are out of their range.

    Raises:
        ValueError: Names the setting, its value and the rule.
    """
    require_choice("connectivity", connectivity, CONNECTIVITIES)
    if classes is not None:
        if isinstance(classes, str) or not isinstance(classes, Sequence) or not classes:
            raise ValueError(f"classes={classes!r} must list one or more classes, such as [1, 2], or be null")
        for label in classes:
            require_at_least("each of classes", label, 0, integer=True)


def pixel_size(unit: str, spacing: Spacing) -> float:
    """Size of a pixel: 1, or its volume or area.

    Raises:
        ValueError: The size is needed and not known.
    """
    if unit == "mm" and spacing is None:
        raise ValueError("a setting is in mm, but the size of a pixel is not known: give it in px")
    return float(np.prod(spacing)) if unit == "mm" and spacing else 1.0


def parts_of(array: np.ndarray, classes: Sequence[int] | None, lowest: int = 1) -> list[int]:
    """List the classes of an array that a step is for, or the regions; background only where it is named and may be.

    Raises:
        ValueError: A step cannot be for such a class or region.
    """
    if array.dtype == bool:
        for index in classes or ():
            require_choice("classes: region", index, range(len(array)))
        return list(range(len(array))) if classes is None else list(classes)
    if classes is not None and min(classes) < lowest:
        raise ValueError(f"classes={list(classes)} has class 0, the background: leave it out")
    return [int(label) for label in np.unique(array) if label > 0] if classes is None else list(classes)


def mask_of(array: np.ndarray, index: int) -> np.ndarray:
    """Pixels (*S) bool of a class or region."""
    return np.asarray(array[index] if array.dtype == bool else array == index)


def take_out(array: np.ndarray, index: int, where: np.ndarray) -> None:
    """Take pixels ``where`` (*S) bool out of a class or region, in place."""
    labels = array[index] if array.dtype == bool else array
    labels[where] = 0


def connected(mask: np.ndarray, connectivity: str) -> tuple[np.ndarray, int]:
    """Number the connected components of (*S) bool from 1, and count them."""
    from skimage import measure

    reach = 1 if connectivity == "faces" else mask.ndim
    numbers, count = measure.label(mask, connectivity=reach, return_num=True)
    return numbers, int(count)


def classes_around(labels: np.ndarray, holes: np.ndarray, count: int, connectivity: str) -> np.ndarray:
    """Find for each number of a hole the one class of all its neighbors, 0 where there are several: (count + 1,)."""
    from scipy import ndimage

    reach = ndimage.generate_binary_structure(labels.ndim, 1 if connectivity == "faces" else labels.ndim)
    beyond = np.iinfo(labels.dtype).max
    # Highest and lowest class among the neighbors of each pixel, the background left out.
    most = ndimage.maximum_filter(labels, footprint=reach)
    least = ndimage.minimum_filter(np.where(labels == 0, beyond, labels), footprint=reach)
    # The same among those of each hole: where both agree, there is one class.
    here = np.flatnonzero(holes)
    numbers = holes.ravel()[here]
    highest = np.zeros(count + 1, labels.dtype)
    lowest = np.full(count + 1, beyond, labels.dtype)
    np.maximum.at(highest, numbers, most.ravel()[here])
    np.minimum.at(lowest, numbers, least.ravel()[here])
    return np.where(highest == lowest, highest, 0)
