import csv
import io
import json

import pytest

from segexp.foreign import from_cell, one_line, printable, to_cell, to_latex, to_markdown, to_markdown_cell


@pytest.mark.parametrize("text", ["\x1b[2J", "\x9b31m", "a\rb", "\x07", "\u202eg", "\u200b", "\ud800", "\0", "\x7f"])
def test_what_a_terminal_would_obey_or_hide_is_written_out(text):
    shown = printable(f"a {text} ü 漢\n\tb")
    assert all(one.isprintable() or one in "\n\t" for one in shown)
    assert shown.startswith("a ")
    assert shown.endswith(" ü 漢\n\tb")
    assert json.loads(f'"{printable(text)}"') == text  # so that JSON stays JSON


def test_one_line_has_no_line_breaks():
    assert one_line("a\n b\t\x1b[1m\u2028c") == "a b \\u001b[1m c"


@pytest.mark.parametrize("text", ["=1+1", "+1+cmd", "-x", "@SUM(1)", "\t=1", "\r=1", "'=1", "''+1"])
def test_formulas_become_text_in_a_spreadsheet_and_come_back(text):
    cell = str(to_cell(text))
    assert cell.startswith("'")
    assert from_cell(cell) == text


@pytest.mark.parametrize("value", [-1.5, 3, None, True, "-1.5", "+2e-3", "case 1", "'a'", "", "a=b", "nan", "-inf"])
def test_numbers_and_other_text_stay(value):
    assert to_cell(value) is value
    assert not isinstance(value, str) or from_cell(value) == value


def test_markdown_holds_no_markup_and_no_further_cell():
    shown = to_markdown_cell("a|b\n| --- | <b> [x](http://y) `c` <!-- /segexp -->")
    assert "\n" not in shown
    assert shown == r"a\|b \| --- \| &lt;b> \[x\](http://y) \`c\` &lt;!-- /segexp -->"
    assert to_markdown("a < b | c & d") == "a < b | c & d"


def test_latex_holds_no_command():
    shown = to_latex("\\input{x}\n% $1_a^2~ & #")
    assert shown == r"\textbackslash{}input\{x\} \% \$1\_a\textasciicircum{}2\textasciitilde{} \& \#"
    assert next(csv.reader(io.StringIO(shown)))
