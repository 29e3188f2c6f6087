"""``segexp runs`` lists the runs under outputs/, ``segexp runs clean`` removes failed and abandoned ones."""

import argparse
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from glob import has_magic
from pathlib import Path
from typing import Any

from rich.text import Text

from segexp.errors import short_path
from segexp.foreign import one_line
from segexp.runs.claim import take
from segexp.runs.folder import RunFolder
from segexp.runs.runs import find_runs, select
from segexp.runs.states import RUNNING, STALE, RunState, measured, with_state
from segexp.sweeps.ledger import FAILED, INTERRUPTED, LEDGER, QUEUED, Ledger
from segexp.terminal import Console, Table

COLORS = {"done": "green", FAILED: "red", RUNNING: "cyan", INTERRUPTED: "yellow", STALE: "magenta"}
UNITS = (("s", 60), ("min", 60), ("h", 24), ("d", 365))  # units of an age, and how many make the next one


def _best_first(row: RunState) -> tuple[str, float]:
    if row.headline is None:
        return "~", 0.0  # after all names
    name, value = row.headline
    higher_is_better = row.run.results["headline"].get("higher_is_better", True)
    return name, -value if higher_is_better else value


SORTS: dict[str, Callable[[RunState], Any]] = {
    "age": lambda row: row.age,
    "run": lambda row: str(row.run.folder),
    "state": lambda row: ([*COLORS, row.run.status].index(row.run.status), row.age),
    "metric": _best_first,
    "size": lambda row: -row.size,
    "minutes": lambda row: -(row.minutes or 0.0),
}


def runs(arguments: list[str]) -> None:
    """List runs, or remove those that failed or were abandoned.

    Raises:
        FileNotFoundError: A folder or pattern leads to no run.
        ValueError: The condition cannot be read, or there is nobody to ask before removing.
    """
    cleaning = arguments[:1] == ["clean"]
    given = _parser(cleaning).parse_intermixed_args(arguments[cleaning:])
    rows = _rows(given)
    if cleaning:
        _clean(rows, given)
    elif given.format == "json":
        print(json.dumps([row.plain() for row in rows], indent=1, ensure_ascii=False))
    else:
        _print(rows)


def _parser(cleaning: bool) -> argparse.ArgumentParser:
    what = "List runs; `segexp runs clean` removes failed and abandoned ones."
    if cleaning:
        what = "Remove runs that failed, or stopped without a checkpoint; lists them and asks first."
    parser = argparse.ArgumentParser(prog="segexp runs" + " clean" * cleaning, description=what)
    parser.add_argument("folders", nargs="*", help=f"folders or patterns of them; default: {_outputs()}")
    parser.add_argument("--where", help="condition, such as \"status=='failed' and model.depth>4\"")
    parser.add_argument("--sort", choices=list(SORTS), default="age", help="newest, best, largest first; default: age")
    if cleaning:
        parser.add_argument("--resumable", action="store_true", help="also those that a checkpoint could resume")
        parser.add_argument("--yes", action="store_true", help="do not ask")
    else:
        parser.add_argument("--format", choices=["table", "json"], default="table")
    return parser


def _rows(given: argparse.Namespace) -> list[RunState]:
    folders = given.folders or [_outputs()]
    if not given.folders and not any(RunFolder.below(Path(folders[0]))):
        return []
    found = [with_state(run) for run in find_runs(folders)]
    if given.where:
        found = select(found, given.where)
    return sorted((measured(run) for run in found), key=SORTS[given.sort])


def _outputs() -> str:
    return os.environ.get("SEGEXP_OUTPUT_DIR", "outputs")


def _print(rows: Sequence[RunState]) -> None:
    """Print a table, without borders where there is no terminal."""
    if not rows:
        print("no runs")
        return
    console = Console()
    heads = ("run", "state", "metric", "", "age", "size", "minutes")
    if console.is_terminal:
        table = Table()
    else:
        table = Table(box=None, pad_edge=False)
        console = Console(width=max(len(str(row.run.folder)) for row in rows) + 120)
    for place, head in enumerate(heads):
        table.add_column(head, justify="right" if place > 2 else "left", no_wrap=place > 0)
    for row in rows:
        name, value = row.headline or ("", None)
        minutes = "" if row.minutes is None else f"{row.minutes:.1f}"
        score = "" if value is None else f"{value:.4f}"
        state = Text(one_line(row.run.status), COLORS.get(row.run.status, ""))
        folder = str(short_path(row.run.folder))
        table.add_row(folder, state, name, score, _age(row.age), _size(row.size), minutes)
    if console.is_terminal:
        console.print(table)
    else:
        with console.capture() as capture:
            console.print(table)
        print("\n".join(line.rstrip() for line in capture.get().splitlines()))
    print(_totals(rows))


def _totals(rows: Sequence[RunState]) -> str:
    counts = Counter(row.run.status for row in rows)
    states = ", ".join(f"{counts[state]} {state}" for state in COLORS if counts[state])
    minutes = sum(row.minutes or 0.0 for row in rows)
    return f"{_counted(len(rows))}: {states}; {_size(sum(row.size for row in rows))}; {minutes:.1f} minutes of training"


def _clean(rows: Sequence[RunState], given: argparse.Namespace) -> None:
    """List the failed and abandoned runs, ask, and remove them."""
    kept = [row for row in rows if row.run.status in (INTERRUPTED, STALE) and row.resumable and not given.resumable]
    for row in kept:
        how = "can be resumed with resume=<folder>; --resumable removes it too"
        print(f"kept: {short_path(row.run.folder)} ({row.run.status}) {how}")
    wanted = []
    for row in rows:
        if row.run.status not in (FAILED, INTERRUPTED, STALE) or row in kept:
            continue
        why = _guard(row.run.folder, given.folders or [_outputs()])
        if why:
            print(f"kept: {row.run.folder} {why}")
        else:
            wanted.append(row)
    if not wanted:
        print("nothing to remove")
        return
    _print(wanted)
    if _agreed(given.yes, len(wanted)):
        removed = [row for row in wanted if _remove(row)]
        print(f"removed {_counted(len(removed))}, {_size(sum(row.size for row in removed))}")


def _guard(folder: Path, patterns: Sequence[str]) -> str:
    """Reason why a run folder must stay, whatever became of the run; empty if it may be removed."""
    own = folder.resolve()
    if folder.is_symlink() or not any(own.is_relative_to(_root(pattern)) for pattern in patterns):
        return "lies elsewhere and is only linked here"
    if Path.cwd().is_relative_to(own) or (own / ".git").exists():
        return "is more than a run folder"
    if RunFolder(own).holds_others():
        return "has other runs below it"
    return ""


def _root(pattern: str) -> Path:
    """Folder that holds all matches of a pattern: the part before its first wildcard."""
    path = Path(pattern)
    while has_magic(str(path)) and not path.exists():
        path = path.parent
    return path.resolve()


def _agreed(yes: bool, count: int) -> bool:
    """Ask, unless the answer was given on the command line."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise ValueError(f"no terminal to ask whether to remove {_counted(count)}: give --yes, or start it in one")
    print(f"remove {_counted(count)}? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _remove(row: RunState) -> bool:
    """Remove a run, unless it is running again by now, and let its sweep run it again."""
    folder = row.run.folder
    claim = take(folder)
    if claim is None:
        print(f"kept: {folder} is {RUNNING} now")
        return False
    with claim:
        now = find_runs([str(folder)])[0].status
        if now not in (row.run.status, RUNNING):  # what is running without an owner is stale
            print(f"kept: {folder} is {now} now")
            return False
        shutil.rmtree(folder)
    path = folder.parent / LEDGER
    if path.is_file():
        ledger = Ledger(path)
        for job, entry in ledger.entries().items():
            if entry.name == folder.name and entry.state == FAILED:
                ledger.add(job, entry.name, QUEUED, why="its folder was removed")
    return True


def _counted(count: int) -> str:
    return f"{count} run{'s' if count != 1 else ''}"


def _age(seconds: float) -> str:
    for unit, size in UNITS:
        if seconds < 1.5 * size:
            return f"{max(seconds, 0):.0f} {unit}"
        seconds /= size
    return f"{seconds:.0f} y"


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit in ("B", "kB") else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
