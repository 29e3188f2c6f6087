"""Metrics of other libraries, and functions of prediction and truth, brought to the contract of ours.

No library is known by name: what a metric takes and gives, and which scores are better, is found out by trying it.
"""

import copy
import warnings
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from segexp.errors import first_line, name_of
from segexp.metrics.case_metric import CaseMetric
from segexp.metrics.foreign_metric import FORMS, TOGETHER, Call, ForeignMetric, RefusedError
from segexp.metrics.labels import certain_probs

SIZES = (12, 16, 20)  # of the case that it is tried on


def adapted(
    metric: Any, name: str, class_names: Sequence[str], regions: Collection[str] | None, axes: int
) -> CaseMetric:
    """Bring a metric to the contract of ours; a ``CaseMetric`` keeps to it already.

    Args:
        metric: Metric of torchmetrics, or any callable of prediction and truth that returns a number, or one per class.
        name: Name of its score.
        class_names: Name of each class, background first.
        regions: Names of the overlapping regions, None = the classes.
        axes: Number of spatial axes of the cases.

    Raises:
        ValueError: It does not go with such predictions; the sentence says why.
    """
    if isinstance(metric, CaseMetric):
        return metric
    if not callable(metric):
        raise ValueError(f"metrics.{name} {name_of(metric)} cannot be called: give a metric of prediction and truth")
    trial = _Trial(class_names, regions, axes)
    declared = getattr(metric, "input_format", None)
    faults: dict[str, list[str]] = {}  # what is wrong, and in which forms
    for form in FORMS["classes" if regions is None else "regions"]:
        if declared in form.formats:
            try:
                return trial.tried(name, Call(metric, form))
            except RefusedError as fault:
                faults.setdefault(str(fault), []).append(form.words)
    told = "; ".join(f"given {' or '.join(words)}, {fault}" for fault, words in faults.items())
    raise ValueError(
        f"metrics.{name} {name_of(metric)} does not go with {trial.channels} {trial.kind}: "
        f"{told or f'{declared!r} is no form of theirs'}; "
        "subclass segexp.metrics.CaseMetric for it, or choose another"
    )


class _Trial:
    """A random case, and what a right, a wrong and any prediction of it look like."""

    def __init__(self, class_names: Sequence[str], regions: Collection[str] | None, axes: int) -> None:
        self.regions = regions is not None
        self.kind = "classes" if regions is None else "regions"
        self.names = tuple(class_names if regions is None else regions)
        self.channels = len(self.names)
        generator = torch.Generator().manual_seed(0)
        size = SIZES[:axes]
        shape = (1, self.channels, *size)
        values, of_target = (2, shape) if self.regions else (self.channels, (1, *size))
        self.target = torch.randint(0, values, of_target, generator=generator)
        self.noise = torch.rand(shape, generator=generator)
        self.noise /= self.noise.sum(1, keepdim=True)
        self.counted = torch.rand(size, generator=generator).expand_as(self.target) > 0.2

    def tried(self, name: str, call: Call) -> ForeignMetric:
        """Find out what a metric does in a form.

        Raises:
            RefusedError: It does not take this form, or makes no sense in it.
        """
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            attempt = Call(copy.deepcopy(call.metric), call.form)
            truth = self._one_channel_each(self.target)
            right = self._value(attempt, truth, self.target)
            wrong = self._value(attempt, 1 - truth if self.regions else truth.roll(1, 1), self.target)
            first = self._first(right)
            higher = _is_higher_better(call.metric, right, wrong, first)
            if not hasattr(call.metric, "input_format"):
                self._require_same_turned(attempt)
            call.pixelwise = self._is_pixelwise(attempt)
            own = getattr(call.metric, "ignore_index", None)
            if not call.pixelwise and isinstance(own, int) and self._leaves_out(attempt, own):
                call.ignored = own
        labels = self.names if self.regions else self.names[1:]
        return ForeignMetric(name, call, labels if right.ndim else (TOGETHER,), first, self.regions, higher)

    def _one_channel_each(self, target: Tensor) -> Tensor:
        return certain_probs(target[0], None if self.regions else self.channels)[None]

    def _value(self, call: Call, probs: Tensor, target: Tensor, counted: Tensor | None = None) -> Tensor:
        try:
            return call.value(probs, target, torch.ones_like(target, dtype=torch.bool) if counted is None else counted)
        except Exception as error:  # whatever the code of others raises
            if isinstance(error, RefusedError):
                raise
            raise RefusedError(first_line(error)) from error

    def _first(self, value: Tensor) -> int:
        """Number of values to leave out before those of the foreground classes, or regions."""
        if value.ndim == 0:
            return 0
        foreground = self.channels - (not self.regions)
        if value.ndim > 1 or len(value) not in (foreground, self.channels):
            raise RefusedError(f"it gives values of shape {tuple(value.shape)}, not one number or one per class")
        return len(value) - foreground

    def _require_same_turned(self, call: Call) -> None:
        """Refuse what takes an axis of the image for that of the classes: mirrored images give another score."""
        straight = self._value(call, self.noise, self.target)
        turned = self._value(call, self.noise.transpose(-1, -2), self.target.transpose(-1, -2))
        if straight.shape != turned.shape or not _same(straight, turned):
            raise RefusedError("it gives another score where the axes of both images are swapped")

    def _is_pixelwise(self, call: Call) -> bool:
        """Whether it takes pixels in any order."""
        order = torch.randperm(self.noise[0, 0].numel(), generator=torch.Generator().manual_seed(1))
        probs = self.noise.flatten(2)[..., order]
        target = self.target.flatten(2 if self.regions else 1)[..., order]
        try:
            return _same(self._value(call, probs, target), self._value(call, self.noise, self.target))
        except RefusedError:
            return False

    def _leaves_out(self, call: Call, value: int) -> bool:
        """Whether predictions of pixels with this value in the truth change nothing."""
        marked = Call(call.metric, call.form, ignored=value)
        others = self.noise.where(self.counted if self.regions else self.counted[:, None], self.noise.roll(1, 1))
        try:
            scores = [self._value(marked, probs, self.target, self.counted) for probs in (self.noise, others)]
        except RefusedError:
            return False
        return _same(*scores)


def _is_higher_better(metric: Any, right: Tensor, wrong: Tensor, first: int) -> bool:
    """Which way is better; what the metric says of itself must agree."""
    good, bad = (float(value.reshape(-1)[first:].nanmean()) for value in (right, wrong))
    says = getattr(metric, "higher_is_better", None)
    if not good > bad and not good < bad:
        raise RefusedError(f"a right prediction scores {good:.3g} and a wrong one {bad:.3g}")
    if says is not None and bool(says) != (good > bad):
        raise RefusedError(
            f"a right prediction scores {good:.3g} and a wrong one {bad:.3g}, but higher_is_better={says}"
        )
    return good > bad


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool(torch.isclose(one, other, atol=1e-6, equal_nan=True).all())
