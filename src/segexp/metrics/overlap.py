"""Overlap of prediction and truth from exact pixel counts: Dice, IoU, precision, recall, specificity, volume."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from segexp.errors import require_at_least, require_choice
from segexp.metrics.info import MetricInfo
from segexp.metrics.labels import most_probable
from segexp.metrics.per_class import PerClassMetric
from segexp.metrics.positions import (
    BINS,
    COUNTS,
    ENDS,
    MIDDLE,
    NO_SLICES,
    SLICES,
    SLICES_INVENTED,
    SLICES_MISSED,
    count_by_position,
    slice_count,
)
from segexp.metrics.results import MetricResult
from segexp.metrics.summary import BinScores, mean_of_defined


class OverlapScores(PerClassMetric):
    """Dice, IoU, precision, recall, specificity and volume difference per case and foreground class or region.

    Of volumes also by the relative position of their slices (first spatial axis) along the class: in ten bins, and as
    scores of the ends (first and last fifth) and the middle. A ratio without denominator (the Dice of a class that
    neither truth nor prediction has, the volume difference of one that the truth lacks) is undefined, nan. Other
    arguments and errors as ``PerClassMetric``.

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
        super().__init__(class_names, regions, (1 + BINS, COUNTS), torch.int64, ignore_index)
        for beta in betas:
            require_at_least("beta", beta, 0)
        if 0 in betas or len({f"{beta:g}" for beta in betas}) < len(betas):
            raise ValueError(f"betas={list(betas)} must be above 0 (precision is its own score), each once")
        for average in dice_averages:
            require_choice("dice_averages", average, DICE_AVERAGES)
        self.betas = tuple(betas)
        self.dice_averages = tuple(dice_averages)
        self._volumes = True  # whether there may be any among the cases

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
        if self._volumes:
            infos |= self._infos_of_positions(ratios["dice"], per_case)
        together = f"with the pixels of all cases counted together; {self.how}"
        for name in self.parts:
            pooled = f"{ratios['dice']} of {self.kind} {name} {together}"
            infos[f"dice_pooled_{name}"] = self.describe(pooled, unit="fraction")
        several = "regions" if self.multilabel else "foreground classes"
        for average in self.dice_averages:
            how = f"{several} {DICE_AVERAGES[average][0]} ({self.how}); averaged over cases that have any"
            infos[f"dice_{average}"] = self.describe(f"{ratios['dice']} per case, its {how}", unit="fraction")
        return infos

    def _infos_of_positions(self, ratio: str, per_case: str) -> dict[str, MetricInfo]:
        """Describe the scores that volumes have beside."""
        occupied = f"of the slices (along data.geometry.slice_axis) that truth or prediction of the {self.kind} occupy"
        places = {"dice_ends": "first and the last fifth", "dice_middle": "three fifths in the middle"}
        infos = {
            name: self.describe(f"{ratio} in the {place} {occupied}, {per_case}", unit="fraction")
            for name, place in places.items()
        }
        wrong = {"slices_invented": "predicted and not true", "slices_missed": "true and not predicted"}
        for name, which in wrong.items():
            number = f"number of slices (along data.geometry.slice_axis) where the {self.kind} is {which}, {per_case}"
            infos[name] = self.describe(number, higher_is_better=False, unit="slices")
        return infos

    def measure(self, probs: Tensor, target: Tensor, spacing: Tensor) -> Tensor:  # noqa: ARG002
        """Count true and false positives and negatives; arguments as `CaseMetric.measure`, errors as `masks`.

        Returns:
            (B, K, 11, 7) int64: TP, FP, FN, TN and slices of each foreground class or region, of the whole case and of
            ten bins along it, see `count_by_position`.
        """
        batch, depth = len(target), slice_count(target.shape[2 - probs.ndim :])
        if self.multilabel:
            masks = [mask.reshape(*mask.shape[:2], depth, -1) for mask in self.masks(probs, target)]
            hit = _sizes(masks[0] & masks[1])
            pred, truth, counted = map(_sizes, masks)
        else:
            self.require_parts(probs, target)
            labels = most_probable(probs, 1)
            flat = (each.reshape(batch * depth, -1) for each in (labels, target, self.counted(target)))
            confusion = _confusion(probs.shape[1], *flat).unflatten(0, (batch, depth))
            hit = confusion.diagonal(dim1=2, dim2=3)[..., 1:]
            pred, truth = confusion.sum(dim=2)[..., 1:], confusion.sum(dim=3)[..., 1:]
            counted = confusion.sum(dim=(2, 3))[..., None]
        return count_by_position(torch.stack([hit, pred - hit, truth - hit, counted - pred - truth + hit], dim=3))

    def score(self, cases: list[int], measured: Tensor) -> MetricResult:
        """Turn counts (n, K, 11, 7) into rows per case and class, pooled Dice, and rows per tenth of the slices."""
        whole = measured[:, :, 0, :SLICES]
        self._volumes = bool((measured[:, :, 0, SLICES] != NO_SLICES).any())
        pooled = zip(self.parts, whole.sum(dim=0).tolist(), strict=True)
        overall = {f"dice_pooled_{name}": _ratios(sums)["dice"] for name, sums in pooled}
        for average in self.dice_averages:
            combine = DICE_AVERAGES[average][1]
            overall[f"dice_{average}"] = mean_of_defined(combine(of_case) for of_case in whole.tolist())
        rows = self.rows(cases, whole, lambda sums: _ratios(sums, self.betas))
        bins: list[BinScores] = []
        of_parts = (of_part for of_case in measured.tolist() for of_part in of_case)
        for row, (of_whole, *tenths) in zip(rows, of_parts, strict=True):
            if of_whole[SLICES] != NO_SLICES:
                row.scores |= _of_positions(of_whole, tenths)
                bins += [
                    BinScores(row.case, row.label, place, n, invented, missed, _ratios(counts, self.betas))
                    for place, (*counts, n, invented, missed) in enumerate(tenths, start=1)
                ]
        return MetricResult(rows, overall, bins=bins)


def _of_positions(whole: Sequence[int], tenths: Sequence[Sequence[int]]) -> dict[str, float]:
    """Scores of the ends and the middle of one class of a volume, and its slices that are wrong as a whole."""
    found = {}
    for name, places in (("dice_ends", ENDS), ("dice_middle", MIDDLE)):
        sums = [sum(column) for column in zip(*(tenths[place] for place in places), strict=True)]
        # Without a slice there (of fewer than three in all) the score is undefined, as it is without pixels.
        found[name] = _ratios(sums[:SLICES])["dice"]
    found["slices_invented"] = float(whole[SLICES_INVENTED])
    found["slices_missed"] = float(whole[SLICES_MISSED])
    return found


def _sizes(mask: Tensor) -> Tensor:
    """Count the pixels of (B, K, D, N) bool: (B, D, K) int64, at a tenth of the time of a sum over an axis."""
    return torch.stack([part.count_nonzero() for part in mask.flatten(0, 2)]).view(mask.shape[:3]).transpose(1, 2)


def _confusion(classes: int, pred: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """Count pixels per slice, true class and predicted class: (N, C, C) int64 from three (N, P) tensors."""
    slices, cells = target.shape[0], classes**2
    if target.is_cpu:
        # A small type, and slice by slice: little memory is touched, most of it in the processor's cache.
        small = torch.uint8 if cells < 256 else torch.int32
        cell = target.to(small, copy=True).mul_(classes).add_(pred)
        cell.masked_fill_(~counted, cells)  # what does not count goes to one cell more
        counts = [np.bincount(each, minlength=cells + 1)[:cells] for each in cell.numpy()]
        return torch.from_numpy(np.stack(counts)).view(slices, classes, classes)
    number = torch.arange(slices, device=target.device).view(-1, 1)
    cell = torch.where(counted, (number * classes + target) * classes + pred, slices * cells)
    return torch.bincount(cell.flatten(), minlength=slices * cells + 1)[:-1].view(slices, classes, classes)


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
