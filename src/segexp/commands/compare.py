"""``segexp compare``: is one experiment better than another, by how much, and how sure is that?"""

import argparse
import json
import shlex
from pathlib import Path

from segexp.comparison.comparison import compare as compared
from segexp.comparison.content import as_json
from segexp.comparison.tables import FORMATS, sheets
from segexp.runs.runs import Run, find_runs, select


def compare(arguments: list[str]) -> None:
    """Compare runs, sweeps and experiments.

    Raises:
        FileNotFoundError: A folder or pattern leads to no run.
        ValueError: The condition, a metric or the baseline is unknown.
    """
    given = parser().parse_intermixed_args(arguments)
    runs = chosen_runs(given)
    content = compared(runs, given.metric, given.baseline) | {"command": shlex.join(["segexp", "compare", *arguments])}
    if given.format == "json":
        text = json.dumps(as_json(content), indent=1, ensure_ascii=False) + "\n"
    else:
        text = FORMATS[given.format](sheets(content, every_class=given.format != "terminal" or given.classes))
    if given.output is None:
        print(text, end="")
    else:
        _write(given.output, text)
    if given.html is not None:
        from segexp.comparison.page import page

        _write(given.html, page(content, runs))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments after ``segexp compare``."""
    found = argparse.ArgumentParser(prog="segexp compare", description=(compare.__doc__ or "").splitlines()[0])
    found.add_argument("runs", nargs="+", help="run folders, sweeps, or glob patterns of them")
    found.add_argument("--where", help='condition, such as "model.depth>=4 and dice>0.8"')
    found.add_argument("--metric", nargs="+", help="metrics of cases.csv; the first is the headline; default: all")
    found.add_argument("--baseline", help="letter or name of the experiment to compare with; default: the first")
    found.add_argument("--classes", action="store_true", help="in the terminal, also the tables of single classes")
    found.add_argument("--format", choices=[*FORMATS, "json"], default="terminal")
    found.add_argument("--output", type=Path, help="file for it; default: the terminal")
    found.add_argument("--html", type=Path, help="write a page with tables, curves and pictures")
    return found


def chosen_runs(given: argparse.Namespace) -> list[Run]:
    """Return the runs that the arguments name; at least one."""
    runs = find_runs(given.runs)
    if given.where:
        runs = select(runs, given.where)
        if not runs:
            raise ValueError(f"--where {given.where!r} leaves none of the runs: loosen it")
    return runs


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(path)
