"""Labels to post-process, and one step applied to them."""

import numpy as np
from scipy import ndimage

from segexp.postprocessing.postprocess import PostProcess

SIZES = [(40, 37), (14, 16, 15)]
REACH = {"faces": 1, "full": None}  # what MONAI calls it


def blobs(size: tuple[int, ...], seed: int, classes: int = 3) -> np.ndarray:
    """Smooth random labels (*size) uint8 with many objects, specks and holes."""
    noise = np.random.default_rng(seed).random((classes, *size))
    smooth = np.stack([ndimage.gaussian_filter(channel, 1.0) for channel in noise])
    return smooth.argmax(0).astype(np.uint8)


def apply(array: np.ndarray, step: str, spacing: tuple[float, ...] | None = None, **settings) -> np.ndarray:
    return PostProcess({step: settings})(array, spacing)


def component_sizes(mask: np.ndarray, connectivity: str) -> np.ndarray:
    structure = ndimage.generate_binary_structure(mask.ndim, 1 if connectivity == "faces" else mask.ndim)
    return np.bincount(ndimage.label(mask, structure)[0].ravel())[1:]
