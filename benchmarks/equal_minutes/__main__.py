"""Scores after the same minutes of training on the same cores, of segexp and of what a newcomer would take else.

    python -m benchmarks.equal_minutes                                    # everything; hours on an idle machine
    python -m benchmarks.equal_minutes --sets drive --minutes 10          # the rows of the others stay
    python -m benchmarks.equal_minutes --minutes 0.5 --cases 4            # a trial; the page stays as it is

The peers get an environment of their own below --folder. Each method, set and number of minutes has its folder there
and is skipped once it is done, so that the command can be given again; the table in benchmarks/README.md has all that
is done.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from benchmarks.equal_minutes.datasets import SETS, DataSet, prepare, truths
from benchmarks.equal_minutes.methods import METHODS, Job, Outcome
from benchmarks.equal_minutes.peers import PACKAGES, ROOT, UNET_ADDRESS, UNET_COMMIT, set_up
from benchmarks.equal_minutes.scores import Row, score, table
from segexp.runs.recorder import processor

FOLDER = ROOT / "outputs" / "equal_minutes"
TRIAL = FOLDER.with_name("equal_minutes_trial")
PAGE = ROOT / "benchmarks" / "README.md"
BEGIN, END = "<!-- benchmarks.equal_minutes -->\n", "<!-- end of benchmarks.equal_minutes -->"


def main() -> None:
    """Run what is not done yet, one after the other, and write the table of all that is done."""
    given = arguments()
    folder = (given.folder or (FOLDER if given.cases is None else TRIAL)).absolute()
    peers = set_up(folder / "peers", given.pytorch_unet, given.threads)
    failed = []
    for name in given.sets:
        layouts = prepare(SETS[name], folder / "data" / name, given.cases)
        for minutes in given.minutes:
            for method in methods_of(SETS[name], given.methods):
                place = folder / "runs" / name / f"{minutes:g}" / method
                job = Job(SETS[name], layouts, minutes, place, peers, tuple(given.recipe))
                if not (place / "result.json").is_file() and not done(job, method):
                    failed.append(f"{method} on {name}, {minutes:g} minutes")
    rows = read(folder / "runs")
    text = f"{machine(given.threads, rows)}\n\n{table(rows)}"
    print(text)
    if given.cases is None:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}{text}{END}{rest.partition(END)[2]}")
    if failed:
        sys.exit(f"failed: {'; '.join(failed)}")


def methods_of(data_set: DataSet, methods: Sequence[str]) -> list[str]:
    """Leave out what would be the same twice: full scale where that is the scale anyway."""
    return [method for method in methods if method != "pytorch_unet_full" or data_set.scale < 1]


def done(job: Job, method: str) -> bool:
    """Run one job, score its masks and keep the result; return whether both went well."""
    print(f"{datetime.now():%H:%M} {method} on {job.data_set.name}, {job.minutes:g} minutes", flush=True)
    try:
        took = trained(job, method)
        scores = score(job.data_set, truths(job.data_set, job.layouts.split.test), job.predictions)
    except Exception:  # one that fails must not keep the others from running
        traceback.print_exc()
        return False
    result = {**took, "data_set": job.data_set.name, "minutes": job.minutes, "method": method, "scores": scores}
    (job.folder / "result.json").write_text(json.dumps(result, indent=1))
    return True


def trained(job: Job, method: str) -> dict[str, Any]:
    """Train and predict, unless that is done and the scores alone are missing; what a broken try left is removed."""
    kept = job.folder / "outcome.json"
    if not kept.is_file():
        shutil.rmtree(job.folder, ignore_errors=True)
        job.predictions.mkdir(parents=True)
        load = os.getloadavg()[0]
        outcome = asdict(METHODS[method](job))
        kept.write_text(json.dumps({"outcome": outcome, "load": load, "date": f"{datetime.now(UTC):%Y-%m-%d}"}))
    took: dict[str, Any] = json.loads(kept.read_text())
    return took


def read(folder: Path) -> list[Row]:
    """Read the results of all jobs that are done, in the order of the sets."""
    rows = [json.loads(path.read_text()) for path in sorted(folder.glob("*/*/*/result.json"))]
    rows.sort(key=lambda row: list(SETS).index(row["data_set"]))
    return [Row(**{**row, "outcome": Outcome(**row["outcome"])}) for row in rows]


def machine(threads: int, rows: Sequence[Row]) -> str:
    """Tell machine, versions, days, and how busy the machine was before a job began."""
    dates = sorted({row.date for row in rows})
    loads = sorted(row.load for row in rows)
    lines = [f"{processor()}, {os.cpu_count()} cores, {threads} threads, segexp with torch {torch.__version__}"]
    if rows:
        days = " to ".join(dict.fromkeys((dates[0], dates[-1])))
        lines.append(f"{days}; load of the machine before each run: {loads[0]:.1f} to {loads[-1]:.1f}")
    return "\n".join([*lines, f"{', '.join(PACKAGES)}, Pytorch-UNet {UNET_COMMIT[:8]}"])


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--folder", type=Path, help=f"environment, data and runs; {FOLDER}, or {TRIAL.name} of a trial")
    add("--sets", nargs="+", choices=SETS, default=list(SETS))
    add("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    add("--minutes", nargs="+", type=float, default=[10, 20])
    add("--threads", type=int, default=os.cpu_count(), help="of every method")
    add("--cases", type=int, help="cases that each split keeps at most: a trial, of which the page is not told")
    add("--pytorch-unet", default=UNET_ADDRESS, help="what Pytorch-UNet is cloned from")
    add(
        "--recipe",
        nargs="+",
        default=["minutes=MINUTES"],
        help="overrides of segexp train; MINUTES stands for their number",
    )
    return parser.parse_args()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the command that runs is ended, too
    main()
