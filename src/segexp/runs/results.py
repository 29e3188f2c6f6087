"""What results.json and cases.csv hold: the metrics of a run with their protocol in words."""

from collections.abc import Mapping
from typing import Any, TypedDict

from segexp.runs.record import CaseNames, ClockFacts, Headline, SteppedDown

Metrics = dict[str, float | None]  # by name; None = undefined
Scored = Mapping[str, tuple[int, int]]  # by split: cases that were scored, and all of them
Diagram = dict[str, list[float | None]]  # bins of a reliability diagram: probability, share, pixels


class MetricFacts(TypedDict):
    """What a score is; ``computed_from`` is "labels" or "probabilities", ``targets`` is "classes" or "regions"."""

    higher_is_better: bool
    unit: str
    computed_from: str
    targets: str


class Band(TypedDict):
    """A score in each tenth of the slices: mean over cases and its interval; None = undefined."""

    mean: list[float | None]
    low: list[float | None]
    high: list[float | None]


class PositionsOfClass(TypedDict):
    """Scores of one class by tenths of its slices; counts are sums over the cases."""

    cases: list[int]
    slices: list[int]
    slices_invented: list[int]
    slices_missed: list[int]
    scores: dict[str, Band]


class ByPosition(TypedDict):
    """Scores of the volumes of one split along what they show, with the protocol in words."""

    protocol: str
    classes: dict[str, PositionsOfClass]


class Training(TypedDict, total=False):
    """What the training did and took; ``epochs`` were trained, ``ended_by`` says in words why no more were."""

    minutes: float
    epochs: int
    epochs_asked: int
    ended_by: str
    clock: ClockFacts  # of a run by minutes
    stepped_down: list[SteppedDown]  # where memory ran out
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
    positions: dict[str, ByPosition]  # by split, where there are volumes
    undefined: dict[str, dict[str, int]]
    metrics: dict[str, MetricFacts]
    protocol: dict[str, dict[str, str]]
    cases: CaseNames
    scored: Scored
    limits: Mapping[str, float | bool]  # settings of the trainer that leave out batches or cases
    chosen_on_val: dict[str, float | str]
    training: Training
    evaluation: Mapping[str, Any]
    without_postprocess: dict[str, Metrics]


def account(results: Results) -> str:
    """Say in words what a training did: epochs, why it ended, cases scored, limits in force."""
    training = results["training"]
    cases = " and ".join(f"{count} of {whole} {split}" for split, (count, whole) in results["scored"].items())
    parts = [
        f"{training['epochs']} of {training['epochs_asked']} epochs trained ({training['ended_by']})",
        f"{cases} cases scored",
    ]
    if results["headline"]["value"] is None:
        parts.append(f"{results['headline']['metric']} is undefined")
    if stepped := training.get("stepped_down"):
        parts.append("for lack of memory: " + ", ".join(f"{now} instead of {before}" for before, now in _ends(stepped)))
    if results["limits"]:
        limits = ", ".join(f"trainer.{key}={value}" for key, value in results["limits"].items())
        parts.append(f"limits in force: {limits}")
    return "; ".join(parts)


def _ends(changes: list[SteppedDown]) -> list[tuple[str, str]]:
    """First and last of settings that were changed several times in a row."""
    ends: list[tuple[str, str]] = []
    for one in changes:
        before = one["from"]
        if ends and ends[-1][1].startswith(before):  # it may say more of itself
            before, _ = ends.pop()
        ends.append((before, one["to"]))
    return ends
