import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segexp.comparison.run_page import run_page, write_run_page
from segexp.runs.runs import find_runs
from tests.comparison.small_runs import leave
from tests.conftest import PANELS, trained

VOID = {"meta", "img", "br", "input", "line", "circle", "polyline"}


class Elements(HTMLParser):
    """Text of a page, and the elements that are left open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.kinds: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.kinds.append(tag)
        assert not any(name.startswith("on") or name == "style" for name, _ in attrs), "the policy forbids it"

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture
def run(tmp_path) -> Path:
    """Run of six cases and a class with a name that is no text in HTML, with pictures of some."""
    scores = dict(zip("abcdef", (0.5, 0.9, 0.7, 0.8, 0.6, 0.95), strict=True))
    leave(tmp_path / "r", "dice", 1, {"<i>x": scores})
    (tmp_path / "r/figures").mkdir()
    for place, case in enumerate("abcde"):
        Image.fromarray(np.full((20, 80, 3), 40 * place, np.uint8)).save(tmp_path / f"r/figures/test_{case}.png")
    (tmp_path / "r/figures/test_f.png").write_bytes(b"no picture")
    return tmp_path / "r"


def test_a_page_tells_scores_cases_settings_and_how_to_repeat(run):
    page = run_page(find_runs([str(run)])[0])
    text = " ".join(Elements(page).words)
    for told in ("dice 0.7417", "Learning curves", "Case by case", " settings", "segexp reproduce", "2 TP"):
        assert told in text
    assert "<i>x" not in page
    assert "<i>x" in text


def test_worst_median_and_best_case_come_first(run):
    page = run_page(find_runs([str(run)])[0])
    assert re.findall(r"<figcaption>(\w): dice", page) == ["a", "d", "e", "c", "b"]  # f, the best, has a broken picture


def test_intervals_are_those_of_compare(run):
    page = run_page(find_runs([str(run)])[0])
    row = re.search(r"<td>dice<td>0.7417<td>([\d.]+) to ([\d.]+)", page)
    assert float(row[1]) < 0.7417 < float(row[2])


def test_nothing_is_asked_of_a_network(run):
    page = run_page(find_runs([str(run)])[0])
    assert "http" not in re.sub(r"data:image/\w+;base64,[\w+/=]+", "", page).replace("http-equiv", "")
    assert "default-src 'none'" in page


def test_a_run_that_has_not_ended_well_has_no_page(tmp_path):
    leave(tmp_path / "r", "dice", 1, {"x": {"a": 0.5}}, status="failed")
    with pytest.raises(ValueError, match="has no results: it is failed"):
        write_run_page(tmp_path / "r")


def test_a_training_leaves_its_page_unless_it_is_switched_off(tmp_path):
    small = ["trainer.max_epochs=1", "data.sampling.patches_per_epoch=4"]
    page = (trained(tmp_path / "with", *small, "page=true", PANELS) / "report.html").read_text()
    assert {"svg", "img", "dialog"} <= set(Elements(page).kinds)
    assert not (trained(tmp_path / "without", *small, "page=false") / "report.html").exists()
