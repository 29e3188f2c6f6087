"""From the file's gray values to the network's: scale to [0, 1] for augmentation, then z-score, both per case."""

from dataclasses import dataclass

import numpy as np

RULE = "per case and channel: (x - mean) / standard deviation"


@dataclass(frozen=True)
class Intensity:
    """The affine maps of one case; each array is (C, 1, ..) to broadcast over (C, *S)."""

    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, image: np.ndarray) -> "Intensity":
        """Measure image (C, *S). A constant channel maps to 0.

        Raises:
            ValueError: The image holds values that are not finite.
        """
        axes = tuple(range(1, image.ndim))
        values = image.astype(np.float64)
        if not np.isfinite(values).all():
            raise ValueError("the image holds values that are not finite (nan or inf): mend or remove the file")
        low, high, mean, std = (f(values, axis=axes, keepdims=True) for f in (np.min, np.max, np.mean, np.std))
        width = np.where(high > low, high - low, 1)
        mean, std = (mean - low) / width, np.where(std > 0, std / width, 1)
        return cls(*(a.astype(np.float32) for a in (low, low + width, mean, std)))

    def to_unit(self, image: np.ndarray) -> np.ndarray:
        """Scale (C, *S) to [0, 1] float32, the range in which augmentations are defined."""
        return (image.astype(np.float32) - self.low) / (self.high - self.low)

    def standardise(self, unit: np.ndarray) -> np.ndarray:
        """Turn (C, *S) in [0, 1] into mean 0 and standard deviation 1 (of the whole case, before augmentation)."""
        return (unit - self.mean) / self.std
