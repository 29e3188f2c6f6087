"""Which part of an image shows anything at all, derived from the image itself."""

import numpy as np

DARK = 10  # gray levels; the surround of photographs stays below, up to ringing of JPEG
HALO = 2.5  # levels of the surround that a pixel of the view exceeds: outside, photographs are not always black


def fundus(image: np.ndarray) -> np.ndarray:
    """Find what a fundus photograph shows within its dark surround.

    Args:
        image: (C, H, W), intensities from 0 to 255.

    Returns:
        (H, W) bool: the largest connected region (by edges) of pixels whose brightest channel exceeds 10, and 2.5 times
        the level of the four corners where these are surround (darker than a quarter of the middle), holes filled; of
        an image that is dark all over, everything.
    """
    from scipy import ndimage

    brightest = image.max(axis=0)
    regions, count = ndimage.label(brightest > _limit(brightest))
    if not count:
        return np.ones(image.shape[1:], dtype=bool)
    sizes = np.bincount(regions.ravel())
    return ndimage.binary_fill_holes(regions == 1 + sizes[1:].argmax())


def _limit(brightest: np.ndarray) -> float:
    """Level that the surround of (H, W) does not exceed."""
    height, width = brightest.shape
    side = max(1, min(height, width) // 32)
    ends = (slice(side), slice(-side, None))
    level = float(np.median([brightest[rows, columns] for rows in ends for columns in ends]))
    center = brightest[height // 4 : height - height // 4, width // 4 : width - width // 4]
    return max(DARK, HALO * level) if 4 * level < np.median(center) else DARK


FIELDS_OF_VIEW = {"fundus": fundus}
