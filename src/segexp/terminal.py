"""The terminal: what others wrote into names and messages is shown there, and not obeyed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import rich.console
from rich.text import Text

from segexp.foreign import printable


class Console(rich.console.Console):
    """A console of rich that shows texts as they are: no markup, no emoji codes, no escape sequences in them.

    What is colored is given as ``rich.text.Text``, whose words must be our own.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**({"markup": False, "emoji": False} | settings))

    def render_str(self, text: str, **settings: Any) -> Text:
        """Make printable what a table, a title or a line holds as plain text."""
        return super().render_str(printable(text), **settings)


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


@contextmanager
def plain_output() -> Iterator[None]:
    """Let nothing that is printed meanwhile command the terminal; progress bars may still be redrawn."""
    streams = sys.stdout, sys.stderr
    sys.stdout = PlainStream(sys.stdout, "\n\t")
    sys.stderr = PlainStream(sys.stderr, "\n\t\r")
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
