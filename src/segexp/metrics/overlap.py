"""Overlap of prediction and truth from exact pixel counts: Dice, IoU, precision, recall, specificity, volume."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from segexp.errors import require_at_least, require_choice
from segexp.metrics.info import MetricInfo
from segexp.metrics.per_class import PerClassMetric
from segexp.metrics.results import MetricResult
from segexp.metrics.summary import mean_of_defined


class OverlapScores(PerClassMetric):
    """Dice, IoU, precision, recall, specificity and volume difference per case and foreground class or region.

    A ratio without denominator (the Dice of a class that neither truth nor prediction has, the volume difference of one
    that the truth lacks) is undefined, nan. Other arguments and errors as ``PerClassMetric``.

    Args:
        betas: Weights of recall against precision, above 0, of F-scores beside the Dice, which is F1: 2 gives ``f2``.
        dice_averages: Further averages of the Dice over the classes or regions of a case, then over cases: "micro" of
            all their pixels together, "weighted" by their true pixels, "generalized" by 1 / (true pixels)^2.

    Raises:
        ValueError: A beta is not above 0 or given twice, or an average is unknown.

    Source: Crum et al. 2006 (Generalized overlap measures) and Sudre et al. 2017 for "generalized".
    """

    def __init__(
        self,
        class_names: Sequence[str],
        regions: Collection[str] | None = None,
        ignore_index: int = 255,
        betas: Sequence[float] = (),
        dice_averages: Sequence[str] = (),
    ) -> None:
        super().__init__(class_names, regions, (4,), torch.int64, ignore_index)
        for beta in betas:
            require_at_least("beta", beta, 0)
        if 0 in betas or len({f"{beta:g}" for beta in betas}) < len(betas):
            raise ValueError(f"betas={list(betas)} must be above 0 (precision is its own score), each once")
        for average in dice_averages:
            require_choice("dice_averages", average, DICE_AVERAGES)
        self.betas = tuple(betas)
        self.dice_averages = tuple(dice_averages)

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
        for beta in self.betas:
            square = f"{beta**2:g}"
            ratios[f"f{beta:g}"] = (
                f"(1 + {square}) TP / ((1 + {square}) TP + {square} FN + FP), F-score of beta {beta:g},"
            )
        per_case = f"per case and {self.kind} ({self.how}), undefined (nothing to divide by) left out; {self.averaged}"
        infos = {name: self.describe(f"{ratio} {per_case}", unit="fraction") for name, ratio in ratios.items()}
        # A difference of volumes has no upper bound, and none is best.
        infos["volume_difference"] = replace(infos["volume_difference"], higher_is_better=False, unit="")
        together = f"with the pixels of all cases counted together; {self.how}"
        for name in self.parts:
            pooled = f"{ratios['dice']} of {self.kind} {name} {together}"
            infos[f"dice_pooled_{name}"] = self.describe(pooled, unit="fraction")
        several = "regions" if self.multilabel else "foreground classes"
        for average in self.dice_averages:
            how = f"{several} {DICE_AVERAGES[average][0]} ({self.how}); averaged over cases that have any"
            infos[f"dice_{average}"] = self.describe(f"{ratios['dice']} per case, its {how}", unit="fraction")
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
        overall = {f"dice_pooled_{name}": _ratios(counts)["dice"] for name, counts in pooled}
        for average in self.dice_averages:
            combine = DICE_AVERAGES[average][1]
            overall[f"dice_{average}"] = mean_of_defined(combine(of_case) for of_case in measured.tolist())
        return MetricResult(self.rows(cases, measured, lambda counts: _ratios(counts, self.betas)), overall)


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


def _ratios(counts: Sequence[float], betas: Sequence[float] = ()) -> dict[str, float]:
    tp, fp, fn, tn = counts
    further = {f"f{b:g}": _ratio((1 + b**2) * tp, (1 + b**2) * tp + b**2 * fn + fp) for b in betas}
    return {
        "dice": _ratio(2 * tp, 2 * tp + fp + fn),
        "iou": _ratio(tp, tp + fp + fn),
        "precision": _ratio(tp, tp + fp),
        "recall": _ratio(tp, tp + fn),
        "specificity": _ratio(tn, tn + fp),
        "volume_difference": _ratio(abs(fp - fn), tp + fn),
        **further,
    }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _dice_of(counts: Sequence[Sequence[float]], weights: Sequence[float]) -> float:
    """Dice of the weighted sums of the counts of all classes."""
    hit = sum(w * 2 * tp for w, (tp, _, _, _) in zip(weights, counts, strict=True))
    missed = sum(w * (fp + fn) for w, (_, fp, fn, _) in zip(weights, counts, strict=True))
    return _ratio(hit, hit + missed)


def _micro(counts: Sequence[Sequence[float]]) -> float:
    return _dice_of(counts, [1] * len(counts))


def _weighted(counts: Sequence[Sequence[float]]) -> float:
    sizes = [tp + fn for tp, _, fn, _ in counts]
    scores = [size * _ratios(of_class)["dice"] for size, of_class in zip(sizes, counts, strict=True) if size]
    if not scores and any(fp for _, fp, _, _ in counts):
        return 0.0  # all that is predicted is invented
    return _ratio(sum(scores), sum(sizes))


def _generalized(counts: Sequence[Sequence[float]]) -> float:
    sizes = [tp + fn for tp, _, fn, _ in counts]
    rarest = min((size for size in sizes if size), default=1)
    return _dice_of(counts, [(rarest / (size or rarest)) ** 2 for size in sizes])


DICE_AVERAGES: dict[str, tuple[str, Callable[[Sequence[Sequence[float]]], float]]] = {  # in words, and of (K, 4) counts
    "micro": ("counted together", _micro),
    "weighted": ("weighted by their true pixels", _weighted),
    "generalized": (
        "added up with the weights 1 / (true pixels)^2, of an absent one that of the rarest present",
        _generalized,
    ),
}
