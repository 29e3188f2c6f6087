"""What metrics yield: scores per case and class, scores of a whole set of cases, and both of several metrics."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from segexp.metrics.info import MetricInfo
from segexp.metrics.summary import BinScores, CaseScores, summarize

Curve = dict[str, list[float | None]]  # values of each coordinate


@dataclass  # torchmetrics refuses frozen ones
class MetricResult:
    """What a metric finds on a set of cases, in plain Python values, no tensors.

    Args:
        rows: Scores of each case and class, sorted by case, then in the order of the classes; nan = undefined.
        overall: Scores of the whole set of cases, by name.
        chosen: Values chosen on these cases or beforehand, such as a threshold.
        curves: Curve of each class, by name of the diagram and class.
        bins: Scores of each volume and class by tenths of its slices, sorted likewise; of images there are none.
    """

    rows: list[CaseScores]
    overall: dict[str, float] = field(default_factory=dict)
    chosen: dict[str, float] = field(default_factory=dict)
    curves: dict[str, dict[str, Curve]] = field(default_factory=dict)
    bins: list[BinScores] = field(default_factory=list)


@dataclass(frozen=True)
class SplitResult:
    """What all metrics of a run find on the cases of one split.

    Args:
        rows: Scores of each case and class, those of all metrics together.
        scores: Final scores: means over cases and classes, and scores of the whole set.
        chosen: Values chosen on these cases or beforehand, such as a threshold.
        info: Description of each score; means for one class go by that of the mean over classes.
        curves: Curve of each class, by name of the diagram and class.
        bins: Scores of each volume and class by tenths of its slices.
    """

    rows: list[CaseScores]
    scores: dict[str, float]
    chosen: dict[str, float]
    info: dict[str, MetricInfo]
    curves: dict[str, dict[str, Curve]]
    bins: list[BinScores] = field(default_factory=list)


def gather(results: Iterable[tuple[MetricResult, Mapping[str, MetricInfo]]]) -> SplitResult:
    """Bring what several metrics find together.

    Args:
        results: Result of each metric and the descriptions that were true of it.
    """
    rows: dict[tuple[int, str], CaseScores] = {}  # one per case and class, in the order in which they first come
    whole = SplitResult([], {}, {}, {}, {})
    for result, info in results:
        for row in result.rows:
            rows.setdefault((row.case, row.label), CaseScores(row.case, row.label, {})).scores.update(row.scores)
        whole.scores.update(result.overall)
        whole.chosen.update(result.chosen)
        whole.info.update(info)
        whole.curves.update(result.curves)
        whole.bins.extend(result.bins)
    return replace(whole, rows=list(rows.values()), scores=summarize(rows.values()) | whole.scores)
