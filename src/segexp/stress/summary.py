"""Figures of a stress test: scores against severity with intervals, areas, degradation, worst cases."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, median

import numpy as np

from segexp.comparison.statistics.comparison import summarize as summarize_cases
from segexp.comparison.statistics.scores import Run, gather
from segexp.metrics import CaseScores
from segexp.metrics.summary import summarize
from segexp.runs.results import MetricFacts
from segexp.runs.stress import Band, CorruptionFigures, StressResults, WorstCase
from segexp.stress.corruptions import CORRUPTIONS, MEASURES
from segexp.stress.journal import CLEAN, Journal, Unit, mean_score
from segexp.stress.scoring import Plan

ALPHA = 2 / 3  # weight of a severity against the one below it, as in ROOD-MRI
NEAR = 5  # tolerances of the calibration, within which a target counts as reached

Curve = Mapping[int, Mapping[str, float]]  # score of each case by severity, 0 among them


def summarized(
    journal: Journal, plan: Plan, metric: str, metrics: dict[str, MetricFacts], epochs: list[int], peak: float
) -> StressResults:
    """Gather the figures of a plan whose copies are all scored.

    Args:
        journal: Scored copies.
        plan: What was scored.
        metric: Headline metric, one of each case.
        metrics: Descriptions of the metrics of each case, by name.
        epochs: Epochs of the checkpoints.
        peak: Peak memory in MiB.
    """
    clean = _units(journal, plan, CLEAN, 0)
    found = {name: _figures(journal, plan, name, metric, metrics[metric]) for name in plan.corruptions}
    return {
        "metric": metric,
        "metrics": metrics,
        "split": plan.split,
        "cases": list(plan.cases),
        "severities": list(plan.severities),
        "seed": plan.seed,
        "version": plan.version,
        "protocol": PROTOCOL,
        "clean": _scores(clean),
        "clean_interval": _interval({unit.case: mean_score(unit, metric) for unit in clean}, metrics[metric]["unit"]),
        "corruptions": found,
        "overall": {key: _mean(figures[key] for figures in found.values()) for key in ("mean", "area", "degradation")},
        "epochs": epochs,
        "seconds_per_case": round(fmean(journal.units[key].seconds for key in plan.copies()), 4),
        "peak_memory_mib": peak,
    }


PROTOCOL = (
    "each case is corrupted in the geometry and intensities of its files, before the run's own spacing and intensity "
    "rule; the strength is searched for each image until the declared measure, against the clean image in the window "
    "of its own range, reaches the target of the severity"
)


def _units(journal: Journal, plan: Plan, corruption: str, severity: int) -> list[Unit]:
    return [journal.units[corruption, case, severity] for case in plan.cases]


def _scores(units: Sequence[Unit]) -> dict[str, float | None]:
    """Metrics of each class and their means, as evaluation averages them."""
    rows = [CaseScores(n, label, dict(row)) for n, unit in enumerate(units) for label, row in unit.scores.items()]
    return {name: _known(value) for name, value in summarize(rows).items()}


def _figures(journal: Journal, plan: Plan, name: str, metric: str, facts: MetricFacts) -> CorruptionFigures:
    higher, unit = facts["higher_is_better"], facts["unit"]
    units = {severity: _units(journal, plan, name, severity) for severity in plan.severities}
    levels = CORRUPTIONS[name].levels()
    declared = [levels[severity - 1] for severity in plan.severities]
    scores = [_scores(each) for each in units.values()]
    curve = curve_of(journal, plan, name, metric)
    areas = {case: _area({severity: row[case] for severity, row in curve.items()}) for case in plan.cases}
    heights = {severity: score_of(journal, plan, name, severity, metric) for severity in curve}
    return {
        "measure": CORRUPTIONS[name].measure,
        "declared": declared,
        "reached": [median(unit.reached for unit in each) for each in units.values()],
        "strength": [median(unit.strength for unit in each) for each in units.values()],
        "missed": [_missed(name, each, level) for each, level in zip(units.values(), declared, strict=True)],
        "scores": {key: [row.get(key) for row in scores] for key in scores[0]},
        "undefined": [sum(math.isnan(value) for value in curve[severity].values()) for severity in plan.severities],
        "intervals": [_interval(curve[severity], unit) for severity in plan.severities],
        "mean": _mean(heights[severity] for severity in plan.severities),
        "area": _known(_area(heights)),
        "area_interval": _interval(areas, unit),
        "degradation": _known(degradation(heights, higher)),
        "worst": _worst(curve, higher),
    }


def curve_of(journal: Journal, plan: Plan, name: str, metric: str) -> dict[int, dict[str, float]]:
    """Score of each case, the mean over its classes, by severity; 0 is the case as it is."""
    found = {}
    for severity in (0, *plan.severities):
        units = _units(journal, plan, name if severity else CLEAN, severity)
        found[severity] = {unit.case: mean_score(unit, metric) for unit in units}
    return found


def score_of(journal: Journal, plan: Plan, name: str, severity: int, metric: str) -> float:
    """Score of all cases, as evaluation averages them; nan where it is undefined."""
    value = _scores(_units(journal, plan, name if severity else CLEAN, severity)).get(metric)
    return math.nan if value is None else value


def _missed(name: str, units: Sequence[Unit], level: float) -> int:
    """Number of copies whose measure is not near the target."""
    measure = CORRUPTIONS[name].measure
    if measure not in MEASURES:
        return 0
    return sum(abs(unit.reached - level) > NEAR * MEASURES[measure][2] for unit in units)


def _interval(scores: Mapping[str, float], unit: str) -> Band:
    """95 % interval of the mean over cases, as `segexp compare` has it; None with fewer than two cases."""
    if sum(not math.isnan(score) for score in scores.values()) < 2:
        return [None, None]
    found = summarize_cases(gather([Run(0, None, scores)])).interval
    low, high = found.low, found.high
    if unit == "fraction":
        low, high = max(low, 0.0), min(high, 1.0)
    return [_known(low), _known(high)]


def _area(heights: Mapping[int, float]) -> float:
    """Area under a curve by straight lines, divided by its width."""
    places = sorted(heights)
    return float(np.trapezoid([heights[place] for place in places], places)) / (places[-1] - places[0])


def degradation(heights: Mapping[int, float], higher: bool) -> float:
    """Mean loss against the clean score, a severity weighing 2/3 of the one below.

    Source: Boone et al. 2022 (ROOD-MRI).
    """
    sign = 1 if higher else -1
    weights = {severity: ALPHA**severity for severity in heights if severity}
    losses = sum(weight * sign * (heights[0] - heights[severity]) for severity, weight in weights.items())
    return losses / sum(weights.values())


def _worst(curve: Curve, higher: bool) -> WorstCase:
    scores = {case: score for case, score in curve[max(curve)].items() if not math.isnan(score)}
    if not scores:
        case = next(iter(curve[0]))
        return {"case": case, "score": None, "clean": _known(curve[0][case])}
    case = (min if higher else max)(scores, key=lambda name: scores[name])
    return {"case": case, "score": scores[case], "clean": _known(curve[0][case])}


def typical_case(journal: Journal, plan: Plan, metric: str) -> str:
    """The case with the median score without corruption, the lower of two."""
    scores = {unit.case: mean_score(unit, metric) for unit in _units(journal, plan, CLEAN, 0)}
    order = sorted(scores, key=lambda case: (math.isnan(scores[case]), scores[case]))
    known = sum(not math.isnan(score) for score in scores.values())
    return order[max(0, known - 1) // 2]


def rows_of(journal: Journal, plan: Plan) -> list[dict[str, str | float]]:
    """Rows of stress.csv: a row per copy and class."""
    units = [journal.units[key] for key in plan.copies()]
    return [
        {
            "corruption": unit.corruption,
            "severity": unit.severity,
            "case": unit.case,
            "class": label,
            "strength": unit.strength,
            "reached": unit.reached,
            **scores,
        }
        for unit in units
        for label, scores in unit.scores.items()
    ]


def _mean(values: object) -> float | None:
    known = [value for value in values if value is not None and not math.isnan(value)]  # type: ignore[attr-defined]
    return fmean(known) if known else None


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
