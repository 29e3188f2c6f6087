"""``segexp report``: write the tables of an experiment's README from its runs."""

import argparse
import io
import sys
from contextlib import redirect_stderr
from pathlib import Path

from segexp.commands.compare import chosen_runs
from segexp.commands.compare import parser as compare_parser
from segexp.comparison.comparison import compare
from segexp.comparison.goals import goal_sheet, read_goals
from segexp.comparison.markers import choose_sheets, filled, provenance
from segexp.comparison.page import page
from segexp.comparison.run_page import write_run_page
from segexp.comparison.tables import markdown, sheets
from segexp.errors import require_choice
from segexp.runs.folder import RunFolder
from segexp.runs.runs import find_runs
from segexp.writing import write_text

SHEETS = "sheets="
ELSEWHERE = ("format", "output", "html")  # options of `segexp compare` that make no sense in a marker


def report(arguments: list[str]) -> None:
    """Fill the tables between the markers of Markdown files; write the page of a run, or of a sweep.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A marker is wrong; names file and line.
    """
    parser = argparse.ArgumentParser(prog="segexp report", description=(report.__doc__ or "").splitlines()[0])
    parser.add_argument(
        "paths", nargs="+", help="experiments/<name> with a README.md, or a Markdown file; run or sweep"
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit status 1 if something would change")
    given = parser.parse_intermixed_args(arguments)
    pages = [word for word in given.paths if _holds_runs(Path(word))]
    for word in pages if not given.check else ():
        print(_page_of_runs(Path(word)))
    stale = [line for word in given.paths if word not in pages for line in _fill(_page(word), given.check)]
    if given.check and stale:
        print("\n".join(stale), file=sys.stderr)
        sys.exit(1)


def _holds_runs(path: Path) -> bool:
    """Whether a folder is a run, or holds runs and no README."""
    return path.is_dir() and not (path / "README.md").is_file() and any(RunFolder.below(path))


def _page_of_runs(path: Path) -> Path:
    """Write report.html into the folder of a run, or of several, which it compares."""
    if RunFolder(path).record_path.is_file():
        return write_run_page(path)
    runs = find_runs([str(path)])
    place = RunFolder(path).page_path
    write_text(place, page(compare(runs), runs))
    return place


def _page(word: str) -> Path:
    """Return the Markdown file that is meant."""
    path = Path(word) / "README.md" if Path(word).is_dir() else Path(word)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: give the folder of an experiment, with a README.md in it")
    return path


def _fill(page: Path, check: bool) -> list[str]:
    """Write the tables of a page, or only tell where it would change."""
    given = page.read_bytes().decode("utf-8")
    windows = "\r\n" in given
    text, changed = filled(given.replace("\r\n", "\n"), str(page), _tables)
    told = [f"{page}:{line}: {'out of date, run segexp report' if check else 'written'}" for line in changed]
    if not check:
        if changed:
            write_text(page.resolve(), text.replace("\n", "\r\n") if windows else text)
        print("\n".join(told) or f"{page} is up to date")
    return told


def _tables(words: list[str]) -> str:
    """Markdown for the arguments of a marker."""
    require_choice("marker", words[0], ["compare", "goals"])
    if words[0] == "goals":
        goals = read_goals(words[1:])
        runs = list({run.folder: run for goal in goals for run in goal.runs}.values())
        return f"{markdown([goal_sheet(goals)])}\n{provenance(['report'], runs)}"
    chosen = [word.removeprefix(SHEETS) for word in words if word.startswith(SHEETS)]
    command = [word for word in words if not word.startswith(SHEETS)]
    given = _options(command[1:])
    runs = chosen_runs(given)
    found = sheets(compare(runs, given.metric, given.baseline), every_class=given.classes or bool(chosen))
    if chosen:
        found = choose_sheets(found, ",".join(chosen).split(","))
    return f"{markdown(found)}\n{provenance(command, runs)}"


def _options(words: list[str]) -> argparse.Namespace:
    """Read options as `segexp compare` does, but raise what is wrong with them."""
    parser, said = compare_parser(), io.StringIO()
    try:
        with redirect_stderr(said):
            given = parser.parse_intermixed_args(words)
    except SystemExit as stop:
        raise ValueError(said.getvalue().strip().rpartition("error: ")[2] or "a marker gives no help") from stop
    for name in ELSEWHERE:
        if getattr(given, name) != parser.get_default(name):
            raise ValueError(f"--{name} has no place in a marker: leave it out, the tables come below as Markdown")
    return given
