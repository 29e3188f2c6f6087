"""From the file's intensities to the network's: scale to [0, 1] for augmentation, then to about mean 0, deviation 1.

A rule (``data/intensity=zscore``, percentile, window, training) measures a case; the result is that case's
``Intensity``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import numpy as np

from segexp.data.case import Case
from segexp.data.description import RuleSettings
from segexp.data.intensity.bias_field import simpleitk, without_bias_field
from segexp.data.intensity.scaling import (
    SAMPLE,
    Intensity,
    intensity_of,
    measure_channels,
    require_finite,
    robust_range,
    strided,
)
from segexp.errors import require_at_least, require_between


class IntensityRule(Protocol):
    """How intensities become the network's; a checkpoint keeps its description, to apply the same rule again.

    Attributes:
        corrects: Whether ``correct`` changes pixels.
    """

    corrects: ClassVar[bool] = False

    def fit(self, cases: Sequence[Case]) -> None:  # noqa: ARG002
        """Learn from the training cases, where the rule does; called once, before any ``of``."""
        return

    def of(self, image: np.ndarray, valid: np.ndarray | None = None) -> Intensity:
        """Give the maps of image (C, *S).

        Rules that measure each case do so over ``valid`` (*S) bool where it is given, and map a constant channel to 0.

        Raises:
            ValueError: The image holds values that are not finite, or ``valid`` has another size or no pixel.
        """

    def correct(self, case: Case) -> Case:
        """Change the pixels of a case at the network's spacing before its maps are measured; most rules do not."""
        return case

    def description(self) -> RuleSettings:
        """Return name and settings as plain values; ``rule_from`` makes the rule again."""
        return {"rule": type(self).__name__, **vars(self)}


@dataclass(frozen=True)
class ZScore(IntensityRule):
    """Per case and channel: (x - mean) / standard deviation.

    On the way, minimum and maximum of the whole image become 0 and 1. Nothing is clipped but what single pixels have
    far beyond all others, see ``robust_range``.
    """

    def of(self, image: np.ndarray, valid: np.ndarray | None = None) -> Intensity:
        """Measure image (C, *S); see ``IntensityRule.of``."""
        return measure_channels(image, valid, lambda channel, _: robust_range(channel))


@dataclass(frozen=True)
class N4(ZScore):
    """Per case and channel: N4 bias-field correction, then (x - mean) / standard deviation as of ``ZScore``.

    Args:
        shrink: Factor by which the image is made smaller for the estimate, at least 1, see ``without_bias_field``.
        iterations: Most iterations at each resolution of the field, the coarsest first; each at least 1.
        width: Full width at half maximum of the kernel that sharpens the histogram, above 0, at most 1.

    Raises:
        ValueError: A setting is out of range, or SimpleITK is missing.

    Source: Tustison et al. 2010 (N4ITK), IEEE Transactions on Medical Imaging 29:1310-1320.
    """

    corrects: ClassVar[bool] = True
    shrink: int = 2
    iterations: Sequence[int] = (50, 50, 50)
    width: float = 0.15

    def __post_init__(self) -> None:
        simpleitk()
        require_at_least("shrink", self.shrink, 1, integer=True)
        require_between("width", self.width, 0, 1, "it is in logarithmic intensities", open_at="low")
        if not self.iterations:
            raise ValueError("iterations=[] must have a number per resolution of the field, such as [50, 50, 50]")
        for count in self.iterations:
            require_at_least("iterations", count, 1, integer=True)

    def correct(self, case: Case) -> Case:
        """Divide the bias field out of each channel (*S) of a case."""
        channels = [
            without_bias_field(channel, case.spacing, self.shrink, self.iterations, self.width)
            for channel in case.image
        ]
        return replace(case, image=np.stack(channels))

    def description(self) -> RuleSettings:
        """Return name and settings as plain values."""
        return {"rule": type(self).__name__, **vars(self), "iterations": [int(count) for count in self.iterations]}


@dataclass(frozen=True)
class PercentileClip(IntensityRule):
    """Per case and channel: clip to two percentiles, then (x - mean) / standard deviation of the clipped values.

    Where both percentiles are the same intensity (a few bright spots on an empty ground), minimum and maximum take
    their place, as of ``ZScore``.

    Args:
        low: Percentile that becomes 0; from 0 to ``high``.
        high: Percentile that becomes 1; at most 100.

    Raises:
        ValueError: The percentiles are out of range or order.
    """

    low: float = 0.5
    high: float = 99.5

    def __post_init__(self) -> None:
        require_percentiles(self.low, self.high)

    def of(self, image: np.ndarray, valid: np.ndarray | None = None) -> Intensity:
        """Measure image (C, *S); see ``IntensityRule.of``."""

        def bounds(_: np.ndarray, values: np.ndarray) -> tuple[float, float]:
            low, high = np.percentile(strided(values, SAMPLE), [self.low, self.high])
            return (low, high) if low < high else robust_range(values)

        return measure_channels(image, valid, bounds)


@dataclass(frozen=True)
class Window(IntensityRule):
    """Clip to a fixed window of intensities and map it to [-1, 1], the same for all cases and channels.

    No z-score follows (the mean is that of the window, the deviation half its width): equal values, such as Hounsfield
    units of CT, stay equal in all cases.

    Args:
        low: Intensity, in the unit of the files, that becomes -1.
        high: Intensity that becomes 1, above ``low``. The defaults are CT's usual window for the abdomen's soft
            tissue: level 40, width 400 Hounsfield units.

    Raises:
        ValueError: ``high`` is not above ``low``.
    """

    low: float = -160.0
    high: float = 240.0

    def __post_init__(self) -> None:
        if not -math.inf < self.low < self.high < math.inf:
            raise ValueError(f"Window(low={self.low}, high={self.high}): high must be above low, both finite")

    def of(self, image: np.ndarray, valid: np.ndarray | None = None) -> Intensity:  # noqa: ARG002
        """Refuse image (C, *S) if it is not finite; else the maps are those of the window."""
        require_finite(image)
        middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2
        return intensity_of([(self.low, self.high, middle, half)] * len(image), image.ndim)


def require_percentiles(low: float, high: float) -> None:
    """Refuse percentiles out of range or order."""
    require_between("low", low, 0, 100)
    require_between("high", high, 0, 100)
    if not low < high:
        raise ValueError(f"low={low} and high={high} must be percentiles from 0 to 100, low below high")
