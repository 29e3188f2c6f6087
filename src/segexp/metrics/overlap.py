"""Overlap of prediction and truth: Dice, IoU, precision and recall from exact pixel counts."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from segexp.errors import require_at_least
from segexp.metrics.case_metric import CaseMetric


class OverlapScores(CaseMetric):
    """Dice, IoU, precision and recall of the argmax prediction per case and foreground class.

    An undefined ratio (0/0, for example the Dice of a class that neither truth nor prediction has) is nan.

    Args:
        class_names: The name of each class, background first.
        ignore_index: Pixels with this target, or with a negative one, count nowhere.

    Raises:
        ValueError: There are fewer than two classes.
    """

    def __init__(self, class_names: Sequence[str], ignore_index: int = 255) -> None:
        require_at_least("number of class_names", len(class_names), 2, whole=True)
        super().__init__((len(class_names) - 1, 3), torch.int64, ignore_index)
        self.class_names = tuple(class_names)

    @property
    def protocol(self) -> dict[str, str]:
        """Name of each figure -> how it comes about."""
        per_case = "per case and foreground class of the argmax prediction, undefined (0/0) left out"
        ratios = {
            "dice": "2 TP / (2 TP + FP + FN)",
            "iou": "TP / (TP + FP + FN)",
            "precision": "TP / (TP + FP)",
            "recall": "TP / (TP + FN)",
        }
        sentences = {
            name: f"{ratio} {per_case}; averaged over cases, then over classes" for name, ratio in ratios.items()
        }
        for name in self.class_names[1:]:
            sentences[f"dice_pooled_{name}"] = (
                f"2 TP / (2 TP + FP + FN) of class {name} with the pixels of all cases counted together; "
                "argmax prediction"
            )
        return sentences

    def measure(self, probs: Tensor, target: Tensor) -> Tensor:
        """Count true positives, false positives and false negatives.

        Args:
            probs: (B, C, *S) float.
            target: (B, *S) int64.

        Returns:
            (B, C - 1, 3) int64: TP, FP, FN of each foreground class.

        Raises:
            ValueError: ``probs`` or ``target`` have other classes than ``class_names``.
        """
        self._require_classes(probs, target)
        pred = probs.max(dim=1).indices  # the argmax, at a tenth of the time of argmax on the CPU
        confusion = _confusion(pred, target, self.counted(target), probs.shape[1])
        hit = confusion.diagonal(dim1=1, dim2=2)
        return torch.stack([hit, confusion.sum(dim=1) - hit, confusion.sum(dim=2) - hit], dim=2)[:, 1:]

    def score(self, cases: list[int], measured: Tensor) -> dict[str, Any]:
        """Turn counts (n, C - 1, 3) into rows per case and class and pooled figures."""
        names = self.class_names[1:]
        rows = [
            {"case": case, "class": name, **_ratios(*counts)}
            for case, of_case in zip(cases, measured.tolist(), strict=True)
            for name, counts in zip(names, of_case, strict=True)
        ]
        pooled = zip(names, measured.sum(dim=0).tolist(), strict=True)
        return {
            "rows": rows,
            "set": {f"dice_pooled_{name}": _ratios(*counts)["dice"] for name, counts in pooled},
            "chosen": {},
        }

    def _require_classes(self, probs: Tensor, target: Tensor) -> None:
        known = len(self.class_names)
        if probs.shape[1] != known:
            raise ValueError(
                f"probs have {probs.shape[1]} channels but there are {known} classes {list(self.class_names)}: "
                "give one channel and one name per class"
            )
        nameless = self.counted(target) & (target >= known)
        if nameless.any():
            raise ValueError(
                f"target holds class {int(target[nameless][0])} but there are {known} classes "
                f"{list(self.class_names)}: name it in class_names, or mark such pixels with "
                f"ignore_index={self.ignore_index}"
            )


def _confusion(pred: Tensor, target: Tensor, counted: Tensor, classes: int) -> Tensor:
    """Count pixels per case, true class and predicted class: (B, C, C) int64 from three (B, *S) tensors."""
    batch, cells = target.shape[0], target.shape[0] * classes**2
    case = torch.arange(batch, device=target.device).view(-1, *[1] * (target.ndim - 1))
    cell = (case * classes + target) * classes + pred
    cell = torch.where(counted, cell, cells)  # what does not count goes to one cell more
    return torch.bincount(cell.flatten(), minlength=cells + 1)[:cells].view(batch, classes, classes)


def _ratios(tp: int, fp: int, fn: int) -> dict[str, float]:
    return {
        "dice": _ratio(2 * tp, 2 * tp + fp + fn),
        "iou": _ratio(tp, tp + fp + fn),
        "precision": _ratio(tp, tp + fp),
        "recall": _ratio(tp, tp + fn),
    }


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
