"""What results.json and cases.csv hold: the metrics of a run with their protocol in words."""

from collections.abc import Mapping
from typing import Any, TypedDict

from segexp.runs.record import CaseNames, Headline

Metrics = dict[str, float | None]  # by name; None = undefined
Diagram = dict[str, list[float | None]]  # bins of a reliability diagram: probability, share, pixels


class MetricFacts(TypedDict):
    """What a score is; ``computed_from`` is "labels" or "probabilities", ``targets`` is "classes" or "regions"."""

    higher_is_better: bool
    unit: str
    computed_from: str
    targets: str


class Training(TypedDict, total=False):
    """What the training took."""

    minutes: float
    epochs: int
    patches_per_second: float
    peak_memory_mib: float
    energy_wh: float | None


class Results(TypedDict, total=False):
    """Content of results.json: metrics by split, how they came about, and what they cost."""

    headline: Headline
    train: Metrics
    val: Metrics
    test: Metrics
    observers: Mapping[str, Mapping[str, Mapping[str, float | None]]]
    curves: dict[str, dict[str, dict[str, Diagram]]]
    undefined: dict[str, dict[str, int]]
    metrics: dict[str, MetricFacts]
    protocol: dict[str, dict[str, str]]
    cases: CaseNames
    chosen_on_val: dict[str, float | str]
    training: Training
    evaluation: Mapping[str, Any]
    without_postprocess: dict[str, Metrics]
