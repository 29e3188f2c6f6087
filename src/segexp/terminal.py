"""The terminal: what others wrote into names and messages is shown there, and not obeyed."""

import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, TextIO

import rich.console
import rich.live
import rich.table
from rich.console import RenderableType
from rich.file_proxy import FileProxy
from rich.text import Text

from segexp.foreign import printable

WIDEST = 120  # columns of what people read


def screen_width() -> int:
    """Columns of the terminal, at most 120; 100 where there is none."""
    return min(WIDEST, shutil.get_terminal_size((100, 24)).columns)


def two_columns(rows: Mapping[str, str], least: int = 0) -> list[str]:
    """Set names and what they mean side by side, in the width of the terminal; a meaning goes on below itself.

    Args:
        rows: Meaning of each name.
        least: Least width of the names.
    """
    width = max(least, *map(len, rows), 0)
    return [wrapped(f"  {name:{width}}  {meaning}", width + 4) for name, meaning in rows.items()]


def wrapped(text: str, indent: int = 0) -> str:
    """Break a text between its words at the width of the terminal, later lines indented."""
    lines = textwrap.wrap(
        text, screen_width(), subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines)


class Console(rich.console.Console):
    """A console of rich that shows texts as they are: no markup, no emoji codes, no escape sequences in them.

    What is colored is given as ``rich.text.Text``, whose words must be our own.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**({"markup": False, "emoji": False} | settings))

    def render_str(self, text: str, **settings: Any) -> Text:
        """Make printable what a table, a title or a line holds as plain text."""
        return super().render_str(printable(text), **settings)


class Table(rich.table.Table):
    """A table of rich that breaks what is too long for a cell, and cuts nothing off."""

    def add_column(self, header: RenderableType = "", *args: Any, **settings: Any) -> None:
        """Add a column, as rich does."""
        super().add_column(header, *args, **({"overflow": "fold"} | settings))


class PlainStream:
    """A text stream through which no control character comes but line breaks and tabs.

    Args:
        stream: Stream that is written to; a console of rich, which colors and moves, takes it directly.
        kept: Characters that stay beside the printable ones.
    """

    def __init__(self, stream: TextIO, kept: str) -> None:
        self.rich_proxied_file = stream
        self.kept = kept

    def write(self, text: str) -> int:
        """Write a text, its control characters written out."""
        stream = self.rich_proxied_file
        encoding = stream.encoding or "utf-8"
        stream.write(printable(text, self.kept).encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)


class PlainProxy(FileProxy):
    """What rich puts in the place of a stream while a bar or table is redrawn: what is printed then goes above it.

    The console behind it colors and moves, so it writes to the stream itself; what others print is made printable.
    """

    @property
    def rich_proxied_file(self) -> IO[str]:
        """Stream that the console writes to."""
        stream = super().rich_proxied_file
        return getattr(stream, "rich_proxied_file", stream)

    def write(self, text: str) -> int:
        """Print a text, its control characters written out."""
        super().write(printable(text))
        return len(text)


@contextmanager
def plain_output() -> Iterator[None]:
    """Let nothing that is printed meanwhile command the terminal; progress bars may still be redrawn."""
    streams, proxy = (sys.stdout, sys.stderr), rich.live.FileProxy
    sys.stdout = PlainStream(sys.stdout, "\n\t")
    sys.stderr = PlainStream(sys.stderr, "\n\t\r")
    rich.live.FileProxy = PlainProxy  # type: ignore[misc]
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
        rich.live.FileProxy = proxy  # type: ignore[misc]
