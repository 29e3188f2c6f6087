"""Summary of a sweep: one row per experiment, over its seeds and folds."""

import csv
import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from segexp.errors import short_path
from segexp.sweeps.jobs import Job, key_of, varying


def mean_monitored(jobs: Sequence[Job]) -> float:
    """Monitored metric on the validation cases, averaged over jobs; nan if one of them has none."""
    values = [monitored(job) for job in jobs]
    return statistics.fmean(values) if values else math.nan


def monitored(job: Job) -> float:
    """Monitored metric of a job on its validation cases; nan if it has none."""
    results = job.results()
    value = results.get("val", {}).get(results["headline"]["metric"]) if results else None
    return math.nan if value is None else float(value)


def write_summary(path: Path, jobs: Sequence[Job]) -> None:
    """Write one row per experiment: settings, number of runs, mean and sd of the headline metric."""
    rows = summarize(jobs)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)), restval="")
        writer.writeheader()
        writer.writerows(rows)


def print_summary(jobs: Sequence[Job], folder: Path) -> None:
    """Print the same as a table, and the sweep folder."""
    rows = summarize(jobs)
    table = Table(*rows[0], title="one row per experiment; mean and sd over its seeds and folds")
    for row in rows:
        table.add_row(*(f"{value:.4f}" if isinstance(value, float) else str(value) for value in row.values()))
    console = Console()
    console.print(table)
    console.print(f"sweep folder {short_path(folder)}", soft_wrap=True, highlight=False)
    console.print(f"look at it   tensorboard --logdir {short_path(folder)}", soft_wrap=True, highlight=False)


def summarize(jobs: Sequence[Job]) -> list[dict[str, object]]:
    """Group jobs that differ in seed and fold alone."""
    groups: dict[tuple[str, ...], list[Job]] = {}
    for job in jobs:
        groups.setdefault(tuple(sorted(job.settings)), []).append(job)
    keys = varying([job.settings for job in jobs])
    return [_row(members, keys) for members in groups.values()]


def _row(jobs: Sequence[Job], keys: Sequence[str]) -> dict[str, object]:
    settings = {key_of(word): word.partition("=")[2] for word in jobs[0].settings}
    headlines = [job.results()["headline"] for job in jobs if job.results()]
    values = [float(line["value"]) for line in headlines if line["value"] is not None]
    return {
        **{key: settings.get(key, "") for key in keys},
        "runs": f"{len(headlines)} of {len(jobs)}",
        "metric": f"{headlines[0]['split']}/{headlines[0]['metric']}" if headlines else "",
        "mean": statistics.fmean(values) if values else math.nan,
        "sd": statistics.stdev(values) if len(values) > 1 else math.nan,
    }
