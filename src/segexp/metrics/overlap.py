"""Overlap of prediction and truth from exact pixel counts: Dice, IoU, precision, recall, specificity, volume."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from segexp.metrics.info import MetricInfo
from segexp.metrics.per_class import PerClassMetric
from segexp.metrics.results import MetricResult


class OverlapScores(PerClassMetric):
    """Dice, IoU, precision, recall, specificity and volume difference per case and foreground class or region.

    A ratio without denominator (the Dice of a class that neither truth nor prediction has, the volume difference of one
    that the truth lacks) is undefined, nan. Arguments and errors as ``PerClassMetric``.
    """

    def __init__(
        self, class_names: Sequence[str], regions: Collection[str] | None = None, ignore_index: int = 255
    ) -> None:
        super().__init__(class_names, regions, (4,), torch.int64, ignore_index)

    @property
    def info(self) -> dict[str, MetricInfo]:
        """Description of each score."""
        ratios = {
            "dice": "2 TP / (2 TP + FP + FN)",
            "iou": "TP / (TP + FP + FN)",
            "precision": "TP / (TP + FP)",
            "recall": "TP / (TP + FN)",
            "specificity": "TN / (TN + FP)",
            "volume_difference": "|predicted - true volume| / true volume, that is |FP - FN| / (TP + FN),",
        }
        per_case = f"per case and {self.kind} ({self.how}), undefined (nothing to divide by) left out; {self.averaged}"
        infos = {name: self.describe(f"{ratio} {per_case}", unit="fraction") for name, ratio in ratios.items()}
        # A difference of volumes has no upper bound, and none is best.
        infos["volume_difference"] = replace(infos["volume_difference"], higher_is_better=False, unit="")
        together = f"with the pixels of all cases counted together; {self.how}"
        for name in self.parts:
            pooled = f"{ratios['dice']} of {self.kind} {name} {together}"
            infos[f"dice_pooled_{name}"] = self.describe(pooled, unit="fraction")
        return infos

    def measure(self, probs: Tensor, target: Tensor, spacing: Tensor) -> Tensor:  # noqa: ARG002
        """Count true and false positives and negatives; arguments as `CaseMetric.measure`, errors as `masks`.

        Returns:
            (B, K, 4) int64: TP, FP, FN, TN of each foreground class or region.
        """
        if self.multilabel:
            masks = self.masks(probs, target)
            hit = _sizes(masks[0] & masks[1])
            pred, truth, counted = map(_sizes, masks)
        else:
            self.require_parts(probs, target)
            labels = probs.max(dim=1).indices  # the argmax, at a tenth of the time of argmax on the CPU
            confusion = _confusion(labels, target, self.counted(target), probs.shape[1])
            hit = confusion.diagonal(dim1=1, dim2=2)[:, 1:]
            pred, truth = confusion.sum(dim=1)[:, 1:], confusion.sum(dim=2)[:, 1:]
            counted = confusion.sum(dim=(1, 2))[:, None]
        return torch.stack([hit, pred - hit, truth - hit, counted - pred - truth + hit], dim=2)

    def score(self, cases: list[int], measured: Tensor) -> MetricResult:
        """Turn counts (n, K, 4) into rows per case and class and pooled Dice."""
        pooled = zip(self.parts, measured.sum(dim=0).tolist(), strict=True)
        return MetricResult(
            rows=self.rows(cases, measured, lambda counts: _ratios(*counts)),
            overall={f"dice_pooled_{name}": _ratios(*counts)["dice"] for name, counts in pooled},
        )


def _sizes(mask: Tensor) -> Tensor:
    """Count the pixels of each mask of (B, K, *S) bool: (B, K) int64, at a tenth of the time of a sum over axes."""
    return torch.stack([part.count_nonzero() for part in mask.flatten(0, 1)]).view(mask.shape[:2])


def _confusion(pred: Tensor, target: Tensor, counted: Tensor, classes: int) -> Tensor:
    """Count pixels per case, true class and predicted class: (B, C, C) int64 from three (B, *S) tensors."""
    batch, cells = target.shape[0], target.shape[0] * classes**2
    case = torch.arange(batch, device=target.device).view(-1, *[1] * (target.ndim - 1))
    cell = (case * classes + target) * classes + pred
    cell = torch.where(counted, cell, cells)  # what does not count goes to one cell more
    return torch.bincount(cell.flatten(), minlength=cells + 1)[:cells].view(batch, classes, classes)


def _ratios(tp: float, fp: float, fn: float, tn: float) -> dict[str, float]:
    return {
        "dice": _ratio(2 * tp, 2 * tp + fp + fn),
        "iou": _ratio(tp, tp + fp + fn),
        "precision": _ratio(tp, tp + fp),
        "recall": _ratio(tp, tp + fn),
        "specificity": _ratio(tn, tn + fp),
        "volume_difference": _ratio(abs(fp - fn), tp + fn),
    }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
