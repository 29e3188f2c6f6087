"""How well a run knows the quality of its own masks: measures of whole cases while they are scored, and calibration."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from segexp.data import DataModule
from segexp.data.case import IGNORED
from segexp.evaluation.rescoring import LabelScorer, Predictions
from segexp.inference import Ensemble, Predictor, to_size
from segexp.inference.probabilities import Network, tempered
from segexp.inference.quality import CaseQuality, Measures
from segexp.inference.views import View
from segexp.metrics import DecisionRule, OverlapScores, case_means
from segexp.postprocessing.postprocess import Steps
from segexp.prediction.quality import LEVEL, Quality, correlation_interval, rank_correlation

TEMPERATURES = (1.0, 0.5, 0.7, 1.4, 2.0, 3.0)  # that are tried, the first where two are alike


class Knowledge(TypedDict):
    """How well estimates agree with the true Dice of the scored cases; None = undefined.

    ``low`` and ``high`` bound the rank correlation at 95 %; ``covered`` is the fraction of the cases whose true Dice
    lies in the interval, of level ``level``, about its estimate.
    """

    measure: str
    cases: int
    rank_correlation: float | None
    low: float | None
    high: float | None
    mean_error: float | None
    covered: float | None
    level: float


@dataclass
class PairsAside:
    """A predictor of several members that keeps the agreement of their masks on the last image aside.

    Attributes:
        predictor: Predictor of an ``Ensemble``.
        outputs: Number of channels of probabilities.
        pairs: (B, 2 P, *S) of the last image, see ``Ensemble``; None before the first.
    """

    predictor: Predictor
    outputs: int
    pairs: Tensor | None = None

    def __call__(self, network: Network | Ensemble, image: Tensor) -> Tensor:
        """Return the mean probabilities (B, K, *S) of an image (B, C, *S)."""
        found = self.predictor(replace(Ensemble.of(network), pairs=True), image)
        self.pairs = found[:, self.outputs :]
        return found[:, : self.outputs]


def views_of_predictor(predictor: Any) -> list[View]:
    """List the views that a predictor, or one that it holds, averages over beside the image as it is."""
    while predictor is not None:
        views = getattr(predictor, "views", None)
        if views:
            return [view for view in views if str(view)]
        predictor = getattr(predictor, "predictor", None)
    return []


class Meter(Callback):
    """Measures all cases that a trainer scores; of their probabilities nothing stays in memory.

    Args:
        activation: "softmax" or "sigmoid".
        insides: Field of view (*S) bool of each case, None = all.
        scorer: Predictor of the cases, where it keeps their agreement aside.
        temperatures: Temperatures of the expected Dice; with several the truth is used to choose one.
    """

    def __init__(
        self,
        activation: str,
        insides: Sequence[np.ndarray | None],
        scorer: PairsAside | None,
        temperatures: Sequence[float] = (1.0,),
    ) -> None:
        self.activation = activation
        self.insides = insides
        self.scorer = scorer
        self.temperatures = temperatures
        self._cases: dict[int, CaseQuality] = {}
        self._losses = np.zeros(len(temperatures))

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *args: Any
    ) -> None:
        """Measure a case."""
        del trainer, pl_module, args
        probs, index = outputs["probs"][0], int(batch["case_index"][0])
        inside = self.insides[index]
        pairs = None
        if self.scorer is not None and self.scorer.pairs is not None:
            pairs = to_size(self.scorer.pairs, probs.shape[1:])[0]
        self._cases[index] = CaseQuality(self.activation, self.temperatures)
        self._cases[index].add(probs, pairs, None if inside is None else torch.from_numpy(inside).to(probs.device))
        if len(self.temperatures) > 1:
            target = batch["target"][0]
            self._losses += [log_loss(probs, target, each, self.activation) for each in self.temperatures]

    def on_validation_batch_end(self, *args: Any) -> None:
        """Measure a case."""
        self.on_test_batch_end(*args)

    @property
    def temperature(self) -> float:
        """Temperature at which the probabilities tell most of the truth."""
        return self.temperatures[int(np.argmin(self._losses))]

    def measures(self, temperature: float) -> list[Measures]:
        """Return the measures of the cases, in order."""
        return [self._cases[index].measures(temperature) for index in sorted(self._cases)]


def log_loss(probs: Tensor, target: Tensor, temperature: float, activation: str) -> float:
    """Mean negative logarithm of the probability of the truth, at a temperature.

    Args:
        probs: (K, *S).
        target: (*S) class indices, or (K, *S) of regions; below 0 and 255 count nowhere.
        temperature: See ``tempered``.
        activation: "softmax" or "sigmoid".
    """
    at = tempered(probs.float(), temperature, activation)
    counted = (target >= 0) & (target != IGNORED)
    if activation == "softmax":
        true = at.gather(0, target.where(counted, 0)[None].long())[0]
    else:
        true = torch.where(target == 1, at, 1 - at)
    kept = true[counted]
    return float(-kept.clamp_min(1e-7).log().mean()) if len(kept) else 0.0


def dice_of_cases(scorer: LabelScorer, predictions: Predictions, data: DataModule, steps: Steps) -> list[float]:
    """Dice of the masks of each case as `segexp predict` writes them, averaged over the classes defined in it."""
    labels = scorer.processed(predictions.by(DecisionRule()), steps)
    result = scorer.score(OverlapScores(data.labels.class_names, data.labels.regions), labels)
    means = case_means(result.rows, "dice")
    return [means.get(index, math.nan) for index in range(len(labels))]


def knowledge(qualities: Sequence[Quality], scores: Sequence[float], measure: str) -> Knowledge:
    """Compare the estimates with the true Dice of each case; cases without one are left out."""
    pairs = [(one, score) for one, score in zip(qualities, scores, strict=True) if math.isfinite(score)]
    estimates, truth = (np.array(column, float) for column in ([one.dice for one, _ in pairs], [s for _, s in pairs]))
    correlation = rank_correlation(estimates, truth)
    low, high = correlation_interval(correlation, len(pairs)) or (None, None)
    inside = [one.low <= score <= one.high for one, score in pairs if one.low is not None and one.high is not None]
    return Knowledge(
        measure=measure,
        cases=len(pairs),
        rank_correlation=correlation,
        low=low,
        high=high,
        mean_error=float(np.abs(estimates - truth).mean()) if pairs else None,
        covered=sum(inside) / len(inside) if inside else None,
        level=LEVEL,
    )


def in_sentence(known: Knowledge) -> str:
    """Say how well the estimates agree with the true Dice."""
    words = f"estimated Dice (by {known['measure'].replace('_', ' ')}) against the true one of {known['cases']} cases: "
    if known["rank_correlation"] is None:
        return words + "rank correlation undefined, since one of them is the same for all"
    words += f"rank correlation {known['rank_correlation']:.2f}"
    if known["low"] is not None and known["high"] is not None:
        words += f" ({known['low']:.2f} to {known['high']:.2f})"
    words += f", mean error {known['mean_error']:.3f}"
    if known["covered"] is not None:
        words += f", {known['covered']:.0%} within their intervals of {known['level']:.0%}"
    return words
