"""Splitting touching objects by the watershed of the distance to their edges."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segexp.errors import require_at_least, require_choice
from segexp.postprocessing.components import UNITS, Spacing, connected, mask_of, parts_of, pixel_size, require_common


@dataclass(frozen=True)
class Watershed:
    """Splits touching objects of a class where they are narrow, by lines one pixel wide.

    Seeds are the peaks of the distance to the object's edge that stand out by more than ``depth`` (the h-maxima); the
    watershed of the distance lets them grow, and where two meet, the line runs. An object with one peak stays whole.

    Args:
        depth: Depth in ``unit`` to which the distance to the edge must fall between two peaks that are split: roughly
            half the difference between the widths of object and neck. Larger values split less.
        unit: "px", each pixel 1, or "mm", with the size of a pixel.
        classes: Classes, or numbers of regions, whose objects are split; None = all but the background. Class 0 may be
            among them where ``line`` is another: cells (0) between membranes (1).
        line: Class of the lines; of regions 0, outside.
        connectivity: Connectivity of the pixels of an object, as for ``LargestComponent``.

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
            raise ValueError("watershed.depth=0 would split objects at every unevenness: give a number above 0")
        if self.classes is not None and self.line in self.classes and self.line > 0:
            raise ValueError(f"watershed.line={self.line} is itself among classes={list(self.classes)}: name another")

    def __call__(self, array: np.ndarray, spacing: Spacing) -> None:
        """Change the array in place.

        Raises:
            ValueError: The lines are of a class among regions, or of class 0 through class 0.
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
        """Find the lines that split the objects of a mask (*S): (*S) bool."""
        if mask.all() or not mask.any():  # no edge to be distant from, or nothing to split
            return np.zeros_like(mask)
        from scipy import ndimage
        from skimage import morphology, segmentation

        # Peaks of the distance that stand out by more than the depth: the maxima that lowering it by the depth leaves.
        distance = ndimage.distance_transform_edt(mask, sampling)
        lowered = morphology.reconstruction(distance - self.depth, distance)
        seeds, _ = connected(morphology.local_maxima(lowered) & mask, "full")
        # An object without a peak becomes one seed, so that it stays whole.
        objects, count = connected(mask, self.connectivity)
        seeded = np.bincount(objects[seeds > 0], minlength=count + 1) > 0
        seeds = np.where(mask & ~seeded[objects], seeds.max() + objects, seeds)
        # Seeds grow along the distance; where two meet, the watershed leaves a line.
        reach = 1 if self.connectivity == "faces" else mask.ndim
        grown: np.ndarray = segmentation.watershed(-distance, seeds, connectivity=reach, mask=mask, watershed_line=True)
        return np.asarray(mask & (grown == 0))
