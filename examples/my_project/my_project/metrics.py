"""A metric in segexp's contract: it measures each case once, and scores all cases at the end."""

import torch
from torch import Tensor

from segexp.metrics import MetricInfo, MetricResult, PerClassMetric


class AreaDifference(PerClassMetric):
    """Predicted minus true number of pixels, without its sign."""

    higher_is_better = False
    unit = "px"

    def __init__(self, class_names: list[str], regions: list[str] | None = None, ignore_index: int = 255) -> None:
        super().__init__(class_names, regions, (2,), torch.int64, ignore_index)  # two numbers per case and class

    @property
    def info(self) -> dict[str, MetricInfo]:
        """Description of each score, for results.json and compare."""
        return {"area_difference": self.describe(f"|predicted - true pixels| per {self.kind}; {self.averaged}")}

    def measure(self, probs: Tensor, target: Tensor, spacing: Tensor) -> Tensor:
        """Count the pixels of each class of each case."""
        pred, truth, _ = self.masks(probs, target)
        return torch.stack([pred.flatten(2).sum(2), truth.flatten(2).sum(2)], dim=2)

    def score(self, cases: list[int], measured: Tensor) -> MetricResult:
        """Make a row per case and class."""
        return MetricResult(self.rows(cases, measured, lambda px: {"area_difference": abs(px[0] - px[1])}))
