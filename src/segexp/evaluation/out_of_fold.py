"""Scores of all cases of a cross-validation together, each by the runs that held it out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from segexp.errors import short_path
from segexp.evaluation.evaluation import Evaluation
from segexp.evaluation.rescoring import Labels, LabelScorer, Predictions, rescored
from segexp.evaluation.trained import Trained
from segexp.evaluation.tuning import Tuner, Tuning
from segexp.metrics import (
    CaseMetric,
    CaseScores,
    DecisionRule,
    MetricInfo,
    MetricResult,
    SplitResult,
    gather,
    mean_of_defined,
    summarize,
)
from segexp.postprocessing.postprocess import Steps
from segexp.runs.record import SplitName

Found = tuple[MetricResult, dict[str, MetricInfo]]


@dataclass(frozen=True)
class Part:
    """What a run scored of the cases that it held out.

    Attributes:
        run: The run.
        cases: Names of the cases.
        found: Result of each metric on them, with the values that the run had chosen.
        measured: Measurements (n, …) of each metric, one per case.
        labels: Labels of the cases.
    """

    run: Trained
    cases: list[str]
    found: list[Found]
    measured: list[Tensor]
    labels: Predictions


class OutOfFold:
    """Cases of a cross-validation, each predicted by the runs that held it out.

    The data of one run at a time are in memory; labels are kept in a folder, of probabilities nothing stays.

    Args:
        runs: Runs, of one experiment.
        arguments: Further overrides.
        split: Split that each run held out.
        folder: Folder for labels, to be removed afterwards.

    Attributes:
        parts: What each run scored.
        evaluation: Evaluation of the last run, for what all share: data, metrics, what counts.

    Raises:
        FileNotFoundError: The data are not there.
        ValueError: Data or split are no more those of a run, or arguments do not fit.
    """

    def __init__(self, runs: Sequence[Trained], arguments: Sequence[str], split: SplitName, folder: Path) -> None:
        self.runs = list(runs)
        self.arguments = list(arguments)
        self.split = split
        self.folder = folder
        self.parts = [self._scored(number, None) for number in range(len(self.runs))]

    def _scored(self, number: int, chosen: Mapping[str, float] | None) -> Part:
        """Score the cases that a run held out; values chosen for all runs decide about the labels, where given."""
        run = self.runs[number]
        self.evaluation = evaluation = Evaluation([run], self.arguments)
        evaluation.open(self.split)
        cases = list(getattr(evaluation.data.split, self.split))
        if not evaluation.same_data or cases != (run.record.get("split") or {}).get(self.split):
            raise ValueError(
                f"{short_path(run.folder)}: data or split are no more those of its training, so that nobody knows what "
                "it held out: leave data and data.split as they were"
            )
        if chosen is not None:
            evaluation.chosen = dict(chosen)
        kind = "own" if chosen is None else "together"
        _, labels = evaluation.score(self.split, folder=self.folder / f"{number}-{kind}")
        metrics = evaluation.task.metrics
        return Part(run, cases, [(one.compute(), one.info) for one in metrics], _measured(metrics), labels)

    @property
    def cases(self) -> list[str]:
        """Names of the cases, in the order of the runs; once for every run that held a case out."""
        return [name for part in self.parts for name in part.cases]

    def by(self, rule: DecisionRule) -> Labels:
        """Return the labels of ``cases``; a run that lacks this threshold decides by its own."""
        found: list[Labels] = []
        for part in self.parts:
            own = [one for one in part.labels.rules if one.boundary_class == rule.boundary_class]
            found.append(part.labels.by(rule if rule in own else own[0]))
        return [labels for several in found for labels in several]

    def plain(self) -> SplitResult:
        """Score the predictions as the runs left them, each with the values that it had chosen."""
        return gather(self._found(index) for index in range(len(self.evaluation.task.metrics)))

    def processed(self, steps: Steps, chosen: Mapping[str, float] | None = None) -> SplitResult:
        """Score post-processed labels.

        Args:
            steps: Steps.
            chosen: Values chosen for all runs; None = each run has its own.
        """
        result = rescored(self.metrics(chosen or self.runs[0].chosen), self._scorer(), self, steps)
        if not chosen:
            return result
        same = f"; {', '.join(chosen)} chosen on all of these cases at once"
        infos = {name: replace(info, protocol=info.protocol + same) for name, info in result.info.items()}
        return replace(result, info=infos)

    def choose(self) -> tuple[SplitResult, dict[str, float]]:
        """Choose values such as a threshold on all cases at once, and decide labels by them from now on.

        Returns:
            Scores without post-processing, and the values.
        """
        metrics = self.metrics({})
        result = gather((metric.compute(), metric.info) for metric in metrics)
        rules = {metric.decision_rule(result.chosen) for metric in metrics}
        for number, part in enumerate(self.parts):
            if not rules <= set(part.labels.rules):
                self.parts[number] = self._scored(number, result.chosen)
        return result, result.chosen

    def tune(self, chosen: Mapping[str, float]) -> Tuning:
        """Choose post-processing on all cases at once, given the other values that were chosen."""
        monitor = self.evaluation.config["monitor"]
        return Tuner(self.metrics(chosen), self._scorer(), self, monitor, chosen).run()

    def metrics(self, chosen: Mapping[str, float]) -> list[CaseMetric]:
        """Metrics that have measured all cases; values that are not given are chosen on them."""
        found = []
        for index, metric in enumerate(self.evaluation.task.metrics):
            pooled = deepcopy(metric).cpu()
            pooled.chosen = dict(chosen)
            pooled.case_index = [torch.arange(len(self.cases))]
            pooled.measured = [torch.cat([part.measured[index] for part in self.parts])]
            found.append(pooled)
        return found

    def averaged(self, result: SplitResult) -> SplitResult:
        """Let each case count once, with the mean over the runs that held it out.

        Scores of whole sets stay where as many runs held each case out.
        """
        counts = Counter(self.cases)
        numbers = {name: number for number, name in enumerate(counts)}
        of: dict[tuple[int, str], list[dict[str, float]]] = {}
        for row in result.rows:
            of.setdefault((numbers[self.cases[row.case]], row.label), []).append(row.scores)
        rows = [CaseScores(case, label, _means(several)) for (case, label), several in of.items()]
        means = summarize(rows)
        whole = {name: value for name, value in result.scores.items() if name not in means}
        same = len(set(counts.values())) == 1
        return replace(result, rows=rows, scores=means | (whole if same else {}), bins=[])

    def _found(self, index: int) -> Found:
        """Result of one metric on all cases; where runs chose different values, of single cases alone."""
        results = [part.found[index] for part in self.parts]
        choices = [result.chosen for result, _ in results]
        if all(other == choices[0] for other in choices):
            metric = self.metrics(choices[0])[index]
            return metric.compute(), metric.info
        starts = [sum(len(part.cases) for part in self.parts[:number]) for number in range(len(self.parts))]
        rows = [
            replace(row, case=row.case + start)
            for (result, _), start in zip(results, starts, strict=True)
            for row in result.rows
        ]
        ends = [f"{key} {min(one[key] for one in choices)} to {max(one[key] for one in choices)}" for key in choices[0]]
        own = f"; each run with the values that it had chosen: {', '.join(ends)}"
        kept = {name for row in rows for name in row.scores}
        infos = {name: replace(info, protocol=info.protocol + own) for name, info in results[0][1].items()}
        return MetricResult(rows), {name: info for name, info in infos.items() if name in kept}

    def _scorer(self) -> LabelScorer:
        data = self.evaluation.data
        prepared = {one.original.name: one for split in ("train", "val", "test") for one in data.cases(split)}
        return LabelScorer(data, [prepared[name] for name in self.cases], lazy=True)


def _measured(metrics: Sequence[CaseMetric]) -> list[Tensor]:
    """Measurements of the cases that metrics have seen, in their order."""
    return [dim_zero_cat(one.measured).cpu()[dim_zero_cat(one.case_index).cpu().argsort()] for one in metrics]


def _means(several: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: mean_of_defined(scores[name] for scores in several if name in scores) for name in several[0]}
