"""Which post-processing helps: steps tried on validation cases, kept only where the gain is beyond chance."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segexp.comparison.statistics.intervals import Interval, weighted_interval
from segexp.comparison.statistics.scores import Run, gather
from segexp.evaluation.rescoring import Labels, LabelsByRule, LabelScorer, Settings
from segexp.metrics import CaseMetric, case_means, mean_of_defined
from segexp.postprocessing.postprocess import STEPS

SIZES = (10, 30, 100, 300)  # px: smallest object that stays
HOLES = (10, 100, None)  # px: largest hole that is filled; None = any
DEPTHS = (1.0, 2.0, 4.0, 8.0)  # px
CHANCE = 0.05  # shared among the settings of a step
RESAMPLES = 2000


@dataclass(frozen=True)
class Trial:
    """One step tried with one setting; numbers that are not finite are None."""

    settings: Settings
    after: float  # mean score over the cases with the step
    gain: float | None  # mean paired gain per case
    low: float | None  # lower and upper end of its interval
    high: float | None
    level: float  # of the interval
    cases: int  # that are defined with and without the step

    @property
    def helps(self) -> bool:
        """Whether the gain is beyond chance."""
        return self.low is not None and self.low > 0


@dataclass(frozen=True)
class TriedStep:
    """All trials of one step."""

    alone: list[Trial]  # on the labels as they were predicted, one per setting
    on_top: Trial  # the best one on top of the steps that were kept before
    kept: bool  # whether that one is kept


@dataclass(frozen=True)
class Tuning:
    """What was tried and what came of it."""

    metric: str  # that decides
    rule: str  # how steps are chosen, in one sentence
    cases: int
    before: float  # mean score without steps
    after: float  # mean score with the steps that are kept
    steps: dict[str, TriedStep]

    @property
    def kept(self) -> dict[str, Settings]:
        """Steps that are kept, with their settings."""
        return {name: step.on_top.settings for name, step in self.steps.items() if step.kept}


def grid(metric: CaseMetric, parts: Sequence[int]) -> dict[str, list[Settings]]:
    """Settings of each step that are tried.

    Args:
        metric: Metric that decides. Watershed is tried where it counts objects or regions: lines of background help no
            overlap. Where it scores the objects of some classes only, the steps are for these.
        parts: Numbers of the foreground classes, or of the regions.
    """
    meant = metric.scored_among(parts)
    some: Settings = {} if len(meant) == len(parts) else {"classes": meant}
    each: list[Settings] = [{"classes": [part]} for part in meant] if len(meant) > 1 else []
    together: list[Settings] = [some | {"together": True}] if each else []
    tried: dict[str, list[Settings]] = {
        "largest_component": [some, *together, *each],
        "min_size": [some | {"size": size} for size in SIZES],
        "fill_holes": [some | {"max_size": size} for size in HOLES],
    }
    if metric.counts_objects and metric.boundary_class is None:
        tried["watershed"] = [some | {"depth": depth} for depth in DEPTHS]
    elif metric.counts_objects:
        cells = [part for part in (0, *parts) if part != metric.boundary_class]
        tried["watershed"] = [{"depth": depth, "classes": cells, "line": metric.boundary_class} for depth in DEPTHS]
    return {step: tried[step] for step in STEPS if step in tried}


class Tuner:
    """Tries steps on the labels of validation cases.

    Args:
        metrics: Metrics of the run; they have just scored these cases.
        scorer: Scorer of these cases.
        predictions: Labels of these cases.
        monitor: Score that decides, per case: the mean over the classes that are defined there.
        chosen: Values that the metrics had chosen.

    Raises:
        ValueError: No metric measures that score on labels, case by case.
    """

    def __init__(
        self,
        metrics: Sequence[CaseMetric],
        scorer: LabelScorer,
        predictions: LabelsByRule,
        monitor: str,
        chosen: Mapping[str, float],
    ) -> None:
        self.scorer = scorer
        self.name = monitor.partition("/")[2]
        self.metric = _metric_of(self.name, metrics)
        decision = self.metric.decision_rule(chosen)
        if decision.boundary_class is not None:
            self.metric.chosen = dict(chosen)
        self.labels: Labels = predictions.by(decision)
        self.parts = list(range(1, scorer.num_classes) if scorer.regions is None else range(len(scorer.regions)))
        self.sign = 1.0 if self.metric.info[self.name].higher_is_better else -1.0

    def run(self) -> Tuning:
        """Try each step alone, then one after the other in their order, each on top of those that were kept."""
        labels = self.labels
        start = scores = self._scores(self.labels)
        steps: dict[str, TriedStep] = {}
        for step, settings in grid(self.metric, self.parts).items():
            alone = [self._tried(start, self.labels, step, one, len(settings)) for one in settings]
            added = alone
            if any(tried.kept for tried in steps.values()):
                added = [self._tried(scores, labels, step, one, len(settings)) for one in settings]
            best = max(added, key=lambda trial: trial.low if trial.low is not None else -math.inf)
            steps[step] = TriedStep(alone, best, best.helps)
            if best.helps:
                labels = self.scorer.processed(labels, {step: best.settings})
                scores = self._scores(labels)
        rule = (
            f"kept where the bootstrap-t interval of the mean paired {'gain' if self.sign > 0 else 'fall'} of "
            f"{self.name} per case lies above 0, at level 1 - {CHANCE} / settings tried; of each step the setting with "
            f"the highest lower end, in the order {', '.join(STEPS)}, each on top of those kept before it"
        )
        return Tuning(
            metric=self.name,
            rule=rule,
            cases=len(start),
            before=mean_of_defined(start.values()),
            after=mean_of_defined(scores.values()),
            steps=steps,
        )

    def _tried(self, before: Mapping[str, float], labels: Labels, step: str, settings: Settings, count: int) -> Trial:
        """Compare the scores with and without one step."""
        after = self._scores(self.scorer.processed(labels, {step: settings}))
        interval = gain(before, after, self.sign, 1 - CHANCE / count)
        return Trial(
            settings=settings,
            after=mean_of_defined(after.values()),
            gain=_finite(interval.value),
            low=_finite(interval.low),
            high=_finite(interval.high),
            level=interval.level,
            cases=interval.cases,
        )

    def _scores(self, labels: Labels) -> dict[str, float]:
        """Score of each case, by name, the mean where it comes several times; nan where it is undefined."""
        means = case_means(self.scorer.score(self.metric, labels).rows, self.name)
        of: dict[str, list[float]] = {}
        for i in range(len(labels)):
            of.setdefault(self.scorer.cases[i].name, []).append(means.get(i, math.nan))
        return {case: mean_of_defined(scores) for case, scores in of.items()}


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def gain(before: Mapping[str, float], after: Mapping[str, float], sign: float, level: float) -> Interval:
    """Mean paired gain over the cases that both define, with a bootstrap-t interval.

    Args:
        before: Score of each case; nan where it is undefined.
        after: Score of each case with a further step.
        sign: 1 where higher is better, -1 where lower is.
        level: Probability that such intervals cover the truth.
    """
    tables = [gather([Run(0, None, scores)]) for scores in (before, after)]
    return weighted_interval(tables, [-sign, sign], level, RESAMPLES)


def _metric_of(name: str, metrics: Sequence[CaseMetric]) -> CaseMetric:
    columns: list[str] = []
    for metric in metrics:
        infos = metric.info
        per_case = [score for row in metric.compute().rows[:1] for score in row.scores]
        of_labels = [score for score in per_case if infos[score].computed_from == "labels"]
        if name in of_labels:
            return metric
        columns += of_labels
    raise ValueError(
        f"monitor=val/{name} is not measured case by case on labels, so no post-processing can be chosen by it: "
        f"give monitor=val/<one of {', '.join(columns)}>"
    )
