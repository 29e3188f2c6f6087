"""Scores of labels in place of probabilities: what post-processing changes, with the metrics of a run."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from segexp.data import DataModule
from segexp.data.case import Case
from segexp.data.prepared import Prepared, instance_tensor, spacing_of, target_of, target_tensor
from segexp.evaluation.lazy import Lazy
from segexp.metrics import CaseMetric, DecisionRule, MetricInfo, MetricResult, SplitResult, gather, score_labels
from segexp.postprocessing.postprocess import PostProcess, Steps, in_words

Settings = dict[str, bool | int | float | list[int] | None]
Labels = Sequence[np.ndarray]  # of each case


class LabelsByRule(Protocol):
    """Predicted labels of cases, by the rule that decides."""

    def by(self, rule: DecisionRule) -> Labels:
        """Return the labels of each case, decided by this rule."""


class Predictions(Callback):
    """Keeps the labels of all cases that a trainer scores, in order; of probabilities nothing stays in memory.

    Args:
        regions: Whether the network predicts overlapping regions.
        rules: Decision rules by which labels are wanted, beside the most probable class.
        folder: Folder of their own that the labels are kept in; None = in memory.
    """

    def __init__(self, regions: bool, rules: Sequence[DecisionRule], folder: Path | None = None) -> None:
        self.regions = regions
        self.rules = list(dict.fromkeys([DecisionRule(), *rules]))
        self.folder = folder
        self._labels: dict[int, dict[DecisionRule, np.ndarray]] = {}

    def by(self, rule: DecisionRule) -> list[np.ndarray]:
        """Return the labels of each case, decided by this rule; those of a folder are mapped, not read."""
        return [self._labels[index][rule] for index in sorted(self._labels)]

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *args: Any
    ) -> None:
        """Keep the labels of a case."""
        del trainer, pl_module, args
        probs, index = outputs["probs"][0], int(batch["case_index"][0])
        labels = {rule: rule.labels(probs, self.regions) for rule in self.rules}
        if self.folder is not None:
            names = {rule: self.folder / f"{index}-{number}.npy" for number, rule in enumerate(self.rules)}
            labels = {rule: mapped(names[rule], found) for rule, found in labels.items()}
        self._labels[index] = labels

    def on_validation_batch_end(self, *args: Any) -> None:
        """Keep the labels of a case."""
        self.on_test_batch_end(*args)


def mapped(path: Path, array: np.ndarray) -> np.ndarray:
    """Move an array to a file that is not there yet, from which it is read as it is needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    kept: np.ndarray = np.load(path, mmap_mode="r")
    return kept


class LabelScorer:
    """Scores labels of cases; the data are set up.

    Args:
        data: Data, whose classes and unit of distances count.
        cases: Cases, such as those of one split; a case may come several times.
        lazy: Whether post-processed labels are made each time they are asked for, so that none stays in memory.

    Attributes:
        targets: Truth of each case, (*S) or (R, *S) of regions.
        spacings: Size of a pixel of each case, in the unit of the distances.
        instances: Numbers of the true objects (*S) of each case; None where they are not numbered.
    """

    def __init__(self, data: DataModule, cases: Sequence[Prepared], lazy: bool = False) -> None:
        self.cases: list[Case] = [prepared.original for prepared in cases]
        self.regions = data.labels.regions
        self.num_classes = data.labels.num_classes
        self.lazy = lazy
        count = len(self.cases)
        self.targets = Lazy(count, lambda index: target_tensor(target_of(self.cases[index]), self.regions))
        self.spacings = [spacing_of(case, data.geometry.distance_unit) for case in self.cases]
        self.instances = Lazy(count, lambda index: instance_tensor(self.cases[index]))

    def score(self, metric: CaseMetric, labels: Labels) -> MetricResult:
        """Compute the metric of labels, one array per case; the metric itself stays as it is."""
        tensors = Lazy(len(labels), lambda index: torch.from_numpy(labels[index].astype(np.int64)))
        return score_labels(metric, self.targets, tensors, self.spacings, self.num_classes, self.instances)

    def processed(self, labels: Labels, steps: Steps) -> Labels:
        """Post-process the labels of each case."""
        process = PostProcess(steps)
        sizes = [case.spacing if case.spacing_unit == "mm" else None for case in self.cases]
        found = Lazy(len(labels), lambda index: process(np.asarray(labels[index]), sizes[index]))
        return found if self.lazy else list(found)


def rescored(
    metrics: Sequence[CaseMetric], scorer: LabelScorer, predictions: LabelsByRule, steps: Steps
) -> SplitResult:
    """Score post-processed labels with all metrics that have just scored the probabilities of these cases.

    Metrics computed from probabilities alone (calibration, ranking) keep their scores; a maximum over thresholds beside
    scores of labels is left out.
    """
    results: list[tuple[MetricResult, dict[str, MetricInfo]]] = []
    processed: dict[DecisionRule, Labels] = {}
    for metric in metrics:
        if all(info.computed_from == "probabilities" for info in metric.info.values()):
            results.append((metric.compute(), metric.info))
            continue
        # Metrics that decide alike share the post-processed labels.
        rule = metric.decision_rule(metric.chosen)
        if rule not in processed:
            processed[rule] = scorer.processed(predictions.by(rule), steps)
        results.append(_of_labels(metric, scorer.score(metric, processed[rule]), steps))
    return gather(results)


def _of_labels(metric: CaseMetric, result: MetricResult, steps: Steps) -> tuple[MetricResult, dict[str, MetricInfo]]:
    """Leave out the scores that need probabilities, and add the steps to the protocol of the others."""
    infos = metric.info
    suffix = f"; labels post-processed: {in_words(steps)}"
    kept = {name: info for name, info in infos.items() if info.computed_from != "probabilities"}
    overall = {name: value for name, value in result.overall.items() if name in kept or name not in infos}
    kept = {name: replace(info, protocol=info.protocol + suffix) for name, info in kept.items()}
    return replace(result, overall=overall), kept
