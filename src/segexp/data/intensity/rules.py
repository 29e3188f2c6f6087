"""From the file's intensities to the network's: scale to [0, 1] for augmentation, then to about mean 0, deviation 1.

A rule (``data/intensity=zscore``, percentile, window, training) measures a case; the result is that case's
``Intensity``.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import numpy as np

from segexp.data.case import IGNORED, Case
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
from segexp.errors import require_at_least, require_between, require_choice


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
        _require_percentiles(self.low, self.high)

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


class TrainingStatistics(IntensityRule):
    """Clip and standardize all cases alike, by the foreground of the training cases: nnU-Net's rule for CT.

    Clip bounds are percentiles, mean and standard deviation those of the values before clipping, per channel, over the
    foreground pixels of all training cases together: at most ``SAMPLE`` of them, evenly strided, and from no case more
    than its equal part of that. Single pixels far beyond all others count as in ``ZScore``.

    Args:
        low: Percentile that becomes 0 before augmentation; from 0 to ``high``.
        high: Percentile that becomes 1; at most 100.
        measured: {"low": .., "high": .., "mean": .., "std": ..}, each a list with one intensity per channel, from an
            earlier ``fit``, to be used as they are; None = measure.

    Raises:
        ValueError: The percentiles are out of range or order, or ``measured`` does not have these lists.

    Source: Isensee et al. 2021 (nnU-Net), Nature Methods 18:203-211, intensity normalization of CT.
    """

    def __init__(
        self, low: float = 0.5, high: float = 99.5, measured: Mapping[str, Sequence[float]] | None = None
    ) -> None:
        _require_percentiles(low, high)
        self.low = low
        self.high = high
        self.measured = None if measured is None else _plain(measured)
        self._numbers = self.measured

    def fit(self, cases: Sequence[Case]) -> None:
        """Measure the foreground of the training cases, unless ``measured`` was given.

        Raises:
            ValueError: No case has foreground, or it is constant or not finite.
        """
        if self.measured is not None:
            return
        values = np.concatenate([_foreground(case, max(1, SAMPLE // len(cases))) for case in cases], axis=1)
        if not values.size:
            raise ValueError(f"none of {len(cases)} training cases has foreground: take data/intensity=zscore")
        values = np.stack([channel.clip(*robust_range(channel)) for channel in values])
        low, high = np.percentile(values, [self.low, self.high], axis=1)
        self._numbers = _plain({"low": low, "high": high, "mean": values.mean(axis=1), "std": values.std(axis=1)})

    def of(self, image: np.ndarray, valid: np.ndarray | None = None) -> Intensity:  # noqa: ARG002
        """Return the maps of all cases, shaped for image (C, *S).

        Raises:
            ValueError: ``fit`` was not called, or the image is not finite or has other channels.
        """
        require_finite(image)
        rows = list(zip(*self._fitted().values(), strict=True))
        if len(rows) != len(image):
            raise ValueError(
                f"the image has {len(image)} channels, the training statistics {len(rows)}: they must agree"
            )
        return intensity_of(rows, image.ndim)

    def description(self) -> RuleSettings:
        """Return name, settings and what was measured as plain values.

        Raises:
            ValueError: ``fit`` was not called.
        """
        return {"rule": type(self).__name__, "low": self.low, "high": self.high, "measured": self._fitted()}

    def _fitted(self) -> dict[str, list[float]]:
        if self._numbers is None:
            raise ValueError("TrainingStatistics has measured nothing yet: call fit with the training cases first")
        return self._numbers


RULES = {rule.__name__: rule for rule in (ZScore, N4, PercentileClip, Window, TrainingStatistics)}


def rule_from(description: Mapping[str, Any]) -> IntensityRule:
    """Make the rule that ``description`` describes, such as {"rule": "Window", "low": -160.0, "high": 240.0}.

    Raises:
        ValueError: There is no such rule, or its settings are others.
    """
    settings = dict(description)
    name = settings.pop("rule", None)
    require_choice("the intensity rule", name, RULES)
    try:
        return RULES[name](**settings)
    except TypeError as error:
        raise ValueError(f"intensity rule {name} cannot have the settings {settings} ({error})") from error


def _foreground(case: Case, count: int) -> np.ndarray:
    """Values (C, n) float64 of at most ``count`` foreground pixels; refuses what is not finite."""
    if case.target is None:
        return np.empty((len(case.image), 0))
    counts = (case.target > 0) & (case.target < IGNORED)
    if case.valid is not None:
        counts &= case.valid
    chosen: Any = np.unravel_index(strided(np.flatnonzero(counts), count), counts.shape)
    values = case.image[:, *chosen].astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"case {case.name} has foreground that is not finite (nan or inf): fix or remove the file")
    return values


def _plain(measured: Mapping[str, Any]) -> dict[str, list[float]]:
    """Turn measured numbers into lists of floats; refuses channels without spread."""
    names = ("low", "high", "mean", "std")
    numbers = {name: [float(number) for number in measured.get(name, ())] for name in names}
    if set(measured) == set(names) and len({len(values) for values in numbers.values()}) == 1:
        rows = list(zip(*numbers.values(), strict=True))
        if rows and all(low < high and std > 0 for low, high, _, std in rows):
            return numbers
    raise ValueError(
        f"training statistics {dict(measured)} must have low, high, mean and std of each channel, low below high and "
        "std above 0: where the foreground is constant, take data/intensity=zscore"
    )


def _require_percentiles(low: float, high: float) -> None:
    require_between("low", low, 0, 100)
    require_between("high", high, 0, 100)
    if not low < high:
        raise ValueError(f"low={low} and high={high} must be percentiles from 0 to 100, low below high")
