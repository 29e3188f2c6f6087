"""Which part of an image shows anything at all, derived from the image itself."""

import numpy as np

DARK = 10  # gray levels; the surround of photographs stays below, up to ringing of JPEG


def fundus(image: np.ndarray) -> np.ndarray:
    """Find what a fundus photograph shows within its dark surround.

    Args:
        image: (C, H, W), intensities from 0 to 255.

    Returns:
        (H, W) bool: the largest connected region (by edges) of pixels whose brightest channel exceeds 10, holes filled;
        of an image that is dark all over, everything.
    """
    from scipy import ndimage

    regions, count = ndimage.label(image.max(axis=0) > DARK)
    if not count:
        return np.ones(image.shape[1:], dtype=bool)
    sizes = np.bincount(regions.ravel())
    return ndimage.binary_fill_holes(regions == 1 + sizes[1:].argmax())


FIELDS_OF_VIEW = {"fundus": fundus}
