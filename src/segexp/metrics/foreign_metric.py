"""A metric of another library, or a function of prediction and truth, as a metric per whole case."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from segexp.errors import name_of
from segexp.metrics.case_metric import CaseMetric
from segexp.metrics.info import MetricInfo, Source
from segexp.metrics.results import MetricResult
from segexp.metrics.summary import CaseScores

TOGETHER = "all"  # label of a score of all classes at once
VALUES_OF_CASES = 2  # dimensions of scores per case and class
UNKNOWN_PIXELS = (
    "counts every pixel or where it lies, but some are not labeled (255 in the truth): take a metric with an "
    "ignore_index, or one of ours"
)

Given = tuple[Tensor, Tensor]  # prediction and truth, as a metric gets them


class RefusedError(ValueError):
    """A metric that cannot be used, as far as it was tried."""


@dataclass(frozen=True)
class Form:
    """How prediction and truth are handed over.

    Args:
        words: Description, for messages and protocols.
        source: Whether the metric gets decided labels or probabilities.
        formats: What a metric with an attribute ``input_format`` calls this form.
        give: Function from probs (1, C, P) or (1, C, *S) and target (1, *S), or (1, R, *S), to what the metric gets.
    """

    words: str
    source: Source
    formats: tuple[str | None, ...]
    give: Callable[[Tensor, Tensor], Given]


def _labels(probs: Tensor, target: Tensor) -> Given:
    return probs.max(dim=1).indices, target


def _one_hot(probs: Tensor, target: Tensor) -> Given:
    classes = probs.shape[1]
    labels = (probs.max(dim=1).indices, target.clamp(0, classes - 1))
    return tuple(one_hot(part, classes).movedim(-1, 1) for part in labels)  # type: ignore[return-value]


FORMS = {
    "classes": (
        Form("labels", "labels", (None, "index"), _labels),
        Form("one channel per class of 0 and 1", "labels", (None, "one-hot", "mixed"), _one_hot),
        Form("probabilities and labels", "probabilities", (None, "mixed"), lambda probs, target: (probs, target)),
        Form(
            "probability of class 1 and labels", "probabilities", (None,), lambda probs, target: (probs[:, 1], target)
        ),
    ),
    "regions": (
        Form("regions of 0 and 1", "labels", (None, "one-hot"), lambda probs, target: ((probs > 0.5).long(), target)),
        Form("probabilities of regions", "probabilities", (None,), lambda probs, target: (probs, target)),
        Form("mask", "labels", (None,), lambda probs, target: ((probs > 0.5).long().squeeze(1), target.squeeze(1))),
        Form("probability", "probabilities", (None,), lambda probs, target: (probs.squeeze(1), target.squeeze(1))),
    ),
}


@dataclass
class Call:
    """A metric, and how it is called for one case.

    Args:
        metric: Callable of prediction and truth; one with ``reset`` is reset before.
        form: How both are handed over.
        pixelwise: Whether it takes pixels in any order, so that ignored ones are taken out.
        ignored: Value of ignored pixels in the truth that it leaves out itself; None = it knows of none.
    """

    metric: Any
    form: Form
    pixelwise: bool = False
    ignored: int | None = None

    def value(self, probs: Tensor, target: Tensor, counted: Tensor) -> Tensor:
        """Score one case.

        Args:
            probs: (1, C, *S).
            target: (1, *S) int64, or (1, R, *S).
            counted: Pixels that count, in the shape of the target.

        Returns:
            () or, of several classes, (K,), float64.

        Raises:
            ValueError: Some pixels do not count and the metric cannot leave them out, or it gives no tensor.
        """
        if not counted.all():
            probs, target = self._without_unknown(probs, target, counted)
        if hasattr(self.metric, "to"):
            self.metric.to(probs.device)
        if hasattr(self.metric, "reset"):
            self.metric.reset()
        value = self.metric(*(part.contiguous() for part in self.form.give(probs, target)))
        if hasattr(self.metric, "aggregate") and isinstance(value, Tensor) and value.ndim > VALUES_OF_CASES:
            value = self.metric.aggregate()  # what it gives for each case are counts
            if isinstance(value, list | tuple) and len(value) == 1:
                value = value[0]
        if not isinstance(value, Tensor | float | int):
            raise RefusedError(f"it returns a {type(value).__name__}, not one number or one per class")
        value = torch.as_tensor(value).detach().double()
        if value.numel() == 1 and (value.ndim < 2 or probs.shape[1] > 2):  # of one foreground class (1, 1) is its own
            return value.reshape(())
        return value.squeeze(0)

    def _without_unknown(self, probs: Tensor, target: Tensor, counted: Tensor) -> Given:
        """Take out the pixels that do not count, or mark them."""
        if self.pixelwise:
            known = (counted if counted.ndim < probs.ndim else counted.all(dim=1))[0]
            return probs[:, :, known], target[..., known]
        if self.ignored is None:
            raise ValueError(f"{name_of(self.metric)} {UNKNOWN_PIXELS}")
        return probs, target.where(counted, self.ignored)


class ForeignMetric(CaseMetric):
    """Scores each case with a metric of others, and averages over the cases.

    Args:
        name: Name of the score.
        call: The metric, and how it is called.
        labels: Label of each of its values.
        first: Number of values before these that are left out, such as that of the background.
        regions: Whether targets are overlapping regions.
        higher_is_better: Whether a higher score is the better one.
        ignore_index: Pixels with this target, or with a negative one, count nowhere.
    """

    def __init__(
        self,
        name: str,
        call: Call,
        labels: Sequence[str],
        first: int,
        regions: bool,
        higher_is_better: bool,
        ignore_index: int = 255,
    ) -> None:
        super().__init__((len(labels),), torch.float64, ignore_index)
        self.name = name
        self.call = call
        self.first = first
        self.parts = tuple(labels)
        self.multilabel = regions
        self.computed_from = call.form.source
        self._higher = higher_is_better

    @property
    def leaves_out(self) -> bool:
        """Whether ignored pixels count nowhere."""
        return self.call.pixelwise or self.call.ignored is not None

    @property
    def info(self) -> dict[str, MetricInfo]:
        """Description of the score."""
        kind = type(self.call.metric)
        what = f"{kind.__module__}.{kind.__qualname__}" if kind.__name__ != "function" else name_of(self.call.metric)
        then = "" if self.parts == (TOGETHER,) else f", then over {'regions' if self.multilabel else 'classes'}"
        protocol = f"{what} of {self.call.form.words}, per case; averaged over cases{then}"
        return {self.name: self.describe(protocol, self._higher)}

    def measure(self, probs: Tensor, target: Tensor, spacing: Tensor) -> Tensor:  # noqa: ARG002
        """Score each case; arguments as `CaseMetric.measure`.

        Returns:
            (B, K) float64.
        """
        counted = self.counted(target)
        cases = zip(probs.split(1), target.split(1), counted.split(1), strict=True)
        return torch.stack([self.call.value(*case).reshape(-1)[self.first :] for case in cases])

    def score(self, cases: list[int], measured: Tensor) -> MetricResult:
        """Turn values (n, K) into rows per case and class."""
        return MetricResult(
            [
                CaseScores(case, label, {self.name: value})
                for case, values in zip(cases, measured.tolist(), strict=True)
                for label, value in zip(self.parts, values, strict=True)
            ]
        )
