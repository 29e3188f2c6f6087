"""Summary of a sweep: one row per experiment, over its seeds and folds."""

import math
import shlex
import statistics
from collections.abc import Sequence
from pathlib import Path

from segexp.errors import short_path
from segexp.runs.files import write_table
from segexp.runs.folder import SweepFolder
from segexp.runs.folds import best_of_folds, in_words
from segexp.runs.results import Results
from segexp.sweeps.jobs import Job, key_of, varying
from segexp.terminal import Console, Table

SPLIT_KEYS = ("data.split.method", "data.split.fold", "data.split.lists")  # in place of which all cases are trained on


def mean_monitored(jobs: Sequence[Job]) -> float:
    """Monitored metric on the validation cases, averaged over jobs; nan if one of them has none."""
    values = []
    for results in map(_results, jobs):
        value = results.get("val", {}).get(results["headline"]["metric"]) if results else None
        values.append(math.nan if value is None else float(value))
    return statistics.fmean(values) if values else math.nan


def report(jobs: Sequence[Job], folder: Path) -> None:
    """Write summary.csv and print it: per experiment settings, number of runs, mean and sd of the headline metric."""
    rows = _summarized(jobs)
    write_table(SweepFolder(folder).summary_path, rows)
    table = Table(*rows[0], title="one row per experiment; mean and sd over its seeds and folds")
    for row in rows:
        table.add_row(*map(_cell, row.values()))
    console = Console()
    console.print(table)
    console.print(f"sweep folder {short_path(folder)}", soft_wrap=True, highlight=False)
    console.print(f"look at it   tensorboard --logdir {short_path(folder)}", soft_wrap=True, highlight=False)
    for line in _after_folds(jobs, folder):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _cell(value: object) -> str:
    """Text of a value; empty where it is undefined, as the standard deviation of one run."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4f}"
    return str(value)


def _after_folds(jobs: Sequence[Job], folder: Path) -> list[str]:
    """Say which setting is best over the folds, and how to score it, predict with it and train it on all cases."""
    groups = _groups(jobs)
    keys = varying([job.settings for job in jobs])
    names = [" ".join(word for word in members[0].settings if key_of(word) in keys) for members in groups]
    runs = {name: [(_fold(job), _results(job)) for job in members] for name, members in zip(names, groups, strict=True)}
    found = best_of_folds(runs)
    if found is None:
        return []
    name, mean = found
    members = groups[names.index(name)]
    places = [folder] if len(groups) == 1 else [job.folder for job in members]
    run = shlex.quote("run=" + ",".join(str(short_path(place)) for place in places))
    words = [word for word in members[0].settings if key_of(word) not in SPLIT_KEYS]
    lists = any(key_of(word) == "data.split.lists" for word in members[0].settings)
    words += ["data.split.method=all", "data.split.fold=null", *(["data.split.lists=null"] if lists else [])]
    return [
        f"{'best' if len(groups) > 1 else 'folds':12} {in_words(name, mean, len(groups))}",
        f"score it     segexp evaluate {run} tune=true",
        f"predict      segexp predict {run} input=IMAGES output=FOLDER",
        f"train on all {shlex.join(['segexp', *members[0].command, *words])}",
    ]


def _fold(job: Job) -> int | None:
    """Fold of a job, where it is one of several."""
    words = [word.partition("=")[2] for word in job.replicate if key_of(word) == "data.split.fold"]
    return int(words[0]) if words and words[0].isdecimal() else None


def _groups(jobs: Sequence[Job]) -> list[list[Job]]:
    """Jobs that differ in seed and fold alone."""
    groups: dict[tuple[str, ...], list[Job]] = {}
    for job in jobs:
        groups.setdefault(tuple(sorted(job.settings)), []).append(job)
    return list(groups.values())


def _summarized(jobs: Sequence[Job]) -> list[dict[str, object]]:
    """One row for the jobs that differ in seed and fold alone."""
    keys = varying([job.settings for job in jobs])
    return [_row(members, keys) for members in _groups(jobs)]


def _results(job: Job) -> Results:
    """Results of a job; empty where they are damaged, which the pool has called a failure."""
    return {} if job.fault else job.files.results()


def _row(jobs: Sequence[Job], keys: Sequence[str]) -> dict[str, object]:
    settings = {key_of(word): word.partition("=")[2] for word in jobs[0].settings}
    headlines = [results["headline"] for results in map(_results, jobs) if results]
    values = [float(line["value"]) for line in headlines if line["value"] is not None]
    return {
        **{key: settings.get(key, "") for key in keys},
        "runs": f"{len(headlines)} of {len(jobs)}",
        "metric": f"{headlines[0]['split']}/{headlines[0]['metric']}" if headlines else "",
        "mean": statistics.fmean(values) if values else math.nan,
        "sd": statistics.stdev(values) if len(values) > 1 else math.nan,
    }
