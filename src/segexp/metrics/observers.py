"""The score of a second human observer against the truth: what to expect of a network."""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor

from segexp.metrics.case_metric import CaseMetric
from segexp.metrics.labels import certain_probs
from segexp.metrics.results import MetricResult, gather


def score_labels(
    metric: CaseMetric,
    truths: Sequence[Tensor],
    labels: Sequence[Tensor],
    spacings: Sequence[Tensor],
    num_classes: int,
    instances: Sequence[Tensor | None] | None = None,
) -> MetricResult:
    """Score labels as if they were a certain prediction; the metric itself stays as it is.

    Args:
        metric: Metric with the threshold that holds.
        truths: Class indices (*S) of each case, or overlapping regions (R, *S).
        labels: Labels that are scored, alike; what is no class counts as background, what is not 1 as outside.
        spacings: Size of a pixel (axes) of each case.
        num_classes: Number of classes, background included.
        instances: Numbers of the true objects (*S) of each case, None where they are not numbered; None = of no case.
    """
    fresh = deepcopy(metric).cpu()
    fresh.reset()
    numbers = [None] * len(truths) if instances is None else instances
    for case, (truth, label, spacing, objects) in enumerate(zip(truths, labels, spacings, numbers, strict=True)):
        probs = certain_probs(label, None if metric.multilabel else num_classes)
        number = torch.tensor([case])
        fresh.take(probs[None], truth[None], number, spacing[None], None if objects is None else objects[None])
    return fresh.compute()


def score_observer(
    metrics: Sequence[CaseMetric],
    truths: Sequence[Tensor],
    labels: Sequence[Tensor],
    spacings: Sequence[Tensor],
    num_classes: int,
    instances: Sequence[Tensor | None] | None = None,
) -> dict[str, float]:
    """Score an observer's labels with the metrics and thresholds of a run; arguments as `score_labels`."""
    results = [score_labels(metric, truths, labels, spacings, num_classes, instances) for metric in metrics]
    return gather((result, {}) for result in results).scores
