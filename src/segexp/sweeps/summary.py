"""Summary of a sweep: one row per experiment, over its seeds and folds."""

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from segexp.errors import short_path
from segexp.runs.files import write_table
from segexp.runs.folder import SweepFolder
from segexp.runs.results import Results
from segexp.sweeps.jobs import Job, key_of, varying
from segexp.terminal import Console


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
        table.add_row(*(f"{value:.4f}" if isinstance(value, float) else str(value) for value in row.values()))
    console = Console()
    console.print(table)
    console.print(f"sweep folder {short_path(folder)}", soft_wrap=True, highlight=False)
    console.print(f"look at it   tensorboard --logdir {short_path(folder)}", soft_wrap=True, highlight=False)


def _summarized(jobs: Sequence[Job]) -> list[dict[str, object]]:
    """One row for the jobs that differ in seed and fold alone."""
    groups: dict[tuple[str, ...], list[Job]] = {}
    for job in jobs:
        groups.setdefault(tuple(sorted(job.settings)), []).append(job)
    keys = varying([job.settings for job in jobs])
    return [_row(members, keys) for members in groups.values()]


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
