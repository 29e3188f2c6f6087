"""What stress.json and stress.csv hold, and the metrics that a comparison makes of them."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NotRequired, TypedDict, cast

from segexp.runs.files import Rows
from segexp.runs.results import MetricFacts, Results

PREFIX = "stress_"
KEYS = ("corruption", "severity", "case", "class", "strength", "reached")  # columns of stress.csv beside the metrics

Band = list[float | None]  # lower and upper end of an interval


class WorstCase(TypedDict):
    """The case with the worst score at the highest severity, and its score without corruption."""

    case: str
    score: float | None
    clean: float | None


class CorruptionFigures(TypedDict, total=False):
    """Figures of one corruption; lists have a value per severity.

    ``declared`` are the targets of ``measure``, ``reached`` and ``strength`` the medians over the cases, ``missed`` the
    number of cases that are not near the target. ``scores`` are averaged as those of results.json, by metric. What
    follows is of the headline metric: ``intervals``; ``area`` under the curve over the severities, the clean score
    included, as a mean height, and ``area_interval``; ``mean`` over the severities; ``degradation`` as in ROOD-MRI;
    against a reference run ``corruption_error`` and ``relative_corruption_error`` as in ImageNet-C, and
    ``relative_degradation``.
    """

    measure: str
    declared: list[float]
    reached: list[float]
    strength: list[float]
    missed: list[int]
    scores: dict[str, list[float | None]]
    undefined: list[int]
    intervals: list[Band]
    mean: float | None
    area: float | None
    area_interval: Band
    degradation: float | None
    worst: WorstCase
    corruption_error: float | None
    relative_corruption_error: float | None
    relative_degradation: float | None


class StressResults(TypedDict):
    """Content of stress.json; ``epochs`` are those of the checkpoints, ``reference`` is the name of a reference run."""

    metric: str
    metrics: dict[str, MetricFacts]
    split: str
    cases: list[str]
    severities: list[int]
    seed: int
    version: int
    protocol: str
    clean: dict[str, float | None]
    clean_interval: Band
    corruptions: dict[str, CorruptionFigures]
    overall: dict[str, float | None]
    epochs: list[int]
    seconds_per_case: float
    peak_memory_mib: float
    reference: NotRequired[str]


def settings_in_words(stress: StressResults) -> str:
    """What must be equal for the stress metrics of two runs to compare."""
    severities = ", ".join(map(str, stress["severities"]))
    return f"severities {severities}; seed {stress['seed']}, version {stress['version']} of the corruptions"


def is_detail(metric: str, metrics: Sequence[str]) -> bool:
    """Whether a metric is of one corruption, or of a further metric than the first: compared if it is asked for."""
    return metric.startswith(PREFIX) and metric != f"{PREFIX}{metrics[0]}"


def with_columns(rows: Rows, stress: StressResults, table: Rows) -> Rows:
    """Add to the rows of cases.csv the mean of each metric over corruptions and severities, and per corruption."""
    found: dict[tuple[str, str], dict[str, dict[str, list[float]]]] = {}  # case, class: metric: corruption: values
    for row in table:
        if row["severity"] == "0":
            continue
        own = found.setdefault((row["case"], row["class"]), {})
        for metric in stress["metrics"]:
            if row.get(metric):
                own.setdefault(metric, {}).setdefault(row["corruption"], []).append(float(row[metric]))
    added = []
    for row in rows:
        columns: dict[str, str] = {}
        for metric, values in found.get((row["case"], row["class"]), {}).items():
            means = {name: fmean(scores) for name, scores in values.items()}
            columns[f"{PREFIX}{metric}"] = repr(fmean(means.values()))
            columns |= {f"{PREFIX}{name}_{metric}": repr(mean) for name, mean in means.items()}
        added.append({**row, **columns})
    names = dict.fromkeys(name for row in added for name in row)
    return [{name: row.get(name, "") for name in names} for row in added]


def with_metrics(results: Results, split: str, stress: StressResults) -> Results:
    """Describe the stress metrics in results, and give their values, as those of other metrics."""
    facts, protocol, scores = {}, {}, {}
    for metric, info in stress["metrics"].items():
        means: dict[str, float] = {}
        for name, figures in stress["corruptions"].items():
            known = [score for score in figures.get("scores", {}).get(metric, []) if score is not None]
            if known:
                means[name] = fmean(known)
        for key, (value, what) in _columns(metric, means).items():
            facts[key], scores[key] = info, value
            protocol[key] = f"{metric} of corrupted cases, the mean over {what}{settings_in_words(stress)}"
    return cast(
        Results,
        {
            **results,
            "metrics": {**results.get("metrics", {}), **facts},
            "protocol": _updated(results.get("protocol", {}), split, protocol),
            split: {**cast(Mapping[str, Any], results).get(split, {}), **scores},
        },
    )


def _columns(metric: str, means: Mapping[str, float]) -> dict[str, tuple[float, str]]:
    """Values by key, and over what they are averaged."""
    if not means:
        return {}
    found = {f"{PREFIX}{name}_{metric}": (mean, f"{name}, ") for name, mean in means.items()}
    return {f"{PREFIX}{metric}": (fmean(means.values()), f"{', '.join(means)}; ")} | found


def _updated(parts: Mapping[str, Mapping[str, str]], split: str, more: Mapping[str, str]) -> dict[str, dict[str, str]]:
    return {name: dict(part) for name, part in parts.items()} | {split: {**parts.get(split, {}), **more}}
