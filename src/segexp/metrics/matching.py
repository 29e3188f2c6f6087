"""Objects that are numbered: which of the prediction and which of the truth are the same?"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


class Pairs(NamedTuple):
    """Pairs of a true and a predicted object.

    Attributes:
        truth: (M,) int, numbers of the true objects.
        pred: (M,) int, numbers of the predicted ones.
        iou: (M,) float, intersection over union of each pair.
    """

    truth: np.ndarray
    pred: np.ndarray
    iou: np.ndarray


def match_objects(pred: np.ndarray, truth: np.ndarray, threshold: float = 0.5) -> Pairs:
    """Match the objects of two instance masks one to one.

    Args:
        pred: (*S) integers, the number of the object of each pixel, in any order and with gaps; 0 is no object.
        truth: Same shape.
        threshold: Intersection over union that a pair must exceed, in [0, 1). Below 0.5, where an object may have
            several candidates, as many pairs as possible are made, and of these the ones with the greatest sum.

    Returns:
        The pairs, by the number of the true object.

    Raises:
        ValueError: The shapes differ, a mask holds no integers or negative ones, or the threshold is out of range.
    """
    require_thresholds([threshold])
    (true_numbers, true), (pred_numbers, predicted) = _numbered("truth", truth), _numbered("pred", pred)
    _require_same_shape(pred, truth)
    pairs = matched(overlapping(predicted, true), threshold)
    return Pairs(true_numbers[pairs.truth], pred_numbers[pairs.pred], pairs.iou)


def object_scores(pred: np.ndarray, truth: np.ndarray, thresholds: Sequence[float] = THRESHOLDS) -> dict[str, float]:
    """Score the objects of one instance mask against another, as ``ObjectScores`` does those of one case.

    For panoptic quality per class, call it with the objects of one class: ``np.where(classes == k, pred, 0)``.

    Args:
        pred: (*S) integers, the number of the object of each pixel; 0 is no object. Objects may touch.
        truth: Same shape.
        thresholds: Thresholds of the intersection over union, in [0, 1); F1 is scored at the first one.

    Returns:
        ``object_f1``, ``object_ap`` and ``object_pq``, at 0.5; nan where neither mask has an object.

    Raises:
        ValueError: As of ``match_objects``.
    """
    require_thresholds(thresholds)
    (true_numbers, true), (pred_numbers, predicted) = _numbered("truth", truth), _numbered("pred", pred)
    _require_same_shape(pred, truth)
    pairs = overlapping(predicted, true)
    iou = pairs.iou[pairs.iou > 0.5]
    matches = [len(matched(pairs, threshold).iou) for threshold in thresholds]
    return scores_of_counts([len(true_numbers) - 1, len(pred_numbers) - 1, len(iou), float(iou.sum()), *matches])


def overlapping(pred: np.ndarray, truth: np.ndarray) -> Pairs:
    """Find all pairs of objects (*S), numbered from 1 without a gap, that have a pixel in common."""
    both = (pred > 0) & (truth > 0)
    numbers = int(pred.max(initial=0)) + 1
    pairs, common = np.unique(truth[both] * numbers + pred[both], return_counts=True)
    of_truth, of_pred = np.divmod(pairs, numbers)
    union = np.bincount(truth.ravel())[of_truth] + np.bincount(pred.ravel())[of_pred] - common
    return Pairs(of_truth, of_pred, common / union)


def matched(pairs: Pairs, threshold: float) -> Pairs:
    """Keep pairs above the threshold in which no object occurs twice: as many as there can be."""
    above = Pairs(*(values[pairs.iou > threshold] for values in pairs))
    if threshold >= 0.5 or not len(above.iou):
        return above  # two objects that share more than half of their union share it with no other
    from scipy.optimize import linear_sum_assignment

    rows, row = np.unique(above.truth, return_inverse=True)
    columns, column = np.unique(above.pred, return_inverse=True)
    gain = np.zeros((len(rows), len(columns)))
    gain[row, column] = 1 + above.iou / (2 * len(above.iou))  # one pair more outweighs any sum of IoU
    partner = np.full(len(rows), -1)
    chosen = linear_sum_assignment(gain, maximize=True)
    partner[chosen[0]] = chosen[1]
    kept = partner[row] == column
    return Pairs(*(values[kept] for values in above))


def scores_of_counts(measured: Sequence[float]) -> dict[str, float]:
    """F1, average precision and panoptic quality from counts: see the measurement of ``ObjectScores``."""
    true, predicted, pairs, iou_sum, *matches = measured
    total = true + predicted
    if not total:
        return dict.fromkeys(("object_f1", "object_ap", "object_pq"), float("nan"))
    return {
        "object_f1": 2 * matches[0] / total,
        "object_ap": sum(tp / (total - tp) for tp in matches) / len(matches),
        "object_pq": iou_sum / (pairs + (true - pairs) / 2 + (predicted - pairs) / 2),
    }


def require_thresholds(thresholds: Sequence[float]) -> None:
    """Refuse thresholds of the IoU that are none or outside [0, 1)."""
    if not thresholds or not all(0 <= threshold < 1 for threshold in thresholds):
        raise ValueError(f"thresholds={list(thresholds)} must be one or more IoU in [0, 1), such as 0.5")


def _numbered(name: str, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the objects in a mask, 0 first, and the mask with them renumbered without a gap."""
    if not isinstance(mask, np.ndarray) or mask.dtype.kind not in "iu" or mask.min(initial=0) < 0:
        kind = getattr(mask, "dtype", type(mask).__name__)
        raise ValueError(f"{name} of {kind} must be a NumPy array of integers: numbers of objects, and 0 for no object")
    numbers, places = np.unique(np.concatenate([[0], mask.ravel()]), return_inverse=True)
    return numbers, places[1:].reshape(mask.shape)


def _require_same_shape(pred: np.ndarray, truth: np.ndarray) -> None:
    if pred.shape != truth.shape:
        raise ValueError(f"pred of shape {pred.shape} must have the shape of truth {truth.shape}")
