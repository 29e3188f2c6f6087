"""A case as corruptions see it: intensities in the window of the image's own range, and what its axes are."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from segexp.data.case import Case

Image = NDArray[np.float32]
PERCENTILES = (0.5, 99.5)  # of each channel of an image that is no photograph: the ends of its window


@dataclass(frozen=True, eq=False)
class Scan:
    """Intensities and axes of a case.

    Attributes:
        image: (C, *S), 0 and 1 are the ends of the window.
        low: (C, 1, …) intensities at 0, as they are stored.
        width: (C, 1, …) of the window, in stored intensities, above 0.
        spacing: Size of a pixel per axis; only their ratios count.
        dtype: Of the stored intensities.
        valid: (*S) bool, the pixels in which the image is compared; None = all.
    """

    image: Image
    low: Image = field(repr=False)
    width: Image = field(repr=False)
    spacing: tuple[float, ...]
    dtype: np.dtype
    valid: NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, case: Case) -> Self:
        """See a case in its window: 0 to 255 of a photograph, else percentiles of each channel."""
        image = case.image.astype(np.float32)
        axes = (1,) * (image.ndim - 1)
        if is_photograph(case):
            low, high = np.zeros(len(image)), np.full(len(image), 255.0)
        else:
            pixels = [channel if case.valid is None else channel[case.valid] for channel in image]
            low, high = np.array([np.percentile(each, PERCENTILES) for each in pixels]).T
        zero = low.reshape(-1, *axes).astype(np.float32)
        width = np.where(high > low, high - low, 1.0).reshape(-1, *axes).astype(np.float32)
        return cls((image - zero) / width, zero, width, case.spacing, case.image.dtype, case.valid)

    @property
    def slice_axis(self) -> int:
        """Spatial axis along which a volume was acquired slice by slice: that of the largest pixels, else the first."""
        return int(np.argmax(self.spacing))

    @property
    def plane(self) -> tuple[int, int]:
        """The two spatial axes in the plane of a slice, or of an image."""
        axes = [axis for axis in range(len(self.spacing)) if len(self.spacing) == 2 or axis != self.slice_axis]
        return axes[0], axes[1]

    def stored(self, image: Image) -> np.ndarray:
        """Turn intensities in the window back into those of the file: integers are rounded, and stay in their range."""
        values = image * self.width + self.low
        if np.issubdtype(self.dtype, np.integer):
            info = np.iinfo(self.dtype)
            return np.rint(np.clip(values.astype(np.float64), info.min, info.max)).astype(self.dtype)
        return values.astype(self.dtype)

    def seen(self, stored: np.ndarray) -> Image:
        """See stored intensities (C, *S) in the window."""
        found: Image = (stored.astype(np.float32) - self.low) / self.width
        return found


def is_photograph(case: Case) -> bool:
    """Whether a case is a color image of 8 bits."""
    return case.image.dtype == np.uint8 and case.image.shape[0] == 3 and case.image.ndim == 3


def along(values: np.ndarray, axis: int, axes: int) -> np.ndarray:
    """Lay (n,) along one of so many spatial axes, so that it combines with (C, *S)."""
    shape = [1] * (axes + 1)
    shape[axis + 1] = -1
    return values.reshape(shape)


def centered(size: Sequence[int]) -> list[np.ndarray]:
    """Coordinates of the pixels per axis, each to be combined with (C, *S): from above -1 to below 1."""
    return [
        along(((np.arange(n) + 0.5) / n * 2 - 1).astype(np.float32), axis, len(size)) for axis, n in enumerate(size)
    ]
