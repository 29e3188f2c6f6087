"""What a comparison holds, and its plain values for JSON, as `segexp compare --format json` gives them."""

import math
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import Any, Literal, NotRequired, TypedDict

from segexp.comparison.statistics import marginal
from segexp.comparison.statistics.comparison import Comparison, Summary
from segexp.runs.files import Json

Better = Literal["higher", "lower"]
Diagram = dict[str, list[float | None]]


class Pair(TypedDict):
    """An experiment minus the baseline, and what that says in words."""

    letter: str
    comparison: Comparison
    sentence: str


class Marginal(TypedDict):
    """Effects of the values of one key."""

    key: str
    effects: list[marginal.Marginal]


class Difference(TypedDict):
    """A key that differs among experiments: a value per experiment, None = the run does not have the key.

    ``follows`` is the group whose choice alone sets the value, else None.
    """

    key: str
    values: Sequence[Json]
    follows: str | None


class RunFacts(TypedDict):
    """A run that ended well."""

    folder: str
    seed: int
    fold: int | None
    metrics: dict[str, float]
    end: str | None


class UnfinishedRun(TypedDict):
    """A run without results."""

    folder: str
    status: str


class Cost(TypedDict):
    """Size of the network, and means over runs of what the training took."""

    parameters: int | None
    multiply_adds: int | None
    minutes: float | None
    peak_memory_mib: float | None
    energy_wh: float | None
    patches_per_second: float | None


class Curve(TypedDict):
    """Learning curves of a run: values per epoch by column of metrics.csv, the column "epoch" among them."""

    seed: int
    fold: int | None
    columns: dict[str, list[float | None]]


class ExperimentFacts(TypedDict):
    """One experiment: its runs, cost, learning curves, reliability diagrams, and Dice by tenths of the slices."""

    letter: str
    name: str
    runs: list[RunFacts]
    unfinished: list[UnfinishedRun]
    cost: Cost
    curves: list[Curve]
    reliability: dict[str, Diagram]
    positions: dict[str, list[float | None]]


Table = TypedDict(
    "Table",
    {
        "metric": str,
        "class": str | None,
        "better": Better,
        "unit": str,
        "protocol": str,
        "summaries": list[Summary],
        "pairs": list[Pair],
        "cases": list[str],
        "scores": list[list[float | None]],
        "most_different": list[str],
    },
)


class SetMetric(TypedDict):
    """A metric that only whole sets of cases have, such as V_rand: mean and standard deviation over runs."""

    metric: str
    letter: str
    mean: float | None
    sd: float | None
    runs: int


class Content(TypedDict):
    """Result of a comparison.

    ``warnings`` say what makes scores incomparable. ``tables`` are per metric and class. ``of_sets`` are the metrics of
    whole sets of cases. ``pareto`` are the letters of the experiments that no other beats in score, minutes and
    parameters at once. ``best`` says which experiment is best over folds, by the validation score that chose epochs.
    ``command`` is the command line that asked for it.
    """

    experiments: list[ExperimentFacts]
    baseline: str
    differences: list[Difference]
    warnings: list[str]
    tables: list[Table]
    of_sets: list[SetMetric]
    marginals: list[Marginal]
    pareto: list[str]
    best: NotRequired[str]
    command: NotRequired[str]


def ranked(table: Table) -> list[int]:
    """Places of the experiments, the best mean first, undefined ones last."""
    sign = -1 if table["better"] == "higher" else 1
    means = [sign * summary.interval.value for summary in table["summaries"]]
    return sorted(range(len(means)), key=lambda place: math.inf if math.isnan(means[place]) else means[place])


def as_json(content: Content) -> Json:
    """Turn a comparison into plain values; nan becomes None."""
    tables = []
    for table in content["tables"]:
        pairs = [
            {
                "letter": pair["letter"],
                **asdict(pair["comparison"]),
                "reach": pair["comparison"].reach,
                "sentence": pair["sentence"],
            }
            for pair in table["pairs"]
        ]
        tables.append({**table, "pairs": pairs})
    return _plain({**content, "tables": tables})


def _plain(value: Any) -> Json:
    """Turn dataclasses into dictionaries, tuples into lists, and what is not finite into None."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
