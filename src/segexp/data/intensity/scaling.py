"""The maps from a case's intensities to the network's, and the measuring of their numbers.

Sums run in float64 over pieces of a channel, whatever its order in memory, so that a large volume (a mapped file, say)
is never copied; percentiles come from at most ``SAMPLE`` evenly strided pixels.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

SAMPLE = 4_000_000  # pixels that percentiles are taken from, at most
PIECE = 1 << 20  # pixels turned to float64 at a time

Bounds = Callable[[np.ndarray, np.ndarray], tuple[float, float]]


@dataclass(frozen=True)
class Intensity:
    """The affine maps of one case; each array is (C, 1, ..) to broadcast over (C, *S).

    Attributes:
        low: Intensity that becomes 0.
        high: Intensity that becomes 1.
        mean: Mean of the case, on the scale from 0 to 1.
        std: Standard deviation of the case, on that scale.
        clips: Whether values beyond ``low`` and ``high`` become 0 and 1.
    """

    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    clips: bool = False

    def to_unit(self, image: np.ndarray) -> np.ndarray:
        """Scale (C, *S) to [0, 1] float32, the range in which augmentations are defined."""
        precise = np.promote_types(image.dtype, np.float32)  # float64 for what float32 cannot hold
        unit = image - self.low.astype(precise)
        unit /= (self.high - self.low).astype(precise)
        if self.clips:
            np.clip(unit, 0, 1, out=unit)
        return unit.astype(np.float32, copy=False)

    def standardize(self, unit: np.ndarray) -> np.ndarray:
        """Turn (C, *S) in [0, 1] into the network's input, with mean and deviation from before the augmentation."""
        return (unit - self.mean) / self.std


def measure_channels(image: np.ndarray, valid: np.ndarray | None, bounds: Bounds, clips: bool) -> Intensity:
    """Measure each channel on its own.

    Args:
        image: (C, *S).
        valid: (*S) bool, the pixels that count; None = all.
        bounds: Function of all pixels of a channel (*S) and the valid ones: what becomes 0 and 1.
        clips: Whether values beyond the bounds are clipped; mean and standard deviation are those after clipping.

    Raises:
        ValueError: The image is not finite, or ``valid`` has another size or no pixel.
    """
    require_finite(image)
    if valid is not None and (valid.shape != image.shape[1:] or not valid.any()):
        raise ValueError(
            f"the field of view has shape {valid.shape} and {int(valid.sum())} pixels: it must have the image's "
            f"{image.shape[1:]} and at least one pixel"
        )
    rows = []
    for channel in image:
        values = channel if valid is None else channel[valid]
        low, high = map(float, bounds(channel, values))
        rows.append((low, high, *_moments(values, low, high)))
    return intensity_of(rows, image.ndim, clips)


def _moments(values: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """Mean and standard deviation of values after clipping; exactly 0 where they are constant."""
    least, most = (min(max(float(extreme), low), high) for extreme in (values.min(), values.max()))
    if least == most:
        return least, 0.0
    mean = sum(piece.sum() for piece in _pieces(values, low, high)) / values.size
    return mean, math.sqrt(sum(np.square(piece - mean).sum() for piece in _pieces(values, low, high)) / values.size)


def _pieces(values: np.ndarray, low: float, high: float) -> Iterator[np.ndarray]:
    for piece in np.nditer(values, ["external_loop", "buffered"], order="C", buffersize=PIECE):
        yield np.asarray(piece, np.float64).clip(low, high)


def intensity_of(rows: Sequence[tuple[float, ...]], ndim: int, clips: bool) -> Intensity:
    """Bring low, high, mean and std of each channel, in intensities, into shapes for an image of ``ndim`` axes."""
    low, high, mean, std = np.array(rows, dtype=np.float64).T.reshape(4, -1, *[1] * (ndim - 1))
    width = np.where(high > low, high - low, np.maximum(1, np.abs(low)))  # not lost in rounding beside low
    mean, std = (mean - low) / width, np.where(std > 0, std / width, 1)
    return Intensity(low, low + width, mean.astype(np.float32), std.astype(np.float32), clips)


def strided(values: np.ndarray, count: int) -> np.ndarray:
    """Take at most ``count`` of values, evenly strided: (n,)."""
    return values.flat[:: max(1, math.ceil(values.size / count))]


def require_finite(image: np.ndarray) -> None:
    """Refuse, by a ValueError, an image (C, ..) with values that are not finite."""
    if not np.isfinite([(channel.min(), channel.max()) for channel in image]).all():
        raise ValueError("the image holds values that are not finite (nan or inf): fix or remove the file")
