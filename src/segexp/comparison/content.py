"""What a comparison holds: plain values for JSON, as `segexp compare --format json` gives them."""

from collections.abc import Sequence
from typing import Literal, NotRequired, TypedDict

from segexp.runs.files import Json

Better = Literal["higher", "lower"]
Diagram = dict[str, list[float | None]]


class Interval(TypedDict):
    """A value and how well it is known: see `segexp.comparison.statistics.Interval`; None = undefined."""

    value: float | None
    low: float | None
    high: float | None
    se: float | None
    p_value: float | None
    level: float
    cases: int
    parts: list[Json]
    training: str


class Summary(TypedDict):
    """One experiment on one metric: see `segexp.comparison.statistics.Summary`."""

    interval: Interval
    sd_cases: float | None
    sd_seeds: float | None
    sd_folds: float | None
    runs: int
    seeds: int
    folds: int


class Pair(TypedDict):
    """An experiment minus the baseline: see `segexp.comparison.statistics.Comparison`."""

    letter: str
    interval: Interval
    p_wilcoxon: float | None
    p_permutation: float | None
    rank_biserial: float | None
    d_z: float | None
    runs: list[int]
    seeds: list[int]
    p_holm: float | None
    family: int
    sentence: str


class Effect(TypedDict):
    """One value of a hyper-parameter: see `segexp.comparison.statistics.Marginal`."""

    value: str
    mean: Interval
    effect: Interval
    experiments: int
    matched: bool


class Marginal(TypedDict):
    """Effects of the values of one key."""

    key: str
    effects: list[Effect]


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
    """One experiment: its runs, cost, learning curves and reliability diagrams."""

    letter: str
    name: str
    runs: list[RunFacts]
    unfinished: list[UnfinishedRun]
    cost: Cost
    curves: list[Curve]
    reliability: dict[str, Diagram]


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
    parameters at once. ``command`` is the command line that asked for it.
    """

    experiments: list[ExperimentFacts]
    baseline: str
    differences: list[Difference]
    warnings: list[str]
    tables: list[Table]
    of_sets: list[SetMetric]
    marginals: list[Marginal]
    pareto: list[str]
    command: NotRequired[str]
