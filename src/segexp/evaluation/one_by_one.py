"""Scores of cases one by one, each a set of its own, by the same step of the same trainer as those of a whole split."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from segexp.data import DataModule
from segexp.data.patches import CaseDataset
from segexp.data.prepared import Prepared
from segexp.evaluation.rescoring import Labels, LabelScorer, Predictions, rescored
from segexp.metrics import CaseMetric, DecisionRule, SplitResult, gather
from segexp.postprocessing.postprocess import Steps


@dataclass(frozen=True, eq=False)
class Scored:
    """A case and its scores.

    Attributes:
        index: Place among the cases.
        prepared: The case.
        result: Scores of it alone, after post-processing.
        labels: (*S) or (R, *S), as the headline metric decides, after post-processing.
    """

    index: int
    prepared: Prepared
    result: SplitResult
    labels: np.ndarray


Heed = Callable[[Scored], None]


class OneByOne(Callback):
    """Hands each case that a trainer tests to a function, with the scores of this case alone.

    Args:
        data: Data of the cases.
        metrics: Metrics of the task.
        rule: How the headline metric makes labels.
        steps: Steps of post-processing.
        heed: The function.
    """

    def __init__(
        self, data: DataModule, metrics: Sequence[CaseMetric], rule: DecisionRule, steps: Steps, heed: Heed
    ) -> None:
        self.data = data
        self.metrics = metrics
        self.rule = rule
        self.steps = steps
        self.heed = heed

    def on_test_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Forget the case before, and number this one as the first of its set."""
        del trainer, pl_module, batch_idx, dataloader_idx
        batch["case_index"].zero_()
        for metric in self.metrics:
            metric.reset()

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Score the case, and hand it on."""
        del dataloader_idx
        dataset: CaseDataset = trainer.test_dataloaders.dataset  # type: ignore[union-attr]
        prepared = dataset.cases[batch_idx]
        scorer = LabelScorer(self.data, [prepared])
        rules = [metric.decision_rule(metric.chosen) for metric in self.metrics]
        predictions = Predictions(self.data.labels.regions is not None, [self.rule, *rules])
        predictions.on_test_batch_end(trainer, pl_module, outputs, batch)
        labels: Labels = predictions.by(self.rule)
        if self.steps:
            result = rescored(self.metrics, scorer, predictions, self.steps)
            labels = scorer.processed(labels, self.steps)
        else:
            result = gather((metric.compute(), metric.info) for metric in self.metrics)
        self.heed(Scored(batch_idx, prepared, result, labels[0]))
