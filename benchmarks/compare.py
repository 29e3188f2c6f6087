"""Seconds and bytes of `segexp compare … --html` on a large sweep of synthetic runs.

    python -m benchmarks.compare                          # 100 experiments, 5 seeds, 200 cases
    python -m benchmarks.compare --experiments 20 --seeds 25

Seconds are given by the clock and of the processor, which others on the machine disturb less.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.comparison.synthetic_runs import Sweep, write_runs

from segexp.comparison.comparison import compare
from segexp.comparison.page import page
from segexp.runs.runs import find_runs

Row = tuple[str, float, float, int | None]


def main() -> None:
    """Write runs, compare them in this process by parts, then by the command as a whole."""
    given = _arguments()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "runs"
        sweep = Sweep(given.experiments, given.seeds, cases=given.cases, epochs=given.epochs, pictures=given.pictures)
        count = len(write_runs(folder, sweep))
        rows = [*_parts(folder), _command(folder, Path(name) / "page.html")]
    print(f"{count} runs of {given.cases} cases, {given.epochs} epochs, {given.pictures} pictures each\n")
    print("| what | seconds | processor | MB |\n| --- | ---: | ---: | ---: |")
    for what, seconds, busy, size in rows:
        print(f"| {what} | {seconds:.2f} | {busy:.2f} | {'' if size is None else f'{size / 1e6:.2f}'} |")


def _parts(folder: Path) -> list[Row]:
    start = _clocks()
    runs = find_runs([str(folder)])
    content = compare(runs)
    between = _clocks()
    text = page(content, runs)
    return [
        ("reading and statistics", *_since(start, between), None),
        ("page", *_since(between, _clocks()), len(text.encode())),
    ]


def _command(folder: Path, output: Path) -> Row:
    words = [sys.executable, "-m", "segexp", "compare", str(folder), "--html", str(output)]
    start = _clocks()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return "segexp compare, with start", *_since(start, _clocks()), output.stat().st_size


def _clocks() -> tuple[float, float]:
    """Seconds of the clock, and of the processor for this process and those that it started."""
    used = os.times()
    return time.perf_counter(), used.user + used.system + used.children_user + used.children_system


def _since(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    return end[0] - start[0], end[1] - start[1]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"experiments": 100, "seeds": 5, "cases": 200, "epochs": 100, "pictures": 4}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()


if __name__ == "__main__":
    main()
