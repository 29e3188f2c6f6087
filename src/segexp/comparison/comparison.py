"""What `segexp compare` knows: experiments, their figures with intervals, paired differences, cost, in plain values."""

import math
import string
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from segexp.comparison import statistics
from segexp.comparison.experiments import Experiment, better, differences, group, warnings
from segexp.errors import require_choice
from segexp.pictures.reliability import pooled
from segexp.runs.runs import Run

Content = dict[str, Any]
POINTS = (  # told in hundredths
    *("dice", "iou", "precision", "recall", "specificity", "nsd", "cldice", "topology", "object", "roc_auc"),
    *("average_precision", "v_rand", "v_info"),
)
WORST = 8  # cases that are shown where two experiments differ most


def compare(runs: Sequence[Run], metrics: Sequence[str] | None = None, baseline: str | None = None) -> Content:
    """Compare experiments.

    Args:
        runs: In the order in which experiments shall appear.
        metrics: Names of metrics; None = all that are measured per case. The first is the headline.
        baseline: Name or letter of the experiment that the others are compared with; None = the first.

    Returns:
        Plain values that JSON can hold:
            experiments: letter, name, runs, figures, cost, curves, reliability diagrams of each.
            differences: what differs in configuration. warnings: what makes scores incomparable.
            tables: per metric and class the figures of each experiment and the differences to the baseline.
            marginals: per varied key the mean of each value.

    Raises:
        ValueError: No run has ended, or a metric or the baseline is unknown.
    """
    experiments = [found for found in group(runs) if found.runs]
    if not experiments:
        raise ValueError(f"none of the {len(runs)} runs has results yet: wait for one to end, or look at its run.json")
    letters = [_letter(index) for index in range(len(experiments))]
    names = [found.name for found in experiments]
    if baseline is not None:
        require_choice("--baseline", baseline, [*letters, *names])
    base = 0 if baseline is None else (letters + names).index(baseline) % len(letters)
    chosen = _metrics(experiments, metrics)
    rows = differences([found.first for found in experiments])
    return {
        "experiments": [_experiment(*pair) for pair in zip(letters, experiments, strict=True)],
        "baseline": letters[base],
        "differences": rows,
        "warnings": warnings(experiments),
        "tables": [_table(experiments, letters, base, *which) for which in _columns(experiments, chosen)],
        "of_sets": _of_sets(experiments, letters),
        "marginals": _marginals(experiments, chosen[0], rows),
        "pareto": _pareto(experiments, letters, chosen[0]),
    }


def _letter(index: int) -> str:
    """A, B, …, Z, AA, AB, …."""
    more, last = divmod(index, 26)
    return (_letter(more - 1) if more else "") + string.ascii_uppercase[last]


def _metrics(experiments: Sequence[Experiment], asked: Sequence[str] | None) -> list[str]:
    common = [name for name in experiments[0].metrics if all(name in found.metrics for found in experiments)]
    headline = experiments[0].first.results["headline"]["metric"]
    for name in asked or ():
        require_choice("--metric", name, common)
    ordered = sorted(asked or common, key=lambda name: name != headline) if not asked else list(asked)
    if not ordered:
        raise ValueError("the runs share no metric that is measured per case: compare runs of one `metrics` group")
    return ordered


def _columns(experiments: Sequence[Experiment], metrics: Sequence[str]) -> list[tuple[str, str | None]]:
    """(metric, class) of each table; None stands for the mean over classes."""
    classes = [name for name in experiments[0].classes if all(name in found.classes for found in experiments)]
    several = len(classes) > 1
    return [(metric, label) for metric in metrics for label in ([None, *classes] if several else [None])]


def _experiment(letter: str, found: Experiment) -> Content:
    return {
        "letter": letter,
        "name": found.name,
        "runs": [_run(run) for run in found.runs],
        "unfinished": [{"folder": str(run.folder), "status": run.status} for run in found.unfinished],
        "cost": _cost(found),
        "curves": [_curve(run) for run in found.runs],
        "reliability": _reliability(found),
    }


def _run(run: Run) -> Content:
    seed, fold = run.replicate
    return {"folder": str(run.folder), "seed": seed, "fold": fold, "figures": run.figures, "end": run.record.get("end")}


def _cost(found: Experiment) -> Content:
    def mean(name: str) -> float | None:
        values: list[float | None] = [run.results["training"].get(name) for run in found.runs]  # type: ignore[misc]
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known else None

    names = ("minutes", "peak_memory_mib", "energy_wh", "patches_per_second")
    whole = {name: found.first.record.get(name) for name in ("parameters", "multiply_adds")}
    return {**whole, **{name: mean(name) for name in names}}


def _curve(run: Run) -> Content:
    wanted = ("epoch", "train/loss", "val/loss", str(run.config.get("monitor")))
    names = [name for name in wanted if run.curves and name in run.curves[0]]
    seed, fold = run.replicate
    points = {name: [float(row[name]) if row.get(name) else None for row in run.curves] for name in names}
    return {"seed": seed, "fold": fold, **points}


def _reliability(found: Experiment) -> Content:
    """Reliability diagram per class, the cases of all runs counted together; of what all runs have."""
    curves = [run.results.get("curves", {}).get(run.side, {}).get("reliability", {}) for run in found.runs]
    names = [name for name in curves[0] if all(name in own for own in curves)]
    diagrams = {name: pooled(own[name] for own in curves) for name in names}
    return {name: diagram for name, diagram in diagrams.items() if diagram}


def _table(
    experiments: Sequence[Experiment], letters: Sequence[str], base: int, metric: str, label: str | None
) -> Content:
    """Figures of all experiments and their differences to the baseline, for one metric and class."""
    scores = [found.scores(metric, label) for found in experiments]
    others = [index for index in range(len(scores)) if index != base]
    pairs = statistics.corrected([statistics.compare(scores[base], scores[index]) for index in others])
    unit, scale = unit_of(metric)
    sentences = [
        statistics.verdict(
            pair,
            (f"{letters[base]} ({experiments[base].name})", f"{letters[index]} ({experiments[index].name})"),
            unit if unit in ("mm", "px") else f"{metric} {unit}".strip(),
            scale,
            better(metric) == "higher",
        )
        for index, pair in zip(others, pairs, strict=True)
    ]
    run = experiments[0].first
    return {
        "metric": metric,
        "class": label,
        "better": better(metric),
        "protocol": run.results["protocol"][run.side].get(metric, ""),
        "summaries": [_summary(table, metric) for table in scores],
        "pairs": [
            {"letter": letters[index], **_plain(asdict(pair)), "sentence": sentence}
            for index, pair, sentence in zip(others, pairs, sentences, strict=True)
        ],
        **_per_case(scores, base),
    }


def _summary(table: statistics.Scores, metric: str) -> Content:
    """Figures of one experiment; an interval does not reach beyond what the score can be."""
    summary = _plain(asdict(statistics.summarise(table)))
    interval = summary["interval"]
    if metric.startswith(POINTS) and interval["low"] is not None:
        interval |= {"low": max(interval["low"], 0.0), "high": min(interval["high"], 1.0)}
    return summary


def _per_case(scores: Sequence[statistics.Scores], base: int) -> Content:
    """Means over seeds per experiment and case, and the cases where experiments differ most from the baseline."""
    cases = sorted({case for table in scores for case in table.cases})
    rows = []
    for table in scores:
        means = dict(zip(table.cases, table.case_means.tolist(), strict=True))
        rows.append([means.get(case, math.nan) for case in cases])
    spread = [
        max((abs(row[i] - rows[base][i]) for row in rows if row[i] == row[i]), default=0.0) for i in range(len(cases))
    ]
    order = sorted(range(len(cases)), key=lambda i: -spread[i] if spread[i] == spread[i] else 0.0)
    return {"cases": cases, "scores": _plain(rows), "most_different": [cases[i] for i in order[:WORST]]}


def _of_sets(experiments: Sequence[Experiment], letters: Sequence[str]) -> list[Content]:
    """Figures that only whole sets of cases have, such as V_rand: mean and sd over runs."""
    rows = []
    for letter, found in zip(letters, experiments, strict=True):
        for name, values in found.of_sets().items():
            known = [value for value in values if not math.isnan(value)]
            mean = sum(known) / len(known) if known else None
            sd = math.sqrt(sum((v - mean) ** 2 for v in known) / (len(known) - 1)) if mean and len(known) > 1 else None
            rows.append({"figure": name, "letter": letter, "mean": mean, "sd": sd, "runs": len(known)})
    return sorted(rows, key=lambda row: str(row["figure"]))


def _marginals(experiments: Sequence[Experiment], metric: str, rows: Sequence[Content]) -> list[Content]:
    """Per varied key and value the mean over all other settings, where at least two keys vary."""
    rows = [row for row in rows if not row["follows"]]
    if len(rows) < 2 or len(experiments) < 4:
        return []
    settings = [{row["key"]: str(row["values"][i]) for row in rows} for i in range(len(experiments))]
    tables = [found.scores(metric) for found in experiments]
    return [
        {
            "key": row["key"],
            "effects": [_plain(asdict(e)) for e in statistics.marginal_effects(settings, tables, row["key"])],
        }
        for row in rows
    ]


def _pareto(experiments: Sequence[Experiment], letters: Sequence[str], metric: str) -> list[str]:
    """Letters of the experiments that no other beats in score, minutes and parameters at once."""
    sign = 1 if better(metric) == "higher" else -1
    points = []
    for found in experiments:
        cost = _cost(found)
        means = found.scores(metric).case_means
        points.append((-sign * float(means.mean()), cost["minutes"] or 0.0, cost["parameters"] or 0))
    return [
        letter
        for letter, own in zip(letters, points, strict=True)
        if not any(other != own and all(o <= x for o, x in zip(other, own, strict=True)) for other in points)
    ]


def unit_of(metric: str) -> tuple[str, float]:
    """Unit in which differences are told, and the factor to it."""
    if metric.startswith(POINTS):
        return "points", 100.0
    return (metric[-2:], 1.0) if metric.endswith(("_mm", "_px")) else ("", 1.0)


def _plain(value: Any) -> Any:
    """Turn numpy numbers into Python's and nan into None."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
