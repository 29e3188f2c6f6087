"""Loss of connectedness for tubes: vessels, roads, neurites."""

import torch
from torch import Tensor
from torch.nn import functional as F

from segexp.errors import require_at_least
from segexp.losses.checks import require_above_zero, require_tensors
from segexp.losses.overlap import pixel_sums
from segexp.losses.regions import RegionLoss, SoftRegions


class ClDice(RegionLoss):
    """1 - soft clDice (centerline Dice), averaged over classes (or regions) and samples.

    clDice is the harmonic mean of the fraction of the predicted skeleton that lies in the mask, and of the true
    skeleton that lies in the prediction. It sees centerlines alone: add Dice (``Compound``), as the paper does. Where a
    class is absent from the mask, its loss is s / (s + 2 smooth) for a predicted skeleton of s pixels: 0 if nothing of
    it is predicted, else a pull towards less. If every pixel is ignored, the loss and its gradient are 0.

    Args:
        iterations: Number of erosions after the first opening, at least 0: take at least the half-width in pixels of
            the thickest tube, or its middle is missed.
        smooth: Number of pixels added above and below in both fractions, above 0.
        include_background: Whether class 0 counts too; of regions it has no meaning.
        ignore_index: Target of pixels that are outside in mask and prediction, and do not count.

    Raises:
        ValueError: A value is outside its range.

    Source: Shit et al. 2021 (clDice), algorithms 1 and 2.
    """

    def __init__(
        self, iterations: int = 3, smooth: float = 1.0, include_background: bool = False, ignore_index: int = 255
    ) -> None:
        super().__init__(include_background, ignore_index)
        require_at_least("iterations", iterations, 0, integer=True)
        require_above_zero("smooth", smooth)
        self.iterations = iterations
        self.smooth = smooth

    def of(self, regions: SoftRegions) -> Tensor:
        """Return 1 - clDice, in [0, 1], for one to three axes S; weights are factors in the sums over skeletons."""
        _, truth, counted, factors, _ = regions
        probs = regions.probs * counted
        precision = self._fraction(soft_skeleton(probs, self.iterations), truth, factors)
        sensitivity = self._fraction(soft_skeleton(truth, self.iterations), probs, factors)
        return 1 - (2 * precision * sensitivity / (precision + sensitivity)).mean()

    def _fraction(self, skeleton: Tensor, region: Tensor, factors: Tensor) -> Tensor:
        """Fraction of the skeleton that lies in the region, (B, K)."""
        both = pixel_sums(skeleton * region, False, factors)
        return (both + self.smooth) / (pixel_sums(skeleton, False, factors) + self.smooth)


def soft_skeleton(region: Tensor, iterations: int) -> Tensor:
    """Skeleton by pooling: what an opening takes away, of the region and of each of its erosions.

    Args:
        region: (B, K, *S) in [0, 1] with one to three axes S.
        iterations: Number of erosions.

    Returns:
        (B, K, *S) in [0, 1].
    """
    require_tensors(region=region)
    eroded = _erode(region)
    skeleton = F.relu(region - _dilate(eroded))
    for _ in range(iterations):
        region, eroded = eroded, _erode(eroded)
        thin = F.relu(region - _dilate(eroded))
        skeleton = skeleton + F.relu(thin - skeleton * thin)
    return skeleton


def _erode(region: Tensor) -> Tensor:
    """Minimum over each pixel and its neighbors along the axes; beyond the border there is none."""
    lines = [-_widest(-region, axis) for axis in range(region.ndim - 2)]
    return torch.stack(lines).amin(0)


def _dilate(region: Tensor) -> Tensor:
    """Maximum over each pixel and all its neighbors, those at the corners too: one axis after the other."""
    for axis in range(region.ndim - 2):
        region = _widest(region, axis)
    return region


def _widest(region: Tensor, axis: int) -> Tensor:
    """Maximum over each pixel and its two neighbors along one of the axes S."""
    dims = region.ndim - 2
    window = [3 if other == axis else 1 for other in range(dims)]
    pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[dims - 1]
    pooled: Tensor = pool(region, window, stride=1, padding=[size // 2 for size in window])
    return pooled
