"""Overlap of prediction and truth: Dice, IoU, precision and recall from exact pixel counts."""

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from segexp.errors import require_at_least
from segexp.metrics.case_metric import CaseMetric


class OverlapScores(CaseMetric):
    """Dice, IoU, precision and recall per case and foreground class or region.

    Classes are those of the argmax prediction; a region is predicted where its probability is above 0.5. An undefined
    ratio (0/0, for example the Dice of a class that neither truth nor prediction has) is nan.

    Args:
        class_names: The name of each class, background first.
        regions: Names of the overlapping regions that are scored in place of the classes, one channel each; of a
            mapping the keys. None = the classes.
        ignore_index: Pixels with this target, or with a negative one, count nowhere.

    Raises:
        ValueError: There are fewer than two classes, or no region.
    """

    def __init__(
        self, class_names: Sequence[str], regions: Collection[str] | None = None, ignore_index: int = 255
    ) -> None:
        require_at_least("number of class_names", len(class_names), 2, whole=True)
        if regions is not None:
            require_at_least("number of regions", len(regions), 1, whole=True)
        scored = tuple(class_names[1:] if regions is None else regions)
        super().__init__((len(scored), 3), torch.int64, ignore_index)
        self.class_names, self.scored = tuple(class_names), scored
        self.multilabel = regions is not None

    @property
    def protocol(self) -> dict[str, str]:
        """Name of each figure -> how it comes about."""
        part, many, how = "foreground class", "classes", "argmax prediction"
        if self.multilabel:
            part, many, how = "region", "regions", "predicted where its probability is above 0.5"
        per_case = f"per case and {part} ({how}), undefined (0/0) left out"
        ratios = {
            "dice": "2 TP / (2 TP + FP + FN)",
            "iou": "TP / (TP + FP + FN)",
            "precision": "TP / (TP + FP)",
            "recall": "TP / (TP + FN)",
        }
        sentences = {
            name: f"{ratio} {per_case}; averaged over cases, then over {many}" for name, ratio in ratios.items()
        }
        for name in self.scored:
            sentences[f"dice_pooled_{name}"] = (
                f"2 TP / (2 TP + FP + FN) of {part} {name} with the pixels of all cases counted together; {how}"
            )
        return sentences

    def measure(self, probs: Tensor, target: Tensor) -> Tensor:
        """Count true positives, false positives and false negatives.

        Args:
            probs: (B, C, *S) float.
            target: (B, *S) int64, or (B, R, *S) of regions.

        Returns:
            (B, C - 1, 3) int64: TP, FP, FN of each foreground class; of regions (B, R, 3).

        Raises:
            ValueError: ``probs`` or ``target`` have other classes than ``class_names``, or other regions.
        """
        if self.multilabel:
            return self._measure_regions(probs, target)
        self._require_classes(probs, target)
        pred = probs.max(dim=1).indices  # the argmax, at a tenth of the time of argmax on the CPU
        confusion = _confusion(pred, target, self.counted(target), probs.shape[1])
        hit = confusion.diagonal(dim1=1, dim2=2)
        return torch.stack([hit, confusion.sum(dim=1) - hit, confusion.sum(dim=2) - hit], dim=2)[:, 1:]

    def _measure_regions(self, probs: Tensor, target: Tensor) -> Tensor:
        if probs.shape[1] != len(self.scored):
            raise ValueError(
                f"probs have {probs.shape[1]} channels but there are {len(self.scored)} regions {list(self.scored)}: "
                "give one channel and one name per region"
            )
        counted = self.counted(target)
        if (target * counted).max() > 1:
            raise ValueError(
                f"target holds {int((target * counted).max())} but regions (B, R, *S) are 1 inside, 0 outside, or "
                f"ignore_index={self.ignore_index}: turn class indices into regions"
            )
        pred, truth = (probs > 0.5) & counted, (target == 1) & counted
        counts = (pred & truth, pred & ~truth, truth & ~pred)
        return torch.stack([count.flatten(2).sum(2) for count in counts], dim=2)

    def score(self, cases: list[int], measured: Tensor) -> dict[str, Any]:
        """Turn counts (n, C - 1, 3) into rows per case and class and pooled figures."""
        names = self.scored
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
