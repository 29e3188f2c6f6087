import io
import logging
import sys

import pytest
from rich.live import Live
from rich.text import Text

from segexp.terminal import Console, Table, plain_output, two_columns

HOSTILE = "\x1b]0;title\x07[/nope] [bold]b[/] :smile: \x9b1m"
SHOWN = r"\u001b]0;title\u0007[/nope] [bold]b[/] :smile: \u009b1m"


@pytest.mark.parametrize("terminal", [False, True])
def test_texts_in_tables_titles_and_lines_are_shown_as_they_are(terminal):
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=400, color_system=None)
    table = Table(HOSTILE, title=HOSTILE)
    table.add_row(HOSTILE)
    console.print(table, HOSTILE)
    assert file.getvalue().count(SHOWN) == 4
    assert all(one.isprintable() or one == "\n" for one in file.getvalue())


def test_our_own_words_are_colored():
    file = io.StringIO()
    Console(file=file, force_terminal=True, color_system="standard").print(Text("a", "yellow"), "[/x]", highlight=False)
    assert file.getvalue() == "\x1b[33ma\x1b[0m [/x]\n"


def test_whatever_is_printed_commands_nothing(capsys):
    with plain_output():
        print(HOSTILE, "\udce4", "ü")
        print(HOSTILE, file=sys.stderr)
        logging.StreamHandler().emit(logging.LogRecord("a", 30, "b", 1, HOSTILE, (), None))
    printed = capsys.readouterr()
    assert printed.out == f"{SHOWN} \\udce4 ü\n"
    assert printed.err.count(SHOWN) == 2
    assert "\x1b" not in printed.err
    print("\x1b after", end="")
    assert capsys.readouterr().out == "\x1b after"


def test_a_console_of_rich_still_colors_through_it(capsys):
    with plain_output():
        Console(force_terminal=True, color_system="standard").print(Text("a", "red"))
    assert capsys.readouterr().out == "\x1b[31ma\x1b[0m\n"


def test_a_meaning_goes_on_below_itself_and_loses_no_word(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    rows = {"a": "one two three four five six seven eight", "name=value": "x" * 50, "none": ""}
    lines = "\n".join(two_columns(rows)).splitlines()
    assert lines == [
        "  a           one two three four five",
        "              six seven eight",
        "  name=value",
        "              " + "x" * 50,
        "  none",
    ]


def test_a_table_breaks_what_is_too_long_and_cuts_nothing_off():
    file = io.StringIO()
    table = Table("key", "value")
    table.add_row("data.sampling.foreground_fraction", "a path/without/any/blank/in/it")
    Console(file=file, width=30).print(table)
    assert "…" not in file.getvalue()
    rows = [line.split("│")[1:3] for line in file.getvalue().splitlines() if line.startswith("│")]
    assert "".join(row[0].strip() for row in rows) == "data.sampling.foreground_fraction"


@pytest.mark.parametrize("stderr", [False, True])
def test_a_bar_is_redrawn_and_what_is_printed_meanwhile_commands_nothing(capsys, stderr):
    with plain_output():
        console = Console(force_terminal=True, color_system="standard", width=100, stderr=stderr)
        with Live(Text("bar", "red"), console=console, auto_refresh=False) as live:
            print(HOSTILE)
            print(HOSTILE, file=sys.stderr)
            live.update(Text("bar", "blue"), refresh=True)
    printed = "".join(capsys.readouterr())
    assert printed.count(SHOWN) == 2
    assert "\x1b[31mbar\x1b[0m" in printed
    assert "\x1b[34mbar\x1b[0m" in printed
    assert not any(part in printed for part in ("\x1b]", "\x9b", r"\u001b[2K"))


def test_letters_that_the_terminal_lacks_are_written_out():
    raw = io.BytesIO()
    kept = sys.stdout
    sys.stdout = narrow = io.TextIOWrapper(raw, encoding="ascii", errors="strict")
    try:
        with plain_output():
            print("Größe", flush=True)
    finally:
        sys.stdout = kept
    narrow.flush()
    assert raw.getvalue() == b"Gr\\xf6\\xdfe\n"
