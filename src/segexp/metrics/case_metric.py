"""The frame of every metric: one measurement per whole case, gathered over processes, turned into plain scores."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import count

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from segexp.errors import require_at_least
from segexp.metrics.checks import require_case, require_spacing
from segexp.metrics.info import MetricInfo, Source
from segexp.metrics.labels import DecisionRule
from segexp.metrics.results import MetricResult

_NUMBERS = count()  # of all metrics of this process


class CaseMetric(Metric):
    """Base of metrics per whole case; a subclass says how to measure one batch and how to score all cases.

    A measurement has a fixed size, whatever the size of the case, so the memory does not grow with the images. Under
    distributed training each process measures its own cases and every process scores them all.

    Attributes:
        chosen: Values fixed beforehand on validation cases, for example ``{"threshold": 0.4}``; empty means: choose
            on the cases at hand. They survive ``reset()``.
        higher_is_better: Whether a higher score is the better one; a single score may differ, see `info`.
        unit: Unit of the scores, see ``MetricInfo``.
        computed_from: "labels", which post-processing changes, or "probabilities".
        multilabel: Whether targets are overlapping regions (B, R, *S) in place of class indices (B, *S).
        parts: Names of the classes or regions that have a row.
        boundary_class: Class that separates regions and is decided by a threshold; None = there is none.
        counts_objects: Whether objects are told apart, so that splitting touching ones changes the scores.
        takes_instances: Whether ``update`` takes ``instances`` as well, see ``take``.

    Args:
        measured_shape: Shape of the measurement of one case.
        measured_dtype: Data type of the measurement, int64 or float64.
        ignore_index: Pixels with this target, or with a negative one, count nowhere.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    unit: str = ""
    computed_from: Source = "labels"
    multilabel = False
    parts: tuple[str, ...] = ()
    boundary_class: int | None = None
    counts_objects = False
    takes_instances = False
    case_index: list[Tensor]
    measured: list[Tensor]

    def __init__(self, measured_shape: tuple[int, ...], measured_dtype: torch.dtype, ignore_index: int = 255) -> None:
        super().__init__(compute_with_cache=False)  # `chosen` may change between two calls of compute()
        self.ignore_index = ignore_index
        self.chosen: dict[str, float] = {}
        self._measured_shape = measured_shape
        self._measured_dtype = measured_dtype
        self.add_state("case_index", default=[], dist_reduce_fx="cat")
        self.add_state("measured", default=[], dist_reduce_fx="cat")
        # A collection of torchmetrics takes metrics for the same whose states are equal on a first batch, whatever
        # their settings: a state of its own tells each from the others.
        self.add_state(f"number_{next(_NUMBERS)}", default=[], dist_reduce_fx=None)
        require_at_least("ignore_index", ignore_index, -100, integer=True)
        self._start_empty()

    @property
    @abstractmethod
    def info(self) -> dict[str, MetricInfo]:
        """Description of each score by its name; the first is shown while training."""

    @abstractmethod
    def measure(self, probs: Tensor, target: Tensor, spacing: Tensor) -> Tensor:
        """Measure each case of a batch.

        Args:
            probs: (B, C, *S) float.
            target: (B, *S) int64, or (B, C, *S) of regions.
            spacing: (B, axes) float64, size of a pixel per spatial axis.

        Returns:
            (B, *measured_shape) in the measurement's dtype, on the device of ``probs``.
        """

    @abstractmethod
    def score(self, cases: list[int], measured: Tensor) -> MetricResult:
        """Turn all measurements into scores.

        Args:
            cases: Numbers of the n cases, ascending.
            measured: (n, *measured_shape) in the same order, on the CPU.
        """

    def update(self, probs: Tensor, target: Tensor, case_index: Tensor, spacing: Tensor | None = None) -> None:
        """Measure a batch of whole cases.

        Args:
            probs: (B, C, *S) float, class probabilities.
            target: (B, *S) int64, class indices; of regions (B, C, *S), 1 in the region and 0 outside.
            case_index: (B,) int64, number of each case in its set.
            spacing: (B, axes) size of a pixel per spatial axis; None = 1, distances in pixels.

        Raises:
            ValueError: The shapes do not belong together, or values are no probabilities, labels or sizes.
        """
        sizes = self._checked(probs, target, case_index, spacing)
        self._keep(case_index, self.measure(probs.detach(), target.long(), sizes))

    def take(
        self,
        probs: Tensor,
        target: Tensor,
        case_index: Tensor,
        spacing: Tensor | None = None,
        instances: Tensor | None = None,
    ) -> None:
        """Update with all that is known of a batch; what the metric does not take is left out.

        Args:
            probs: As of ``update``, like the others.
            target: The same.
            case_index: The same.
            spacing: The same.
            instances: (B, *S) integers, number of the true object of each pixel, 0 = none; None = not numbered.
        """
        further = {"instances": instances} if self.takes_instances and instances is not None else {}
        self.update(probs, target, case_index, spacing, **further)

    def _checked(self, probs: Tensor, target: Tensor, case_index: Tensor, spacing: Tensor | None) -> Tensor:
        """Refuse what is no batch of cases; give the sizes of its pixels (B, axes). Arguments as ``update``."""
        require_case(probs, target, case_index, spacing, self.multilabel)
        return require_spacing(spacing, probs)

    def _keep(self, case_index: Tensor, measured: Tensor) -> None:
        """Keep the measurements (B, *measured_shape) of a batch."""
        self.case_index.append(case_index.long().to(self.device))
        self.measured.append(measured.to(self.device))

    def compute(self) -> MetricResult:
        """Score all cases seen since the last reset, by all processes.

        Raises:
            ValueError: A case was seen twice, or a score of the rows has no description.
        """
        cases, order = dim_zero_cat(self.case_index).cpu().sort()
        repeated = [case for case, times in Counter(cases.tolist()).items() if times > 1]
        if repeated:
            raise ValueError(
                f"case_index {repeated} came more than once: every case must count once; "
                "use a sampler that neither repeats nor pads, and reset() between two passes"
            )
        result = self.score(cases.tolist(), dim_zero_cat(self.measured).cpu()[order])
        undescribed = {name for row in result.rows for name in row.scores} - self.info.keys()
        if undescribed:
            raise ValueError(
                f"{type(self).__name__} does not describe {sorted(undescribed)}: give each score of the rows its entry "
                "in info, so that others know which is better"
            )
        return result

    def reset(self) -> None:
        """Forget all cases; keep what was chosen."""
        super().reset()
        self._start_empty()

    def describe(
        self,
        protocol: str,
        higher_is_better: bool | None = None,
        unit: str | None = None,
        computed_from: Source | None = None,
    ) -> MetricInfo:
        """Describe one score, for `info`; what is None is as the attributes of the metric say.

        Args:
            protocol: One sentence: what is averaged over what, at which threshold, chosen how.
            higher_is_better: Whether a higher score is the better one.
            unit: Unit, see ``MetricInfo``.
            computed_from: "labels" or "probabilities".
        """
        return MetricInfo(
            protocol,
            self.higher_is_better if higher_is_better is None else higher_is_better,
            self.unit if unit is None else unit,
            computed_from or self.computed_from,
            "regions" if self.multilabel else "classes",
        )

    def decision_rule(self, chosen: Mapping[str, float]) -> DecisionRule:
        """How this metric makes labels of probabilities, given what was chosen."""
        if self.boundary_class is None or "threshold" not in chosen:
            return DecisionRule()
        return DecisionRule(self.boundary_class, chosen["threshold"])

    def scored_among(self, parts: Sequence[int]) -> list[int]:
        """Pick those of all foreground classes, or regions, that this metric scores."""
        return list(parts)

    def counted(self, target: Tensor) -> Tensor:
        """Mark the pixels that count: bool in the shape of the target."""
        return (target >= 0) & (target != self.ignore_index)

    def _start_empty(self) -> None:
        # A process without any case must gather tensors of the same rank and dtype as the others.
        self.case_index = [torch.empty(0, dtype=torch.int64, device=self.device)]
        self.measured = [torch.empty((0, *self._measured_shape), dtype=self._measured_dtype, device=self.device)]


def find_info(name: str, metrics: Iterable[CaseMetric]) -> MetricInfo | None:
    """Find the description of a score such as ``dice``, or of its mean for one class such as ``dice_vessel``."""
    for metric in metrics:
        for score, info in metric.info.items():
            if name in (score, *(f"{score}_{part}" for part in metric.parts)):
                return info
    return None
