"""Post-processing of predicted labels: what is known of the shape of objects, applied after the network.

The steps run in one order, whichever are chosen: largest component, minimum size, holes, watershed. A speck of one
class inside another is thereby first removed and then filled. All of them need the whole image in memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np

from segexp.errors import did_you_mean, require_at_least, require_choice
from segexp.postprocessing.components import (
    UNITS,
    Spacing,
    classes_around,
    connected,
    mask_of,
    parts_of,
    pixel_size,
    put,
    require_common,
)


class Step(Protocol):
    """One operation; changes the array in place."""

    def __call__(self, array: np.ndarray, spacing: Spacing) -> None:
        """Change labels (*S) or regions (R, *S)."""


@dataclass(frozen=True)
class LargestComponent:
    """Keeps the largest connected component of each class; the rest becomes background.

    Of equally large ones the first in the order of the array stays.

    Args:
        classes: Classes, or numbers of regions; None = all but the background.
        together: Take these classes as one, such as an organ with its tumours.
        connectivity: Of the pixels of a component: "faces" (4 neighbours in 2-D, 6 in 3-D) or "full" (8, 26).
    """

    classes: Sequence[int] | None = None
    together: bool = False
    connectivity: str = "faces"

    def __post_init__(self) -> None:
        require_common(self.classes, self.connectivity)
        require_choice("largest_component.together", self.together, (True, False))

    def __call__(self, array: np.ndarray, spacing: Spacing) -> None:  # noqa: ARG002
        """Change the array in place."""
        indices = parts_of(array, self.classes)
        for group in [indices] if self.together and indices else [[index] for index in indices]:
            mask = np.any([mask_of(array, index) for index in group], axis=0)
            components, count = connected(mask, self.connectivity)
            if count > 1:
                largest = 1 + int(np.argmax(np.bincount(components.ravel())[1:]))
                for index in group:
                    put(array, index, mask_of(array, index) & (components != largest), inside=False)


@dataclass(frozen=True)
class MinSize:
    """Removes connected components that are too small; they become background.

    Args:
        size: Of the smallest component that stays.
        unit: "px" = number of pixels; "mm" = mm³ of volumes, mm² of images.
        classes: Classes, or numbers of regions; None = all but the background.
        connectivity: As for ``LargestComponent``.
    """

    size: float
    unit: str = "px"
    classes: Sequence[int] | None = None
    connectivity: str = "faces"

    def __post_init__(self) -> None:
        require_common(self.classes, self.connectivity)
        require_at_least("min_size.size", self.size, 0)
        require_choice("min_size.unit", self.unit, UNITS)

    def __call__(self, array: np.ndarray, spacing: Spacing) -> None:
        """Change the array in place."""
        least = self.size / pixel_size(self.unit, spacing)
        for index in parts_of(array, self.classes):
            components, _ = connected(mask_of(array, index), self.connectivity)
            small = np.bincount(components.ravel()) < least
            small[0] = False
            put(array, index, small[components], inside=False)


@dataclass(frozen=True)
class FillHoles:
    """Fills holes with the class around them.

    A hole is a connected component of the background that does not reach the border of the image, and whose neighbours
    are all of one class. Of regions, each is filled by itself: there every enclosed pixel outside it is a hole.

    Args:
        max_size: Of the largest hole that is filled; None = all are.
        unit: Of ``max_size``: "px" = number of pixels; "mm" = mm³ of volumes, mm² of images.
        classes: Classes, or numbers of regions, that are filled; None = all but the background.
        connectivity: Of the pixels of a hole and to its neighbours, as for ``LargestComponent``: with "faces" a
            diagonal wall is closed.
    """

    max_size: float | None = None
    unit: str = "px"
    classes: Sequence[int] | None = None
    connectivity: str = "faces"

    def __post_init__(self) -> None:
        require_common(self.classes, self.connectivity)
        require_choice("fill_holes.unit", self.unit, UNITS)
        if self.max_size is not None:
            require_at_least("fill_holes.max_size", self.max_size, 0)

    def __call__(self, array: np.ndarray, spacing: Spacing) -> None:
        """Change the array in place."""
        most = np.inf if self.max_size is None else self.max_size / pixel_size(self.unit, spacing)
        indices = parts_of(array, self.classes)
        if array.dtype == bool:
            for index in indices:
                array[index] |= self._closed(~array[index], most)[0] > 0
        elif indices:
            holes, count = self._closed(array == 0, most)
            around = classes_around(array, holes, count, self.connectivity)
            array[holes > 0] = np.where(np.isin(around, indices), around, 0)[holes[holes > 0]]

    def _closed(self, background: np.ndarray, most: float) -> tuple[np.ndarray, int]:
        """Number the components (*S) that do not reach the border and are small enough; the number is the second."""
        components, count = connected(background, self.connectivity)
        kept = np.bincount(components.ravel(), minlength=count + 1) <= most
        for axis in range(components.ndim):
            kept[np.unique(components.take((0, -1), axis))] = False
        kept[0] = False
        return np.where(kept, np.arange(count + 1), 0)[components], count


@dataclass(frozen=True)
class Watershed:
    """Parts touching objects of a class where they are narrow, by lines one pixel wide.

    Seeds are the peaks of the distance to the object's edge that stand out by more than ``depth`` (the h-maxima); the
    watershed of the distance lets them grow, and where two meet, the line runs. An object with one peak stays whole.

    Args:
        depth: How far, in ``unit``, the distance to the edge must fall between two peaks that are parted: roughly half
            the widths' difference of object and neck. Larger values part less.
        unit: "px", each pixel 1, or "mm", with the size of a pixel.
        classes: Classes, or numbers of regions, whose objects are parted; None = all but the background. Class 0 may be
            among them where ``line`` is another: cells (0) between membranes (1).
        line: Class of the lines; of regions 0, outside.
        connectivity: Of the pixels of an object, as for ``LargestComponent``.

    Source: Meyer & Beucher 1990 (watershed from markers); Soille 2003, section 6.3 (h-maxima).
    """

    depth: float = 1.0
    unit: str = "px"
    classes: Sequence[int] | None = None
    line: int = 0
    connectivity: str = "faces"

    def __post_init__(self) -> None:
        require_common(self.classes, self.connectivity)
        require_choice("watershed.unit", self.unit, UNITS)
        require_at_least("watershed.line", self.line, 0, integer=True)
        require_at_least("watershed.depth", self.depth, 0)
        if self.depth == 0:
            raise ValueError("watershed.depth=0 would part objects at every unevenness: give a number above 0")
        if self.classes is not None and self.line in self.classes and self.line > 0:
            raise ValueError(f"watershed.line={self.line} is itself among classes={list(self.classes)}: name another")

    def __call__(self, array: np.ndarray, spacing: Spacing) -> None:
        """Change the array in place.

        Raises:
            ValueError: Lines of a class among regions, or of class 0 through class 0.
        """
        if array.dtype == bool and self.line:
            raise ValueError(f"watershed.line={self.line}: between regions lines are outside of them, set it to 0")
        pixel_size(self.unit, spacing)
        sampling = spacing if self.unit == "mm" else None
        indices = parts_of(array, self.classes, lowest=0 if self.line else 1)
        for index in indices if array.dtype == bool else [index for index in indices if index != self.line]:
            lines = self._lines(mask_of(array, index), sampling)
            if array.dtype == bool:
                array[index][lines] = False
            else:
                array[lines] = self.line

    def _lines(self, mask: np.ndarray, sampling: Spacing) -> np.ndarray:
        """Find where the objects of a mask (*S) are parted: (*S) bool."""
        if mask.all() or not mask.any():  # no edge to be distant from, or nothing to part
            return np.zeros_like(mask)
        from scipy import ndimage
        from skimage.morphology import local_maxima, reconstruction
        from skimage.segmentation import watershed

        distance = ndimage.distance_transform_edt(mask, sampling)
        lowered = reconstruction(distance - self.depth, distance)
        seeds, _ = connected(local_maxima(lowered) & mask, "full")
        objects, count = connected(mask, self.connectivity)
        seeded = np.bincount(objects[seeds > 0], minlength=count + 1) > 0
        seeds = np.where(mask & ~seeded[objects], seeds.max() + objects, seeds)  # what has no peak stays whole
        reach = 1 if self.connectivity == "faces" else mask.ndim
        grown = watershed(-distance, seeds, connectivity=reach, mask=mask, watershed_line=True)
        return mask & (grown == 0)


STEPS: dict[str, type] = {  # in the order in which they run
    "largest_component": LargestComponent,
    "min_size": MinSize,
    "fill_holes": FillHoles,
    "watershed": Watershed,
}


class PostProcess:
    """Applies the chosen steps, in their fixed order, to the labels or regions of a whole image.

    Args:
        steps: Of ``STEPS``, each with its settings: {"largest_component": {}, "fill_holes": {"max_size": 50}}.

    Raises:
        ValueError: A step or setting is unknown, or out of its range.
    """

    def __init__(self, steps: Mapping[str, Mapping[str, Any]]) -> None:
        for name in steps:
            require_choice("post-processing step", name, STEPS)
        self.steps: dict[str, Step] = {name: _step(name, steps[name]) for name in STEPS if name in steps}

    def __call__(self, array: np.ndarray, spacing: Sequence[float] | None = None) -> np.ndarray:
        """Return a new array of the same shape and dtype.

        Args:
            array: (*S) integers, the class of each pixel, 0 = background; or (R, *S) bool, overlapping regions. S
                has two or three axes.
            spacing: Size of a pixel per axis, in mm; needed by settings in mm.

        Raises:
            ValueError: The array is neither, has other classes than a step names, or the spacing does not fit.
        """
        axes = array.ndim - (array.dtype == bool)
        if not (array.dtype == bool or np.issubdtype(array.dtype, np.integer)) or axes not in (2, 3):
            raise ValueError(
                f"an array of {array.dtype} and shape {array.shape} cannot be post-processed: give classes (*S) as "
                "integers or regions (R, *S) as bool, S of two or three axes"
            )
        if spacing is not None and (len(spacing) != axes or min(spacing) <= 0):
            raise ValueError(f"spacing={tuple(spacing)} must be one size above 0 for each of {axes} axes")
        done = array.copy()
        for step in self.steps.values() if array.size else ():
            step(done, None if spacing is None else tuple(float(size) for size in spacing))
        return done


def _step(name: str, settings: Mapping[str, Any]) -> Step:
    """Build a step; refuse settings that it does not have."""
    known = [field.name for field in fields(STEPS[name])]
    for key in settings:
        if key not in known:
            raise ValueError(f"{name}.{key}: no such setting{did_you_mean(key, known)}; there are: {', '.join(known)}")
    if name == "min_size" and "size" not in settings:
        raise ValueError("min_size has no size: give the size of the smallest object that stays, such as {size: 20}")
    step: Step = STEPS[name](**settings)
    return step
