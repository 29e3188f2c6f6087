"""A class between objects that touch: their rims and the gaps between them."""

import numpy as np


def border_of(instances: np.ndarray, width: int) -> np.ndarray:
    """Find the rims of objects, and the gaps where two of them nearly touch.

    A pixel of an object is border if background or another object lies within ``width`` of it (distance between the
    centers of pixels; 1 = the four neighbors); a pixel of the background, if two different objects do. Beyond the
    image's edge lies nothing.

    Args:
        instances: (H, W) integers, 0 = background.
        width: At least 1, px.

    Returns:
        (H, W) bool.
    """
    from scipy import ndimage

    reach = np.arange(-width, width + 1)
    disk = reach[:, None] ** 2 + reach**2 <= width**2
    instances = instances.astype(np.int64)
    highest = ndimage.maximum_filter(instances, footprint=disk, mode="nearest")
    lowest = ndimage.minimum_filter(instances, footprint=disk, mode="nearest")
    numbers = np.where(instances > 0, instances, instances.max() + 1)
    lowest_object = ndimage.minimum_filter(numbers, footprint=disk, mode="nearest")
    return np.where(instances > 0, highest != lowest, highest > lowest_object)
