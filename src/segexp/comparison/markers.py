"""Tables between markers in a Markdown file: written from runs, never typed.

    <!-- segexp: compare outputs/losses --metric dice -->
    … all of this is replaced …
    <!-- /segexp -->

A marker starts its line; the opening one may go on over several lines. What stands in a block of code is left alone.
"""

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from segexp.comparison.tables import Sheet
from segexp.errors import did_you_mean
from segexp.runs.record import Record
from segexp.runs.runs import Run

EXAMPLE = "<!-- segexp: compare outputs/losses --metric dice --> and, below it, <!-- /segexp -->"
COMMENT = re.compile(r" {0,3}<!--\s*(/?)\s*segexp\b((?:(?!-->)[\s\S])*)-->(.*)(?:\n|\Z)")
FENCE = re.compile(r" {0,3}(```+|~~~+)")
PACKAGES = ("torch", "pytorch-lightning")  # that are named below a table


@dataclass(frozen=True)
class Marker:
    """An opening marker and what stands below it.

    Args:
        line: Line of the opening marker, from 1.
        words: Arguments, as on a command line.
        start: Place in the text after the opening marker.
        end: Place of the closing marker.
    """

    line: int
    words: list[str]
    start: int
    end: int


def find_markers(text: str, name: str) -> list[Marker]:
    """Find the markers of a Markdown text from a file of that name.

    Raises:
        ValueError: A marker has no partner or cannot be read; names file and line.
    """
    found: list[Marker] = []
    opened: Marker | None = None
    for start, line in _plain_lines(text):
        comment = COMMENT.match(text, start)
        if comment is None:
            continue
        where, closing = f"{name}:{line}", comment[1] == "/"
        if comment[3].strip():
            raise ValueError(f"{where}: {comment[3].strip()[:40]!r} follows a marker: give it a line of its own")
        if closing != (opened is not None):
            other = f"the one of line {opened.line} is open" if opened else "none is open"
            raise ValueError(f"{where}: a marker {'closes' if closing else 'opens'}, but {other}: write {EXAMPLE}")
        if opened is not None:
            found.append(Marker(opened.line, opened.words, opened.start, start))
            opened = None
        else:
            opened = Marker(line, _words(comment[2], where), comment.end(), comment.end())
    if opened is not None:
        raise ValueError(f"{name}:{opened.line}: the marker is never closed: put <!-- /segexp --> below it")
    return found


def filled(text: str, name: str, fill: Callable[[list[str]], str]) -> tuple[str, list[int]]:
    """Replace what stands between markers.

    Args:
        text: Markdown.
        name: Name of its file, for messages.
        fill: Function from the arguments of a marker to the Markdown below it.

    Returns:
        The new text, and the lines of the markers below which something has changed.

    Raises:
        ValueError: There is no marker, one is wrong, or ``fill`` raised; names file and line.
    """
    markers = find_markers(text, name)
    if not markers:
        raise ValueError(f"{name} has no marker to write a table below: put in {EXAMPLE}")
    changed: list[int] = []
    for marker in reversed(markers):
        try:
            content = f"\n{fill(marker.words).strip()}\n\n"
        except (ValueError, OSError) as error:
            raise ValueError(f"{name}:{marker.line}: {error}") from error
        if text[marker.start : marker.end] != content:
            changed.insert(0, marker.line)
            text = text[: marker.start] + content + text[marker.end :]
    return text, changed


def choose_sheets(sheets: Sequence[Sheet], names: Sequence[str]) -> list[Sheet]:
    """Choose tables by name, in the order of the names.

    Args:
        sheets: Tables of a comparison.
        names: Titles up to their comma, such as "dice of membrane", or first words of titles, such as "marginal";
            in either case of letters.

    Raises:
        ValueError: There is no such table.
    """
    titles = [sheet.title.partition(",")[0].lower() for sheet in sheets]
    chosen = []
    for name in (name.strip().lower() for name in names):
        named = [sheet for sheet, title in zip(sheets, titles, strict=True) if title == name]
        named = named or [sheet for sheet, title in zip(sheets, titles, strict=True) if title.split()[0] == name]
        if not named:
            raise ValueError(
                f"sheets={name}: no such table{did_you_mean(name, titles)}; there are: {', '.join(titles)}"
            )
        chosen += named
    return chosen


def provenance(words: Sequence[str], runs: Sequence[Run]) -> str:
    """Tell in a line of Markdown which command and which runs, of those that ended well, the tables come from."""
    records = [run.record for run in runs if run.results]
    ends = [str(record["end"])[:10] for record in records if record.get("end")]
    distinct = [" and ".join(dict.fromkeys(map(told, records))) for told in (_machine, _versions) if records]
    newest = f"newest of {len(records)} runs: {max(ends)}" if ends else f"{len(records)} runs"
    return f"`segexp {shlex.join(words)}`; " + "; ".join([newest, *distinct]) + "."


def _plain_lines(text: str) -> Iterator[tuple[int, int]]:
    """Place and number of each line that does not belong to a fenced block of code."""
    place = 0
    fence = ""
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        bar = FENCE.match(line)
        if not fence and not bar:
            yield place, number
        elif not fence and bar:
            fence = bar[1]
        elif bar and bar[1].startswith(fence) and not line.strip(" \r\n`~"):
            fence = ""
        place += len(line)


def _words(text: str, where: str) -> list[str]:
    try:
        words = shlex.split(text.removeprefix(":"))
    except ValueError as error:
        raise ValueError(f"{where}: the marker cannot be read ({error}): write {EXAMPLE}") from error
    if not text.startswith(":") or not words:
        raise ValueError(f"{where}: the marker does not say what to write: write {EXAMPLE}")
    return words


def _machine(record: Record) -> str:
    machine = record.get("machine", {})
    names = sorted(set(machine.get("gpus", [])))
    return ", ".join([*names, str(machine.get("processor") or "unknown processor")])


def _versions(record: Record) -> str:
    git, packages = record.get("git"), record.get("packages", {})
    own = f"segexp {record.get('segexp_version', 'of unknown version')}"
    if git:
        own += f" ({git['commit'][:10]}{' with uncommitted changes' if git['diff'] else ''})"
    return ", ".join([own, *(f"{name} {packages[name]}" for name in PACKAGES if name in packages)])
