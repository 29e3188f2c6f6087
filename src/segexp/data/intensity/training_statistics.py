"""One map for all cases, by the foreground of the training cases: nnU-Net's rule for CT."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from segexp.data.case import IGNORED, Case
from segexp.data.description import RuleSettings
from segexp.data.intensity.rules import IntensityRule, require_percentiles
from segexp.data.intensity.scaling import (
    SAMPLE,
    Intensity,
    intensity_of,
    require_finite,
    robust_range,
    strided,
)


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
        require_percentiles(low, high)
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
