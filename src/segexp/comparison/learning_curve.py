"""What the next label is worth: the score against the number of training cases, over the runs of a sweep."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from segexp.comparison.comparison import bounded_summary
from segexp.comparison.content import Better
from segexp.comparison.experiments import Experiment, group, labels, warnings
from segexp.comparison.statistics.intervals import Interval
from segexp.comparison.statistics.power_law import (
    Estimate,
    PowerLaw,
    fit,
    has_trend,
    points_of,
    refusal,
)
from segexp.errors import require_choice
from segexp.runs.runs import Run

FRACTION = "data.split.train_fraction"  # the key whose values make a curve
FACTORS = (1.5, 2.0)  # of the most training cases: what so many would bring


@dataclass(frozen=True)
class Measured:
    """Score of trainings with one number of cases.

    Args:
        fraction: Value of ``data.split.train_fraction``.
        cases: Number of training cases, the mean over folds.
        interval: Mean score, and its interval with the randomness of training where runs show it.
        runs: Number of runs.
        seeds: Number of replicates.
    """

    fraction: float
    cases: float
    interval: Interval
    runs: int
    seeds: int


@dataclass(frozen=True)
class Expected:
    """What more cases would bring, if the power law holds that far.

    Args:
        factor: Number of training cases in the most that were tried.
        cases: Number of training cases.
        score: Score.
        gain: What that is better than the score of the most cases; 0 or more.
    """

    factor: float
    cases: float
    score: Estimate
    gain: Estimate


@dataclass(frozen=True)
class LearningCurve:
    """One setting at several numbers of training cases.

    Args:
        name: Short name, made of what differs among the curves.
        points: What was measured, the fewest cases first.
        law: Power law of a score of which more is better; None where the data do not say.
        refusal: Why there is none; empty where there is one.
        expected: What 1.5 and 2 times the cases would bring; empty without a law.
        rests_on_fewest: Whether there is a trend only with the fewest cases among the points.
    """

    name: str
    points: list[Measured]
    law: PowerLaw | None
    refusal: str
    expected: list[Expected]
    rests_on_fewest: bool = False


@dataclass(frozen=True)
class LearningCurves:
    """Learning curves of one metric.

    Args:
        metric: Name of the metric.
        label: Class; None = mean over classes.
        unit: Unit of the scores, see `MetricInfo`.
        better: Whether a higher or a lower score is better.
        protocol: What was scored, in words.
        curves: One per setting.
        warnings: What makes scores incomparable, in sentences.
    """

    metric: str
    label: str | None
    unit: str
    better: Better
    protocol: str
    curves: list[LearningCurve]
    warnings: list[str]


def learning_curves(runs: Sequence[Run], metric: str | None = None, label: str | None = None) -> LearningCurves:
    """Gather the runs that differ in their fraction of the training cases, seed and fold alone into curves.

    Args:
        runs: Runs.
        metric: Metric of cases.csv; None = the headline.
        label: Class; None = mean over classes.

    Raises:
        ValueError: No run has ended, the metric or class is unknown, or no setting was trained with two numbers of
            cases.
    """
    experiments = [found for found in group(runs) if found.runs]
    if not experiments:
        raise ValueError(f"none of the {len(runs)} runs has results yet: wait for one to end, or look at its run.json")
    chosen = metric or str(experiments[0].first.results["headline"]["metric"])
    require_choice("--metric", chosen, _common([found.metrics for found in experiments]))
    if label is not None:
        require_choice("--class", label, _common([found.classes for found in experiments]))
    members = _by_setting(experiments)
    if all(len(found) < 2 for found in members):
        raise ValueError(
            f"all runs of a setting have one number of training cases: train with -m {FRACTION}=0.1,0.2,0.4,0.7,1 "
            "seed=0,1,2"
        )
    first = experiments[0].first
    facts = first.facts(chosen)
    names = labels([max(found, key=_fraction).first for found in members])
    higher = facts["higher_is_better"]
    return LearningCurves(
        chosen,
        label,
        facts["unit"],
        "higher" if higher else "lower",
        first.results["protocol"][first.split].get(chosen, ""),
        [_curve(name, found, chosen, label, facts["unit"], higher) for name, found in zip(names, members, strict=True)],
        warnings(experiments),
    )


def _best_score(unit: str, higher: bool) -> float:
    """Best value of a score that is turned round where less is better: errors and distances end at 0."""
    if not higher:
        return 0.0
    return 1.0 if unit == "fraction" else math.inf


def _common(lists: Sequence[Sequence[str]]) -> list[str]:
    return [name for name in lists[0] if all(name in names for names in lists)]


def _by_setting(experiments: Sequence[Experiment]) -> list[list[Experiment]]:
    """Gather experiments that differ in the fraction of the training cases alone."""
    members: dict[str, list[Experiment]] = {}
    for found in experiments:
        rest = {key: value for key, value in found.first.settings.items() if key != FRACTION}
        members.setdefault(json.dumps(rest, sort_keys=True, default=str), []).append(found)
    return list(members.values())


def _fraction(found: Experiment) -> float:
    """Fraction of the training cases; 1 for runs that do not know it."""
    return float(str(found.first.settings.get(FRACTION, 1.0)))


def _size(found: Experiment) -> float:
    """Mean number of training cases."""
    return fmean(len(run.results["cases"]["train"]) for run in found.runs)


def _curve(
    name: str, found: Sequence[Experiment], metric: str, label: str | None, unit: str, higher: bool
) -> LearningCurve:
    """Measure the points of one curve, and fit the law if the data allow it."""
    in_order = sorted(found, key=_size)
    tables = [one.scores(metric, label) for one in in_order]
    measured = [
        Measured(_fraction(one), _size(one), bounded_summary(table, unit).interval, table.runs, len(table.values))
        for one, table in zip(in_order, tables, strict=True)
    ]
    sizes, best = [point.cases for point in measured], _best_score(unit, higher)
    points = points_of(tables, sizes, higher, best)
    why = refusal(points)
    if why:
        return LearningCurve(name, measured, None, why, [])
    law, most = fit(points), sizes[-1]
    expected = [
        Expected(factor, factor * most, turned(law.score(factor * most), higher), law.gain(most, factor * most))
        for factor in FACTORS
    ]
    rests = not has_trend(points_of(tables[1:], sizes[1:], higher, best))
    return LearningCurve(name, measured, law, "", expected, rests)


def turned(found: Estimate, higher: bool) -> Estimate:
    """Turn a score of which less is better back to its own sense."""
    return found if higher else Estimate(-found.value, -found.high, -found.low)
