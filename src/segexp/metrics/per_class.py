"""The frame of metrics per case and foreground class, or overlapping region."""

from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from torch import Tensor

from segexp.errors import require_at_least
from segexp.metrics.case_metric import CaseMetric
from segexp.metrics.labels import most_probable
from segexp.metrics.summary import CaseScores


class PerClassMetric(CaseMetric):
    """Base of metrics per whole case and foreground class, or region.

    Classes are those of the argmax prediction; a region is predicted where its probability is above 0.5.

    Args:
        class_names: Name of each class, background first.
        regions: Names of the overlapping regions that are scored in place of the classes, one channel each; of a
            mapping the keys. None = the classes.
        measured_shape: Shape of the measurement of one class of one case.
        measured_dtype: Data type of the measurement, int64 or float64.
        ignore_index: Pixels with this target, or with a negative one, count nowhere.

    Raises:
        ValueError: There are fewer than two classes, or no region.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        regions: Collection[str] | None,
        measured_shape: tuple[int, ...],
        measured_dtype: torch.dtype,
        ignore_index: int = 255,
    ) -> None:
        _require_names("class_names", class_names)
        require_at_least("number of class_names", len(class_names), 2, integer=True)
        if regions is not None:
            _require_names("regions", regions)
            require_at_least("number of regions", len(regions), 1, integer=True)
        parts = tuple(class_names[1:] if regions is None else regions)
        super().__init__((len(parts), *measured_shape), measured_dtype, ignore_index)
        self.class_names = tuple(class_names)
        self.parts = parts
        self.multilabel = regions is not None

    @property
    def kind(self) -> str:
        """Kind of what is scored, for the protocol."""
        return "region" if self.multilabel else "foreground class"

    @property
    def how(self) -> str:
        """How the prediction comes about, for the protocol."""
        return "predicted where its probability is above 0.5" if self.multilabel else "argmax prediction"

    @property
    def averaged(self) -> str:
        """How the headline comes about, for the protocol."""
        return f"averaged over cases, then over {'regions' if self.multilabel else 'classes'}"

    def masks(self, probs: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mark predicted, true and counted pixels of each part.

        Args:
            probs: (B, C, *S) float.
            target: (B, *S) int64, or (B, R, *S) of regions.

        Returns:
            Three (B, K, *S) bool: predicted, true, counted; K foreground classes or regions. What does not count is
            neither predicted nor true.

        Raises:
            ValueError: ``probs`` or ``target`` have other classes than ``class_names``, or other regions.
        """
        truth, counted = self.truths(probs, target)
        pred = probs > 0.5 if self.multilabel else most_probable(probs, 1).unsqueeze(1) == self._labels(probs)
        return pred & counted, truth, counted

    def truths(self, probs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Mark true and counted pixels of each part alone; arguments, result and errors as ``masks``."""
        self.require_parts(probs, target)
        counted = self.counted(target)
        if self.multilabel:
            return (target == 1) & counted, counted
        counted = counted.unsqueeze(1)
        truth = (target.unsqueeze(1) == self._labels(probs)) & counted
        return truth, counted.expand_as(truth)

    def _labels(self, probs: Tensor) -> Tensor:
        """Numbers of the foreground classes, to be compared with (B, 1, *S)."""
        return torch.arange(1, len(self.class_names), device=probs.device).view(1, -1, *[1] * (probs.ndim - 2))

    def part_probs(self, probs: Tensor) -> Tensor:
        """Keep the channels (B, K, *S) of the parts that are scored."""
        return probs if self.multilabel else probs[:, 1:]

    def rows(
        self, cases: Sequence[int], measured: Tensor, scores: Callable[[list[float]], Mapping[str, float]]
    ) -> list[CaseScores]:
        """Make a row per case and part of measurements (n, K, M), each turned into named scores."""
        return [
            CaseScores(case, name, dict(scores(of_part)))
            for case, of_case in zip(cases, measured.tolist(), strict=True)
            for name, of_part in zip(self.parts, of_case, strict=True)
        ]

    def require_parts(self, probs: Tensor, target: Tensor) -> None:
        """Refuse channels or labels that have no name.

        Raises:
            ValueError: ``probs`` or ``target`` have other classes than ``class_names``, or other regions.
        """
        names = self.parts if self.multilabel else self.class_names
        if probs.shape[1] != len(names):
            raise ValueError(
                f"probs have {probs.shape[1]} channels but there are {len(names)} "
                f"{'regions' if self.multilabel else 'classes'} {list(names)}: give one channel and one name each"
            )
        known = 2 if self.multilabel else len(self.class_names)
        most = int(target.max())
        if most >= known:  # maybe of what does not count
            most = int((target * self.counted(target)).max())
        if most >= known and self.multilabel:
            raise ValueError(
                f"target holds {most} but regions (B, R, *S) are 1 inside, 0 outside, or "
                f"ignore_index={self.ignore_index}: turn class indices into regions"
            )
        if most >= known:
            raise ValueError(
                f"target holds class {most} but there are {known} classes {list(self.class_names)}: name it in "
                f"class_names, or mark such pixels with ignore_index={self.ignore_index}"
            )


def _require_names(key: str, names: object) -> None:
    """Refuse what is no list of different names."""
    if isinstance(names, str) or not isinstance(names, Collection):
        raise ValueError(f"{key}={names!r} must be a list of names, one of each class or region")
    if len(set(names)) < len(names):
        raise ValueError(f"{key}={list(names)} must be different names, one of each class or region")
