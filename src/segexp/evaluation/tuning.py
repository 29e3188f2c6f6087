"""Which post-processing helps: steps tried on validation cases, kept only where the gain is beyond chance."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from segexp.comparison.experiments import better
from segexp.comparison.statistics import Interval, Run, gather, weighted_interval
from segexp.evaluation.rescoring import OF_PROBABILITIES, LabelScorer, Predictions, cut_of
from segexp.metrics import CaseMetric, ObjectScores, PartitionScores, case_means, mean_of_defined
from segexp.postprocessing.postprocess import STEPS

SIZES = (10, 30, 100, 300)  # px: smallest object that stays
HOLES = (10, 100, None)  # px: largest hole that is filled; None = any
DEPTHS = (1.0, 2.0, 4.0, 8.0)  # px
CHANCE = 0.05  # shared among the settings of a step
RESAMPLES = 2000
Settings = dict[str, Any]
Labels = Sequence[np.ndarray]


def grid(metric: CaseMetric, parts: Sequence[int]) -> dict[str, list[Settings]]:
    """Settings of each step that are tried.

    Args:
        metric: That decides. Watershed is tried where it counts objects or regions: lines of background help no
            overlap. Where it scores the objects of some classes only, the steps are for these.
        parts: Foreground classes, or numbers of regions.
    """
    meant = [parts[metric.scored.index(name)] for name in metric.only] if isinstance(metric, ObjectScores) else parts
    some: Settings = {} if len(meant) == len(parts) else {"classes": list(meant)}
    each: list[Settings] = [{"classes": [part]} for part in meant] if len(meant) > 1 else []
    tried: dict[str, list[Settings]] = {
        "largest_component": [some, *([some | {"together": True}] if each else []), *each],
        "min_size": [some | {"size": size} for size in SIZES],
        "fill_holes": [some | {"max_size": size} for size in HOLES],
    }
    if isinstance(metric, PartitionScores):
        cells = [part for part in (0, *parts) if part != metric.boundary_class]
        tried["watershed"] = [{"depth": d, "classes": cells, "line": metric.boundary_class} for d in DEPTHS]
    elif isinstance(metric, ObjectScores):
        tried["watershed"] = [some | {"depth": d} for d in DEPTHS]
    return {step: tried[step] for step in STEPS if step in tried}


class Tuner:
    """Tries steps on the labels of validation cases.

    Args:
        metrics: Of the run; they have just scored these cases.
        scorer: Of these cases.
        predictions: Of these cases.
        monitor: The figure that decides, per case: the mean over the classes that are defined there.
        chosen: What the metrics had chosen.

    Raises:
        ValueError: No metric measures that figure on labels, case by case.
    """

    def __init__(
        self,
        metrics: Sequence[CaseMetric],
        scorer: LabelScorer,
        predictions: Predictions,
        monitor: str,
        chosen: Mapping[str, float],
    ) -> None:
        self.scorer, self.figure = scorer, monitor.partition("/")[2]
        self.metric = _metric_of(self.figure, metrics)
        self.metric.chosen = dict(chosen) if cut_of(self.metric, chosen) else self.metric.chosen
        self.labels = predictions.of(cut_of(self.metric, chosen))
        channels = len(self.labels[0]) if self.labels[0].dtype == bool else None
        count = channels if channels is not None else scorer.num_classes or 0
        self.parts = list(range(0 if channels is not None else 1, count))
        self.sign = -1.0 if better(self.figure) == "lower" else 1.0

    def run(self) -> tuple[dict[str, Settings], dict[str, Any]]:
        """Try each step alone, then one after the other in their order, each on top of those that were kept.

        Returns:
            The steps that were kept, with their settings, and an account in plain values.
        """
        labels, scores = self.labels, self._scores(self.labels)
        start = scores
        kept: dict[str, Settings] = {}
        account: dict[str, Any] = {}
        for step, settings in grid(self.metric, self.parts).items():
            alone = [self._tried(start, self.labels, step, one, len(settings)) for one in settings]
            added = alone if not kept else [self._tried(scores, labels, step, one, len(settings)) for one in settings]
            best = max(added, key=lambda trial: trial["low"] if trial["low"] is not None else -math.inf)
            helps = best["low"] is not None and best["low"] > 0
            account[step] = {"alone": alone, "on_top": best, "kept": helps}
            if helps:
                kept[step] = best["settings"]
                labels = self.scorer.processed(labels, {step: best["settings"]})
                scores = self._scores(labels)
        return kept, {
            "metric": self.figure,
            "rule": rule(self.figure, self.sign),
            "cases": len(start),
            "before": mean_of_defined(start.values()),
            "after": mean_of_defined(scores.values()),
            "steps": account,
        }

    def _tried(
        self, before: Mapping[str, float], labels: Labels, step: str, settings: Settings, count: int
    ) -> dict[str, Any]:
        """Compare the scores with and without one step."""
        after = self._scores(self.scorer.processed(labels, {step: settings}))
        found = gain(before, after, self.sign, 1 - CHANCE / count)
        numbers = {"gain": found.value, "low": found.low, "high": found.high}
        finite = {key: value if math.isfinite(value) else None for key, value in numbers.items()}
        return {
            "settings": settings,
            "after": mean_of_defined(after.values()),
            **finite,
            "level": found.level,
            "cases": found.cases,
        }

    def _scores(self, labels: Labels) -> dict[str, float]:
        """Score of each case, by name; nan where it is undefined."""
        means = case_means(self.scorer.score(self.metric, labels)["rows"], self.figure)
        return {self.scorer.cases[i].name: means.get(i, math.nan) for i in range(len(labels))}


def gain(before: Mapping[str, float], after: Mapping[str, float], sign: float, level: float) -> Interval:
    """Mean paired gain over the cases that both define, with a bootstrap-t interval.

    Args:
        before: Score of each case; nan where it is undefined.
        after: The same with a further step.
        sign: 1 where higher is better, -1 where lower is.
        level: Probability that such intervals cover the truth.
    """
    tables = [gather([Run(0, None, scores)]) for scores in (before, after)]
    return weighted_interval(tables, [-sign, sign], level, RESAMPLES)


def rule(figure: str, sign: float) -> str:
    """Say how steps are chosen."""
    return (
        f"kept where the bootstrap-t interval of the mean paired {'gain' if sign > 0 else 'fall'} of {figure} per case "
        f"lies above 0, at level 1 - {CHANCE} / settings tried; of each step the setting with the highest lower end, "
        f"in the order {', '.join(STEPS)}, each on top of those kept before it"
    )


def _metric_of(figure: str, metrics: Sequence[CaseMetric]) -> CaseMetric:
    columns: list[str] = []
    for metric in metrics:
        if not isinstance(metric, OF_PROBABILITIES):
            names = [key for row in metric.compute()["rows"][:1] for key in row if key not in ("case", "class")]
            if figure in names:
                return metric
            columns += names
    raise ValueError(
        f"monitor=val/{figure} is not measured case by case on labels, so no post-processing can be chosen by it: "
        f"give monitor=val/<one of {', '.join(columns)}>"
    )
