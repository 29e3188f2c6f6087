"""What `segexp compare` knows: experiments, their metrics with intervals, paired differences, cost, in plain values."""

import math
import statistics
import string
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from segexp.comparison.content import (
    Content,
    Cost,
    Curve,
    Diagram,
    Difference,
    ExperimentFacts,
    Marginal,
    RunFacts,
    SetMetric,
    Table,
)
from segexp.comparison.experiments import Experiment, differences, group, warnings
from segexp.comparison.statistics.comparison import Summary, corrected, summarize, verdict
from segexp.comparison.statistics.comparison import compare as compare_scores
from segexp.comparison.statistics.marginal import marginal_effects
from segexp.comparison.statistics.scores import Scores
from segexp.errors import require_choice
from segexp.pictures.reliability import pooled
from segexp.runs.folds import best_of_folds, in_words
from segexp.runs.runs import Run
from segexp.runs.stress import is_detail

MOST_DIFFERENT = 8  # cases that are shown where two experiments differ most


def compare(runs: Sequence[Run], metrics: Sequence[str] | None = None, baseline: str | None = None) -> Content:
    """Compare experiments.

    Args:
        runs: Runs, in the order in which experiments shall appear.
        metrics: Names of metrics; None = all that are measured per case, of a stress test the mean of the headline
            over all corruptions. The first is the headline.
        baseline: Name or letter of the experiment that the others are compared with; None = the first.

    Raises:
        ValueError: No run has ended, or a metric or the baseline is unknown.
    """
    for run in runs:
        if run.results:
            _require_complete(run)
    experiments = [found for found in group(runs) if found.runs]
    if not experiments:
        raise ValueError(f"none of the {len(runs)} runs has results yet: wait for one to end, or look at its run.json")
    letters = [_letter(index) for index in range(len(experiments))]
    names = [found.name for found in experiments]
    base = 0
    if baseline is not None:
        require_choice("--baseline", baseline, [*letters, *names])
        base = (letters + names).index(baseline) % len(letters)
    chosen = _metrics(experiments, metrics)
    # A table per metric and class; None stands for the mean over classes.
    classes = [name for name in experiments[0].classes if all(name in found.classes for found in experiments)]
    labels = [None, *classes] if len(classes) > 1 else [None]
    rows = differences([found.first for found in experiments])
    content: Content = {
        "experiments": [_experiment(*pair) for pair in zip(letters, experiments, strict=True)],
        "baseline": letters[base],
        "differences": rows,
        "warnings": warnings(experiments),
        "tables": [_table(experiments, letters, base, metric, label) for metric in chosen for label in labels],
        "of_sets": _of_sets(experiments, letters),
        "marginals": _marginals(experiments, chosen[0], rows),
        "pareto": _pareto(experiments, letters, chosen[0]),
    }
    of_folds = {f"{letter} {found.name}": found for letter, found in zip(letters, experiments, strict=True)}
    runs_of = {name: [(run.replicate[1], run.results) for run in found.runs] for name, found in of_folds.items()}
    best = best_of_folds(runs_of) if len(experiments) > 1 else None
    if best:
        content["best"] = in_words(*best, len(experiments))
    return content


def _require_complete(run: Run) -> None:
    """Refuse results that lack what a comparison needs."""
    missing = [key for key in ("metrics", "protocol", "cases", "training") if key not in run.results]
    parts: dict[str, Any] = {"protocol": run.results.get("protocol", {}), "cases": run.results.get("cases", {})}
    missing += [f"{key}.{run.split}" for key, part in parts.items() if run.split not in part]
    if missing or "metric" not in run.results["headline"]:
        what = ", ".join(missing) or "headline.metric"
        raise ValueError(f"{run.files.results_path} lacks {what}: score the run again, or leave it out")


def _letter(index: int) -> str:
    """A, B, …, Z, AA, AB, …."""
    more, last = divmod(index, 26)
    return (_letter(more - 1) if more else "") + string.ascii_uppercase[last]


def _metrics(experiments: Sequence[Experiment], requested: Sequence[str] | None) -> list[str]:
    """Names of the metrics that are compared: the requested ones, else all common ones, the headline first."""
    common = [name for name in experiments[0].metrics if all(name in found.metrics for found in experiments)]
    if requested:
        for name in requested:
            require_choice("--metric", name, common)
        return list(requested)
    if not common:
        raise ValueError("the runs share no metric that is measured per case: compare runs of one `metrics` group")
    headline = experiments[0].first.results["headline"]["metric"]
    ordered = sorted(common, key=lambda name: name != headline)
    return [name for name in ordered if not is_detail(name, ordered)]


def _experiment(letter: str, found: Experiment) -> ExperimentFacts:
    return {
        "letter": letter,
        "name": found.name,
        "runs": [_run(run) for run in found.runs],
        "unfinished": [{"folder": str(run.folder), "status": run.status} for run in found.unfinished],
        "cost": _cost(found),
        "curves": [_curve(run) for run in found.trained],
        "reliability": _reliability(found),
        "positions": _positions(found),
    }


def _run(run: Run) -> RunFacts:
    seed, fold = run.replicate
    return {"folder": str(run.folder), "seed": seed, "fold": fold, "metrics": run.metrics, "end": run.record.get("end")}


def _cost(found: Experiment) -> Cost:
    trainings = [run.results["training"] for run in found.runs]
    return {
        "parameters": found.first.record.get("parameters"),
        "multiply_adds": found.first.record.get("multiply_adds"),
        "minutes": _mean(training.get("minutes") for training in trainings),
        "peak_memory_mib": _mean(training.get("peak_memory_mib") for training in trainings),
        "energy_wh": _mean(training.get("energy_wh") for training in trainings),
        "patches_per_second": _mean(training.get("patches_per_second") for training in trainings),
    }


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _curve(run: Run) -> Curve:
    wanted = ("epoch", "train/loss", "val/loss", str(run.config.get("monitor")))
    names = [name for name in wanted if run.curves and name in run.curves[0]]
    seed, fold = run.replicate
    columns = {name: [float(row[name]) if row.get(name) else None for row in run.curves] for name in names}
    return {"seed": seed, "fold": fold, "columns": columns}


def _reliability(found: Experiment) -> dict[str, Diagram]:
    """Reliability diagram per class, the cases of all runs counted together; of what all runs have."""
    curves = [run.results.get("curves", {}).get(run.split, {}).get("reliability", {}) for run in found.runs]
    names = [name for name in curves[0] if all(name in own for own in curves)]
    diagrams = {name: pooled(own[name] for own in curves) for name in names}
    return {name: diagram for name, diagram in diagrams.items() if diagram}


def _positions(found: Experiment) -> dict[str, list[float | None]]:
    """Mean over runs of the Dice of each tenth of the slices, by class; of what all runs have."""
    bands: list[dict[str, list[float | None]]] = []
    for run in found.runs:
        of_split = run.results.get("positions", {}).get(run.split)
        classes = of_split["classes"] if of_split else {}
        bands.append({name: of["scores"]["dice"]["mean"] for name, of in classes.items() if "dice" in of["scores"]})
    names = [name for name in bands[0] if all(name in own for own in bands)]
    return {name: [_mean(tenth) for tenth in zip(*(own[name] for own in bands), strict=True)] for name in names}


def _table(
    experiments: Sequence[Experiment], letters: Sequence[str], base: int, metric: str, label: str | None
) -> Table:
    """Summaries of all experiments and their differences to the baseline, for one metric and class."""
    scores = [found.scores(metric, label) for found in experiments]
    others = [index for index in range(len(scores)) if index != base]
    # The comparisons of one table are one family: Holm's correction is over them.
    pairs = corrected([compare_scores(scores[base], scores[index]) for index in others])
    run = experiments[0].first
    facts = run.facts(metric)
    unit, scale = shown_unit(facts["unit"])
    unit = unit if unit not in ("", "points") else f"{metric} {unit}".strip()
    names = [f"{letter} ({found.name})" for letter, found in zip(letters, experiments, strict=True)]
    sentences = [
        verdict(pair, (names[base], names[index]), unit, scale, facts["higher_is_better"])
        for index, pair in zip(others, pairs, strict=True)
    ]
    # Scores of single cases, means over seeds; a row per experiment.
    cases = sorted({case for table in scores for case in table.cases})
    means = [dict(zip(table.cases, table.case_means.tolist(), strict=True)) for table in scores]
    rows = [[own.get(case, math.nan) for case in cases] for own in means]
    return {
        "metric": metric,
        "class": label,
        "better": "higher" if facts["higher_is_better"] else "lower",
        "unit": facts["unit"],
        "protocol": run.results["protocol"][run.split].get(metric, ""),
        "summaries": [bounded_summary(table, facts["unit"]) for table in scores],
        "pairs": [
            {"letter": letters[index], "comparison": pair, "sentence": sentence}
            for index, pair, sentence in zip(others, pairs, sentences, strict=True)
        ],
        "cases": cases,
        "scores": [[None if math.isnan(score) else score for score in row] for row in rows],
        "most_different": _most_different(cases, rows, base),
    }


def bounded_summary(table: Scores, unit: str) -> Summary:
    """Summary of one experiment; an interval does not reach beyond what the score can be."""
    summary = summarize(table)
    return replace(summary, interval=summary.interval.in_unit(unit))


def _most_different(cases: Sequence[str], rows: Sequence[Sequence[float]], base: int) -> list[str]:
    """Cases whose scores differ most from the baseline's in any experiment, the most different first."""
    largest = {}
    for place, case in enumerate(cases):
        distances = [abs(row[place] - rows[base][place]) for row in rows if not math.isnan(row[place])]
        largest[case] = max(distances, default=0.0)
    # A case that the baseline did not score has no distance: it comes last.
    return sorted(cases, key=lambda case: 0.0 if math.isnan(largest[case]) else -largest[case])[:MOST_DIFFERENT]


def _of_sets(experiments: Sequence[Experiment], letters: Sequence[str]) -> list[SetMetric]:
    rows: list[SetMetric] = []
    for letter, found in zip(letters, experiments, strict=True):
        for name, values in found.of_sets().items():
            known = [value for value in values if not math.isnan(value)]
            sd = statistics.stdev(known) if len(known) > 1 else None
            rows.append({"metric": name, "letter": letter, "mean": _mean(known), "sd": sd, "runs": len(known)})
    return sorted(rows, key=lambda row: row["metric"])


def _marginals(experiments: Sequence[Experiment], metric: str, rows: Sequence[Difference]) -> list[Marginal]:
    """Per varied key and value the mean over all other settings, where at least two keys vary."""
    rows = [row for row in rows if not row["follows"]]
    if len(rows) < 2 or len(experiments) < 4:
        return []
    settings = [{row["key"]: str(row["values"][i]) for row in rows} for i in range(len(experiments))]
    tables = [found.scores(metric) for found in experiments]
    return [{"key": row["key"], "effects": marginal_effects(settings, tables, row["key"])} for row in rows]


def _pareto(experiments: Sequence[Experiment], letters: Sequence[str], metric: str) -> list[str]:
    """Letters of the experiments that no other beats in score, minutes and parameters at once."""
    sign = 1 if experiments[0].first.facts(metric)["higher_is_better"] else -1
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


def shown_unit(unit: str) -> tuple[str, float]:
    """Unit in which differences are shown, and the factor to it: those of fractions are shown in hundredths."""
    return ("points", 100.0) if unit == "fraction" else (unit, 1.0)
