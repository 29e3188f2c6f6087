"""The score of a second human observer against the truth: what to expect of a network."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from segexp.metrics.case_metric import CaseMetric
from segexp.metrics.summary import summarize


def score_observer(
    metrics: Sequence[CaseMetric],
    truths: Sequence[Tensor],
    labels: Sequence[Tensor],
    spacings: Sequence[Tensor],
    num_classes: int,
) -> dict[str, float]:
    """Score an observer's labels as if they were a prediction, with the metrics and thresholds of a run.

    Args:
        metrics: They stay as they are.
        truths: Per case (*S) class indices, or overlapping regions (R, *S).
        labels: The observer's, alike; what is no class counts as background, what is not 1 as outside the region.
        spacings: Per case (axes) size of a pixel.
        num_classes: Background included.

    Returns:
        The figures that a prediction would get.
    """
    rows: list[dict[str, Any]] = []
    whole: dict[str, float] = {}
    for metric in map(deepcopy, metrics):
        metric.reset()
        for case, (truth, label, spacing) in enumerate(zip(truths, labels, spacings, strict=True)):
            probs = (label == 1 if metric.multilabel else _one_hot(label, num_classes)).double()
            metric.update(
                probs[None].to(metric.device), truth[None].to(metric.device), torch.tensor([case]), spacing[None]
            )
        result = metric.compute()
        rows += result["rows"]
        whole |= result["set"]
    return summarize(rows) | whole


def _one_hot(label: Tensor, num_classes: int) -> Tensor:
    """Turn class indices (*S) into (C, *S)."""
    return one_hot(torch.where(label < num_classes, label, 0).long(), num_classes).movedim(-1, 0)
