"""Steps of post-processing that keep, remove or fill connected components."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from segexp.errors import require_at_least, require_choice
from segexp.postprocessing.components import (
    UNITS,
    Spacing,
    classes_around,
    connected,
    mask_of,
    parts_of,
    pixel_size,
    require_common,
    take_out,
)

Step = Callable[[np.ndarray, Spacing], None]  # changes labels (*S) or regions (R, *S) in place


@dataclass(frozen=True)
class LargestComponent:
    """Keeps the largest connected component of each class; the rest becomes background.

    Of equally large ones the first in the order of the array stays.

    Args:
        classes: Classes, or numbers of regions; None = all but the background.
        together: Whether these classes count as one, such as an organ with its tumors.
        connectivity: Connectivity of the pixels of a component: "faces" (4 neighbors in 2-D, 6 in 3-D) or "full"
            (8, 26).
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
        groups = [indices] if self.together and indices else [[index] for index in indices]
        for group in groups:
            mask = np.any([mask_of(array, index) for index in group], axis=0)
            components, count = connected(mask, self.connectivity)
            if count > 1:
                largest = 1 + int(np.argmax(np.bincount(components.ravel())[1:]))
                for index in group:
                    take_out(array, index, mask_of(array, index) & (components != largest))


@dataclass(frozen=True)
class MinSize:
    """Removes connected components that are too small; they become background.

    Args:
        size: Size of the smallest component that stays.
        unit: "px" = number of pixels; "mm" = mm³ of volumes, mm² of images.
        classes: Classes, or numbers of regions; None = all but the background.
        connectivity: Connectivity as for ``LargestComponent``.
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
            small[0] = False  # the rest of the image is no component
            take_out(array, index, small[components])


@dataclass(frozen=True)
class FillHoles:
    """Fills holes with the class around them.

    A hole is a connected component of the background that does not reach the border of the image, and whose neighbors
    are all of one class. Of regions, each is filled by itself: there every enclosed pixel outside it is a hole.

    Args:
        max_size: Size of the largest hole that is filled; None = all are.
        unit: Unit of ``max_size``: "px" = number of pixels; "mm" = mm³ of volumes, mm² of images.
        classes: Classes, or numbers of regions, that are filled; None = all but the background.
        connectivity: Connectivity of the pixels of a hole and to its neighbors, as for ``LargestComponent``: with
            "faces" a diagonal wall is closed.
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
            # Of classes, each hole gets the one class around it, if that is among those to be filled.
            holes, count = self._closed(array == 0, most)
            around = classes_around(array, holes, count, self.connectivity)
            array[holes > 0] = np.where(np.isin(around, indices), around, 0)[holes[holes > 0]]

    def _closed(self, background: np.ndarray, most: float) -> tuple[np.ndarray, int]:
        """Number the components (*S) that do not reach the border and are small enough; the number is the second."""
        components, count = connected(background, self.connectivity)
        kept = np.bincount(components.ravel(), minlength=count + 1) <= most
        for axis in range(components.ndim):
            kept[np.unique(components.take((0, -1), axis))] = False
        kept[0] = False  # what is not background
        return np.where(kept, np.arange(count + 1), 0)[components], count
