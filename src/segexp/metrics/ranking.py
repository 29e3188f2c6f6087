"""Ranking of pixels by their probability: ROC AUC and average precision, without any threshold."""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from segexp.errors import require_at_least
from segexp.metrics.info import MetricInfo
from segexp.metrics.per_class import PerClassMetric
from segexp.metrics.results import MetricResult

LOG_ODDS = 16.0  # bins span -16 to 16, which is as near to 1 as float32 gets


class RankingScores(PerClassMetric):
    """ROC AUC and average precision of the probability of each foreground class, or region.

    Per case they are exact, ties included. Of all cases together they come from a histogram of probabilities with
    bins of equal width in log-odds, so the memory does not grow with the cases. Where the truth has only one kind of
    pixel, both are undefined (nan). Other arguments and errors as ``PerClassMetric``.

    Args:
        bins: Number of bins of the histogram from log-odds -16 to 16; the outermost are open.

    Raises:
        ValueError: There are fewer than two bins.
    """

    unit = "fraction"
    computed_from = "probabilities"
    pooled: Tensor

    def __init__(
        self,
        class_names: Sequence[str],
        regions: Collection[str] | None = None,
        bins: int = 4096,
        ignore_index: int = 255,
    ) -> None:
        require_at_least("bins", bins, 2, integer=True)
        super().__init__(class_names, regions, (2,), torch.float64, ignore_index)
        self.bins = bins
        empty = torch.zeros(len(self.parts), 2, bins, dtype=torch.int64)
        self.add_state("pooled", default=empty, dist_reduce_fx="sum")

    @property
    def info(self) -> dict[str, MetricInfo]:
        """Description of each score."""
        names = {"roc_auc": "area under the ROC curve", "average_precision": "average precision (step interpolation)"}
        infos = {
            area: self.describe(
                f"{words} of the probability of each {self.kind} against all other pixels, per case, exact; cases "
                f"whose truth has only one kind of pixel left out; {self.averaged}"
            )
            for area, words in names.items()
        }
        for area, words in names.items():
            for name in self.parts:
                infos[f"{area}_pooled_{name}"] = self.describe(
                    f"{words} of {self.kind} {name} with the pixels of all cases ranked together, from a histogram "
                    f"of {self.bins} bins of equal width in log-odds"
                )
        return infos

    def update(self, probs: Tensor, target: Tensor, case_index: Tensor, spacing: Tensor | None = None) -> None:
        """Measure a batch of whole cases, see `CaseMetric.update`, and add its pixels to the histogram.

        Raises:
            ValueError: The shapes do not belong together, there are other classes than ``class_names`` or other
                regions, or ``probs`` hold nan.
        """
        super().update(probs, target, case_index, spacing)
        truth, counted = self.truths(probs.detach(), target.long())
        scores = self.part_probs(probs.detach())
        log_odds = scores.logit(1e-7) if scores.dtype == torch.float64 else scores.float().logit(1e-7)
        bin_of = ((log_odds / LOG_ODDS + 1) / 2 * self.bins).long().clamp(0, self.bins - 1)
        cells = bin_of + self.bins * truth
        counts_per_bin = [
            torch.bincount(of_part[counts], minlength=2 * self.bins).view(2, -1)
            for of_part, counts in zip(cells.unbind(1), counted.unbind(1), strict=True)
        ]
        self.pooled = self.pooled + torch.stack(counts_per_bin).to(self.device)

    def measure(self, probs: Tensor, target: Tensor, spacing: Tensor) -> Tensor:  # noqa: ARG002
        """Rank the pixels of each case; arguments as `CaseMetric.measure`.

        Returns:
            (B, K, 2) float64: ROC AUC and average precision of each foreground class or region.

        Raises:
            ValueError: There are other classes than ``class_names`` or other regions, or ``probs`` hold nan.
        """
        truth, counted = self.truths(probs, target)
        if probs.isnan().any():
            raise ValueError(
                f"probs hold nan in {int(probs.isnan().sum())} places: they cannot be ranked; the network has diverged,"
                " lower optimizer.lr or look at the images"
            )
        scores = [
            _areas(*_levels(values[counts], positive[counts]))
            for values, positive, counts in zip(
                self.part_probs(probs).flatten(0, 1), truth.flatten(0, 1), counted.flatten(0, 1), strict=True
            )
        ]
        return torch.stack(scores).view(len(probs), len(self.parts), 2)

    def score(self, cases: list[int], measured: Tensor) -> MetricResult:
        """Turn areas (n, K, 2) into rows per case and class; score the histogram."""
        names = ("roc_auc", "average_precision")
        rows = self.rows(cases, measured, lambda areas: dict(zip(names, areas, strict=True)))
        falling = self.pooled.cpu().flip(-1).cumsum(-1)
        overall: dict[str, float] = {}
        for name, (negative, positive) in zip(self.parts, falling, strict=True):
            roc_auc, average_precision = _areas(positive, negative).tolist()
            overall[f"roc_auc_pooled_{name}"] = roc_auc
            overall[f"average_precision_pooled_{name}"] = average_precision
        return MetricResult(rows, overall)


def _levels(scores: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """Count true and false positives (levels,) of scores (n,) at falling thresholds; equal scores are one level."""
    scores, order = scores.sort(descending=True)
    positive = positive[order]
    last = torch.ones_like(positive)
    last[:-1] = scores[1:] != scores[:-1]
    return positive.cumsum(0)[last], (~positive).cumsum(0)[last]


def _areas(tp: Tensor, fp: Tensor) -> Tensor:
    """ROC AUC and average precision (2,) of what `_levels` counts, nan where there is only one kind of pixel."""
    tp, fp = pad(tp, (1, 0)).double(), pad(fp, (1, 0)).double()
    positives, negatives = tp[-1], fp[-1]
    precision = tp[1:] / (tp[1:] + fp[1:]).clamp_min(1)
    area = torch.trapezoid(tp, fp) / (positives * negatives)
    average = (tp.diff() * precision).sum() / positives
    return torch.stack([area, average.masked_fill(negatives == 0, torch.nan)])
