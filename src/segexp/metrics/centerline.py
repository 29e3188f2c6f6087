"""Centerlines of tubes: does the prediction keep vessels whole? clDice."""

from collections.abc import Collection, Sequence
from itertools import product

import numpy as np
import torch
from torch import Tensor

from segexp.metrics.info import MetricInfo
from segexp.metrics.per_class import PerClassMetric
from segexp.metrics.results import MetricResult


class CenterlineScores(PerClassMetric):
    """clDice and its two parts per case and foreground class, or region.

    Topology precision is the fraction of the predicted centerline that lies in the true mask, topology sensitivity the
    fraction of the true centerline that lies in the predicted mask; clDice is their harmonic mean. Each part is
    undefined (nan) without its centerline; clDice is undefined if both masks are empty and 0 if one is. Ignored pixels
    are taken out of both masks first. Arguments and errors as ``PerClassMetric``.

    Source: Shit et al. 2021 (clDice, CVPR, arXiv 2003.07311).
    """

    unit = "fraction"

    def __init__(
        self, class_names: Sequence[str], regions: Collection[str] | None = None, ignore_index: int = 255
    ) -> None:
        super().__init__(class_names, regions, (4,), torch.int64, ignore_index)

    @property
    def info(self) -> dict[str, MetricInfo]:
        """Description of each score."""
        lines = "centerlines by thinning (Zhang in 2-D, Lee in 3-D), counted in pixels"
        per_case = f"per case and {self.kind} ({self.how}), undefined left out; {lines}; {self.averaged}"
        sentences = {
            "cldice": f"harmonic mean of topology precision and topology sensitivity {per_case}",
            "topology_precision": f"fraction of the predicted centerline in the true mask {per_case}",
            "topology_sensitivity": f"fraction of the true centerline in the predicted mask {per_case}",
        }
        return {name: self.describe(sentence) for name, sentence in sentences.items()}

    def measure(self, probs: Tensor, target: Tensor, spacing: Tensor) -> Tensor:  # noqa: ARG002
        """Count pixels of centerlines, S of two or three axes; arguments as `CaseMetric.measure`, errors as `masks`.

        Returns:
            (B, K, 4) int64 per foreground class or region: pixels of the predicted centerline, of these in the true
            mask, pixels of the true centerline, of these in the predicted mask.
        """
        pred, truth = (mask.flatten(0, 1).cpu().numpy() for mask in self.masks(probs, target)[:2])
        counts = [_count(*pair) for pair in zip(pred, truth, strict=True)]
        return torch.tensor(counts, device=probs.device).view(len(probs), len(self.parts), 4)

    def score(self, cases: list[int], measured: Tensor) -> MetricResult:
        """Turn counts (n, K, 4) into rows per case and class."""
        return MetricResult(self.rows(cases, measured, lambda counts: _scores(*counts)))


def centerline(mask: np.ndarray) -> np.ndarray:
    """Thin a mask to lines one pixel wide.

    Lee's thinning can delete a whole object in 3-D, for example a straight bar of 2 x 2 voxels (scikit-image issue
    3757). Such objects are thinned on a grid twice as fine, where every width is odd and they keep their lines.

    Args:
        mask: (H, W) or (D, H, W) bool.

    Returns:
        The same shape, bool; every object of the mask has some pixel of it.

    Source: Zhang and Suen 1984 in 2-D, Lee et al. 1994 in 3-D.
    """
    from scipy.ndimage import find_objects
    from skimage.measure import label
    from skimage.morphology import skeletonize

    lines: np.ndarray = skeletonize(mask)
    if mask.ndim == 3:
        objects = label(mask, connectivity=3)
        boxes = find_objects(objects)
        for number in np.setdiff1d(np.arange(1, len(boxes) + 1), objects[lines]):
            box = boxes[number - 1]
            lines[box] |= _thin_finely(objects[box] == number)
    return lines


def _thin_finely(mask: np.ndarray) -> np.ndarray:
    """Thin on a grid with two steps per voxel, on which an object n voxels wide is 2 n + 1 steps wide."""
    from scipy.ndimage import maximum_filter
    from skimage.morphology import skeletonize

    fine = np.zeros([2 * size + 1 for size in mask.shape], dtype=bool)
    fine[1::2, 1::2, 1::2] = mask
    fine = skeletonize(maximum_filter(fine, size=3))
    halves = [
        fine[tuple(slice(1 + s, 1 + s + 2 * n, 2) for s, n in zip(step, mask.shape, strict=True))]
        for step in product((0, 1), repeat=3)
    ]
    lines = np.logical_or.reduce(halves) & mask
    return lines if lines.any() else mask  # none where the fine line runs outside of the voxels


def _count(pred: np.ndarray, truth: np.ndarray) -> list[int]:
    counts = []
    for mask, other in ((pred, truth), (truth, pred)):
        lines = centerline(mask)
        counts += [int(np.count_nonzero(lines)), int(np.count_nonzero(lines & other))]
    return counts


def _scores(predicted: float, hit: float, true: float, covered: float) -> dict[str, float]:
    nan = float("nan")
    precision = hit / predicted if predicted else nan
    sensitivity = covered / true if true else nan
    cldice = 0.0 if predicted or true else nan
    if hit and covered:
        cldice = 2 * precision * sensitivity / (precision + sensitivity)
    return {"cldice": cldice, "topology_precision": precision, "topology_sensitivity": sensitivity}
