"""Calibration: does a probability of 0.8 come true in 80 of 100 pixels?"""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from segexp.errors import require_at_least
from segexp.metrics.info import MetricInfo
from segexp.metrics.per_class import PerClassMetric
from segexp.metrics.results import Curve, MetricResult


class CalibrationScores(PerClassMetric):
    """Expected calibration error per case and foreground class or region, and the reliability diagram of all cases.

    The probability of a class is compared with the fraction of pixels that are of it, bin by bin: the error is the mean
    over the counted pixels of |fraction - mean probability| of their bin. All counted pixels take part, so where most
    of an image is easy background, the error is small in itself: compare it on the same cases only. Other arguments and
    errors as ``PerClassMetric``.

    Args:
        bins: Number of bins of equal width on [0, 1]; a probability on the border of two belongs to the upper one.

    Raises:
        ValueError: There is no bin.

    Source: Guo et al. 2017 (arXiv:1706.04599), per class as in Kull et al. 2019 (arXiv:1910.12656), equation 2.
    """

    higher_is_better = False
    computed_from = "probabilities"

    def __init__(
        self,
        class_names: Sequence[str],
        regions: Collection[str] | None = None,
        bins: int = 15,
        ignore_index: int = 255,
    ) -> None:
        require_at_least("bins", bins, 1, integer=True)
        super().__init__(class_names, regions, (bins, 3), torch.float64, ignore_index)
        self.bins = bins

    @property
    def info(self) -> dict[str, MetricInfo]:
        """Description of each score."""
        what = (
            f"|fraction of pixels in the {self.kind} - mean probability| of {self.bins} equal bins, weighted by pixels"
        )
        infos = {"ece": self.describe(f"expected calibration error: {what}, per case and {self.kind}; {self.averaged}")}
        for name in self.parts:
            infos[f"ece_pooled_{name}"] = self.describe(
                f"expected calibration error of {name}: {what}, all cases counted together"
            )
        return infos

    def measure(self, probs: Tensor, target: Tensor, spacing: Tensor) -> Tensor:  # noqa: ARG002
        """Fill the bins; arguments as `CaseMetric.measure`, errors as `masks`.

        Returns:
            (B, K, bins, 3) float64 per bin: pixels, sum of probabilities, pixels that are of the class.
        """
        truth, counted = self.truths(probs, target)
        predicted = self.part_probs(probs)
        flat = (part.flatten(0, 1).flatten(1) for part in (predicted.double(), truth.double(), counted))
        filled = torch.stack([self._filled(*rows) for rows in zip(*flat, strict=True)])
        return filled.view(*predicted.shape[:2], self.bins, 3)

    def _filled(self, probs: Tensor, truth: Tensor, counted: Tensor) -> Tensor:
        """Bins (bins, 3) of one class of one case, from three (N,)."""
        probs, truth = probs[counted], truth[counted]
        place = (probs * self.bins).long().clamp_(0, self.bins - 1)
        sums = [torch.bincount(place, weights, self.bins) for weights in (None, probs, truth)]
        return torch.stack([part.double() for part in sums], dim=1)

    def score(self, cases: list[int], measured: Tensor) -> MetricResult:
        """Turn bins (n, K, bins, 3) into rows per case and class, pooled errors and the reliability diagram."""
        pooled = measured.sum(dim=0)
        errors = calibration_error(pooled).tolist()
        return MetricResult(
            rows=self.rows(cases, calibration_error(measured)[..., None], lambda error: {"ece": error[0]}),
            overall={f"ece_pooled_{name}": error for name, error in zip(self.parts, errors, strict=True)},
            curves={"reliability": dict(zip(self.parts, map(_diagram, pooled), strict=True))},
        )


def calibration_error(bins: Tensor) -> Tensor:
    """Expected calibration error (...) of bins (..., bins, 3); nan where no pixel counts."""
    pixels, probs, truth = bins.unbind(-1)
    return (truth - probs).abs().sum(-1) / pixels.sum(-1)


def _diagram(bins: Tensor) -> Curve:
    """Pixels, mean probability and fraction of each of the bins (bins, 3); None where a bin has no pixels."""
    filled = [(p / n, t / n) if n else (None, None) for n, p, t in bins.tolist()]
    probability, share = map(list, zip(*filled, strict=True))
    return {"probability": probability, "share": share, "pixels": bins[:, 0].tolist()}
