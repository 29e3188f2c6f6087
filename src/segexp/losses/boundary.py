"""Boundary loss: predicted probability times the distance from the true boundary."""

import torch
from torch import Tensor

from segexp.losses.checks import require_tensors
from segexp.losses.reduction import reduce_pixels
from segexp.losses.regions import RegionLoss, SoftRegions

CHUNK = 2**20  # numbers in memory at a time, in the transform along an axis: they fit the cache of a CPU
LAUNCHES = 16  # times as many on other devices, where each chunk costs the start of a kernel


class Boundary(RegionLoss):
    """Mean of probability times signed distance, over pixels and classes (or regions): negative for a good prediction.

    The distance is that of ``signed_distance``, in pixels; the least value is reached by predicting exactly the mask.
    Where a class is absent from a sample's mask, or fills it, its distances are 0: so are its loss and gradient, and
    false positives there cost nothing. Add a loss of overlap or cross-entropy (``Compound``). A soft truth is inside
    where it is above 0.5. If every pixel is ignored, the loss and its gradient are 0.

    Args:
        include_background: Whether class 0 counts too; of regions it has no meaning.
        ignore_index: Target of pixels that do not count, and are neither inside nor outside for the distance.

    Raises:
        ValueError: ``ignore_index`` is not an integer of at least -100.

    Source: Kervadec et al. 2019 (Boundary loss for highly unbalanced segmentation), equation 5.
    """

    def __init__(self, include_background: bool = False, ignore_index: int = 255) -> None:
        super().__init__(include_background, ignore_index)

    def of(self, regions: SoftRegions) -> Tensor:
        """Return the mean over counted pixels and classes, in pixels; weights do not enter what it is divided by."""
        probs = regions.probs
        inside = regions.truth > 0.5
        distance = signed_distance(inside, regions.counted & ~inside)
        return reduce_pixels(probs * distance.to(probs.dtype), regions.factors, regions.counted.expand_as(probs))


@torch.no_grad()
def signed_distance(inside: Tensor, outside: Tensor) -> Tensor:
    """Exact Euclidean distance to the outermost pixels of the object: positive outside, 0 on them, negative inside.

    Outside it is the distance to the nearest pixel inside; inside it is 1 px less than that to the nearest pixel
    outside, and negative. This is the map of the authors' code.

    Args:
        inside: (..., *S) bool with one to three axes after the first two.
        outside: Same shape. A pixel that is neither is nobody's nearest, and gets 0.

    Returns:
        (..., *S) float32 in pixels; 0 everywhere where no pixel is inside or none is outside.
    """
    require_tensors(inside=inside, outside=outside)
    to_inside, to_outside = distance_to(inside), distance_to(outside)
    signed = torch.where(outside, to_inside, torch.where(inside, 1 - to_outside, 0))
    return signed.where(signed.isfinite(), 0)


def distance_to(seeds: Tensor) -> Tensor:
    """Euclidean distance (B, K, *S) of every pixel to the nearest seed, in pixels; inf where there is no seed."""
    squares = torch.zeros(seeds.shape, device=seeds.device).masked_fill_(~seeds, torch.inf)
    limit = CHUNK if squares.device.type == "cpu" else LAUNCHES * CHUNK
    # Squared distances follow from those without this axis: the least of f(j) + (i - j)^2, in chunks.
    for axis in range(2, seeds.ndim):
        size = squares.shape[axis]
        position = torch.arange(size, device=squares.device, dtype=squares.dtype)
        steps = (position[:, None] - position) ** 2
        lines = squares.movedim(axis, -1)
        chunks = torch.split(lines.reshape(-1, 1, size), max(1, limit // size**2))
        nearest = torch.cat([(chunk + steps).amin(-1) for chunk in chunks])
        squares = nearest.reshape(lines.shape).movedim(-1, axis)
    return squares.sqrt_()
