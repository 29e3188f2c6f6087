"""The frame of every score: one measurement per whole case, gathered over processes, turned into plain figures."""

from abc import abstractmethod
from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class CaseMetric(Metric):
    """Base of scores per whole case; a subclass says how to measure one batch and how to score all cases.

    A measurement has a fixed size, whatever the size of the case, so the memory does not grow with the images. Under
    distributed training each process measures its own cases and every process scores them all.

    Attributes:
        chosen: What was fixed beforehand on validation cases, for example ``{"threshold": 0.4}``; empty means: choose
            on the cases at hand. It survives ``reset()``.
        multilabel: Targets are overlapping regions (B, R, *S) in place of class indices (B, *S).

    Args:
        measured_shape: Shape of the measurement of one case.
        measured_dtype: Its dtype, int64 or float64.
        ignore_index: Pixels with this target, or with a negative one, count nowhere.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    multilabel = False
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
        self._start_empty()

    @property
    @abstractmethod
    def protocol(self) -> dict[str, str]:
        """Name of each figure -> one sentence: what is averaged over what, at which threshold, chosen how."""

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
    def score(self, cases: list[int], measured: Tensor) -> dict[str, Any]:
        """Turn all measurements into ``rows``, ``set``, ``chosen`` and, if any, ``curves`` (see `compute`).

        Args:
            cases: The n case numbers, ascending.
            measured: (n, *measured_shape) in the same order, on the CPU.
        """

    def update(self, probs: Tensor, target: Tensor, case_index: Tensor, spacing: Tensor | None = None) -> None:
        """Measure a batch of whole cases.

        Args:
            probs: (B, C, *S) float, class probabilities.
            target: (B, *S) int64, class indices; of regions (B, C, *S), 1 in the region and 0 outside.
            case_index: (B,) int64, the number of each case in its set.
            spacing: (B, axes) size of a pixel per spatial axis; None = 1, distances in pixels.

        Raises:
            ValueError: The shapes do not belong together.
        """
        expected = probs.shape if self.multilabel else (probs.shape[0], *probs.shape[2:])
        if probs.ndim < 3 or target.shape != expected or case_index.shape != expected[:1]:
            raise ValueError(
                f"probs {tuple(probs.shape)}, target {tuple(target.shape)} and case_index {tuple(case_index.shape)} "
                f"do not belong together: they must be (B, C, *S), (B, {'C, ' * self.multilabel}*S) and (B,)"
            )
        axes = (probs.shape[0], probs.ndim - 2)
        sizes = torch.ones(axes, dtype=torch.float64) if spacing is None else spacing.double()
        if sizes.shape != axes:
            raise ValueError(
                f"spacing {tuple(sizes.shape)} does not belong to probs {tuple(probs.shape)}: it must be {axes}, one "
                "size of a pixel per case and spatial axis"
            )
        measured = self.measure(probs.detach(), target.long(), sizes)
        self.case_index.append(case_index.long().to(self.device))
        self.measured.append(measured.to(self.device))

    def compute(self) -> dict[str, Any]:
        """Score all cases seen since the last reset, by all processes.

        Returns:
            Plain Python, no tensors:
            ``rows``: one dict per case and class, sorted by case, then in the order of the classes:
            ``{"case": int, "class": str, <metric>: float, ...}`` with nan where a metric is undefined;
            ``set``: figures of the whole set of cases;
            ``chosen``: what was chosen on these cases or beforehand, empty for metrics that choose nothing;
            ``curves``: name -> class -> name of each coordinate -> its values; absent for metrics that have none.

        Raises:
            ValueError: A case was seen twice.
        """
        cases, order = dim_zero_cat(self.case_index).cpu().sort()
        repeated = [case for case, times in Counter(cases.tolist()).items() if times > 1]
        if repeated:
            raise ValueError(
                f"case_index {repeated} came more than once: every case must count once; "
                "use a sampler that neither repeats nor pads, and reset() between two passes"
            )
        return self.score(cases.tolist(), dim_zero_cat(self.measured).cpu()[order])

    def reset(self) -> None:
        """Forget all cases; keep what was chosen."""
        super().reset()
        self._start_empty()

    def counted(self, target: Tensor) -> Tensor:
        """Mark the pixels that count: bool in the shape of the target."""
        return (target >= 0) & (target != self.ignore_index)

    def _start_empty(self) -> None:
        # A process without any case must gather tensors of the same rank and dtype as the others.
        self.case_index = [torch.empty(0, dtype=torch.int64, device=self.device)]
        self.measured = [torch.empty((0, *self._measured_shape), dtype=self._measured_dtype, device=self.device)]
