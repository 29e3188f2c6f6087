"""Small cases of all kinds, smooth enough that images of them can be blurred and moved."""

import numpy as np
from scipy.ndimage import gaussian_filter

from segexp.data.case import Case


def case_of(
    *size: int, channels: int = 1, dtype: str = "float32", spacing: tuple[float, ...] = (), seed: int = 0
) -> Case:
    """A case of smooth noise, from 0 to 255 (photographs) or to 1000, and a blob as truth."""
    rng = np.random.default_rng(seed)
    image = np.stack([gaussian_filter(rng.normal(size=size), 1.5) for _ in range(channels)])
    top = 255 if dtype == "uint8" else 1000
    image = (image - image.min()) / (image.max() - image.min()) * top
    blob = gaussian_filter(rng.normal(size=size), 3)
    target = (blob > np.quantile(blob, 0.7)).astype(np.uint8)
    return Case(f"case_{seed}", image.astype(dtype), target, spacing or (1.0,) * len(size), "mm")


def slice_case() -> Case:
    return case_of(40, 48)


def volume() -> Case:
    return case_of(12, 32, 36, spacing=(3.0, 1.0, 1.0))


def photograph() -> Case:
    return case_of(40, 48, channels=3, dtype="uint8")


KINDS = {"slice": slice_case, "volume": volume, "photograph": photograph}
