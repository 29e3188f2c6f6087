"""Weight maps: how much each pixel of a mask counts in the loss."""

import numpy as np
from scipy import ndimage

from segexp.errors import require_at_least

# Beyond this many sigma the border term is below w0 * e^-18, 2e-8 of its height: less than float32 resolves beside 1.
REACH_IN_SIGMA = 6


class BorderWeightMap:
    """Class balance plus high weights in the narrow gaps between cells.

    w(x) = w_c(x) + w0 * exp(-(d1(x) + d2(x))^2 / (2 sigma^2)), where d1 and d2 are the distances in px from x to the
    nearest and to the second-nearest cell. Cells are the connected regions of ``object_class`` (neighbors share a
    side: 4-connected in 2-D, 6-connected in 3-D). A pixel that touches a cell has distance 1 from it. The border term
    is 0 inside cells and everywhere if there are fewer than two cells. w_c gives every class that occurs the same
    total weight, and has mean 1 over the counted pixels.

    Args:
        w0: Height of the border term, at least 0.
        sigma: Width of the border term in px, above 0.
        object_class: Class whose connected regions are the cells, 0 to 255.
        ignore_index: Pixels of this value are not counted: they weigh 0 and are left out of the class balance.

    Raises:
        ValueError: A value is outside its range, or ``object_class`` is the ignored one.

    Source: Ronneberger et al. 2015 (U-Net), equation 2.
    """

    def __init__(self, w0: float = 10.0, sigma: float = 5.0, object_class: int = 1, ignore_index: int = 255) -> None:
        require_at_least("w0", w0, 0)
        require_at_least("sigma", sigma, 0)
        if sigma == 0:
            raise ValueError("sigma=0 must be above 0: the paper takes 5 px, w0=0 switches the border term off")
        require_at_least("object_class", object_class, 0, integer=True)
        require_at_least("ignore_index", ignore_index, 0, integer=True)
        if object_class == ignore_index:
            raise ValueError(f"object_class={object_class} is also ignore_index: choose another value for one of them")
        self.w0 = w0
        self.sigma = sigma
        self.object_class = object_class
        self.ignore_index = ignore_index

    def __call__(self, target: np.ndarray) -> np.ndarray:
        """Return the weights of one mask.

        Args:
            target: (H, W) or (D, H, W) uint8 class indices.

        Returns:
            float32 of the same shape.

        Raises:
            ValueError: The mask is not uint8.
        """
        if target.dtype != np.uint8:
            raise ValueError(f"mask of dtype {target.dtype} must be uint8 class indices: use mask.astype('uint8')")
        counted = target != self.ignore_index
        # A class weighs 1 / (number of classes present * its frequency).
        pixels = np.bincount(target[counted], minlength=256)
        present = pixels > 0
        weight_of = np.zeros(256)
        weight_of[present] = pixels.sum() / (present.sum() * pixels[present])
        # The border term is 0 inside the cells.
        cells = target == self.object_class
        nearest, second = _two_nearest_cells(cells, reach=int(np.ceil(REACH_IN_SIGMA * self.sigma)))
        border = np.where(cells, 0.0, self.w0 * np.exp(-((nearest + second) ** 2) / (2 * self.sigma**2)))
        return np.where(counted, weight_of[target] + border, 0).astype(np.float32)


def _two_nearest_cells(cells: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances (*S) in px to the nearest and the second-nearest cell; those above ``reach`` may be inf.

    Each cell is measured in its own bounding box grown by ``reach`` alone, which is exact up to that distance.
    """
    labels, _ = ndimage.label(cells)
    nearest = np.full(cells.shape, np.inf)
    second = np.full(cells.shape, np.inf)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        near = tuple(slice(max(side.start - reach, 0), side.stop + reach) for side in box)
        distance = ndimage.distance_transform_edt(labels[near] != number)
        second[near] = np.minimum(second[near], np.maximum(nearest[near], distance))
        nearest[near] = np.minimum(nearest[near], distance)
    return nearest, second
