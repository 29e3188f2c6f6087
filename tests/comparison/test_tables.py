"""Run folders are written as `segexp train` leaves them; the values are worked out by hand or by scipy."""

import json
from pathlib import Path

import pytest

from segexp.comparison.tables import FORMATS, sheets
from tests.comparison.small_runs import content_of, write_two


@pytest.fixture
def two(tmp_path) -> Path:
    return write_two(tmp_path)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_shows_every_table(two, form):
    found = sheets(content_of(two))
    text = FORMATS[form](found)
    assert all(sheet.title.replace("_", "\\_" if form == "latex" else "_") in text for sheet in found)
    value = f"{json.loads((two / 'y' / 'results.json').read_text())['test']['dice']:.4f}"
    assert value in text
    assert "does better than" in text or form == "csv"


def test_latex_escapes_what_latex_would_read(two):
    text = FORMATS["latex"](sheets(content_of(two)))
    rows = [line for line in text.splitlines() if not line.startswith("%")]
    assert not any("_" in line.replace("\\_", "") or "%" in line.replace("\\%", "") for line in rows)
