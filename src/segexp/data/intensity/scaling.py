"""The maps from a case's intensities to the network's, and the measuring of their numbers.

Sums run in float64 over pieces of a channel, whatever its order in memory, so that a large volume (a mapped file, say)
is never copied; percentiles come from at most ``SAMPLE`` evenly strided pixels.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

SAMPLE = 4_000_000  # pixels that percentiles are taken from, at most
OUTER = (0.1, 99.9)  # percentiles beyond which single pixels do not make the range
OUTER_SAMPLE = 250_000  # pixels that they are taken from, at most
FEWEST = 100  # pixels, of which single ones can be told from the others
FAR = 3.0  # ranges of these percentiles, beyond which an extreme is taken for a defect of the detector
NEAR = 0.5  # ranges beyond the percentiles that take the place of such an extreme
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
    """

    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    std: np.ndarray

    def to_unit(self, image: np.ndarray) -> np.ndarray:
        """Scale (C, *S) to [0, 1] float32, the range in which augmentations are defined; values beyond are clipped."""
        precise = np.promote_types(image.dtype, np.float32)  # float64 for what float32 cannot hold
        unit = image - self.low.astype(precise)
        unit /= (self.high - self.low).astype(precise)
        np.clip(unit, 0, 1, out=unit)
        return unit.astype(np.float32, copy=False)

    def standardize(self, unit: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Turn (C, *S) in [0, 1] into the network's input, with mean and deviation from before the augmentation.

        ``out`` (C, *S) float32 is where it is written; None = a new array.
        """
        centered = np.subtract(unit, self.mean, out=out)
        return np.divide(centered, self.std, out=centered)


def measure_channels(image: np.ndarray, valid: np.ndarray | None, bounds: Bounds) -> Intensity:
    """Measure each channel on its own.

    Args:
        image: (C, *S).
        valid: (*S) bool, the pixels that count; None = all.
        bounds: Function of all pixels of a channel (*S) and the valid ones: what becomes 0 and 1; mean and standard
            deviation are those after clipping there.

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
    return intensity_of(rows, image.ndim)


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


def intensity_of(rows: Sequence[tuple[float, ...]], ndim: int) -> Intensity:
    """Bring low, high, mean and std of each channel, in intensities, into shapes for an image of ``ndim`` axes."""
    low, high, mean, std = np.array(rows, dtype=np.float64).T.reshape(4, -1, *[1] * (ndim - 1))
    width = np.where(high > low, high - low, np.maximum(1, np.abs(low)))  # not lost in rounding beside low
    mean, std = (mean - low) / width, np.where(std > 0, std / width, 1)
    return Intensity(low, low + width, mean.astype(np.float32), std.astype(np.float32))


def robust_range(values: np.ndarray) -> tuple[float, float]:
    """Least and greatest value, unless single pixels make them.

    An extreme that lies more than three ranges beyond the percentiles 0.1 and 99.9 (a hot or dead pixel of a detector)
    is replaced by half a range beyond them; where both percentiles are the same (a few bright spots on an empty
    ground), the extremes stay.
    """
    least, most = float(values.min()), float(values.max())
    if values.size < FEWEST:
        return least, most
    sample = strided(values, OUTER_SAMPLE)
    # Neighbors in order, not means of two: of few pixels the last one must not count.
    low = float(np.percentile(sample, OUTER[0], method="higher"))
    high = float(np.percentile(sample, OUTER[1], method="lower"))
    width = high - low
    if width <= 0:
        return least, most
    return (
        low - NEAR * width if least < low - FAR * width else least,
        high + NEAR * width if most > high + FAR * width else most,
    )


def strided(values: np.ndarray, count: int) -> np.ndarray:
    """Take at most ``count`` of values, evenly strided: (n,)."""
    return values.flat[:: max(1, math.ceil(values.size / count))]


def require_finite(image: np.ndarray) -> None:
    """Refuse, by a ValueError, an image (C, ..) with values that are not finite."""
    if not np.isfinite([(channel.min(), channel.max()) for channel in image]).all():
        raise ValueError("the image holds values that are not finite (nan or inf): fix or remove the file")


def is_gray(image: np.ndarray) -> bool:
    """Whether the channels of an image (C, *S), several, hold the same."""
    # A few pixels tell most color images from gray ones.
    few = image.reshape(len(image), -1)[:, ::97] if image.flags.c_contiguous else image[..., ::10, ::10]
    return len(image) > 1 and bool((few == few[:1]).all() and (image == image[:1]).all())
