import re
from dataclasses import replace

import numpy as np
import pytest

from segexp.pictures.figures import save_picture
from segexp.stress.page import Stressed, page
from segexp.stress.pictures import Gallery
from segexp.stress.reference import set_against
from tests.stress.made import results_for


@pytest.fixture
def run(tmp_path) -> Stressed:
    results = results_for(tmp_path, {"motion": 0.1, "blur": 0.01})
    gallery = Gallery.of(tmp_path / "pictures", "c1", results)
    gallery.folder.mkdir()
    for severity in range(6):
        save_picture(gallery.panel("motion", severity), np.full((8, 8, 3), 40 * severity, np.uint8))
    return Stressed("first", results, gallery)


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<style>.*?</style>|<[^>]+>", " ", html, flags=re.DOTALL).split())


def test_scores_are_in_the_table_and_losses_in_the_sentence(run):
    html = page([run], "1.0", "segexp stress run=first")
    assert "motion 0.800 0.750 0.700 0.650 0.600 0.550 0.650" in text_of(html)
    assert "dice 0.800 without corruption" in text_of(html)
    assert html.count("<svg viewBox") == 2
    assert html.count("<img ") == 6 + 1  # of blur, the clean picture alone is there
    assert "segexp stress run=first" in html


def test_cells_are_shaded_by_what_is_lost_and_gains_are_not(run):
    html = page([run], "1.0", "segexp stress")
    assert 'class="number h4">0.600' in html  # a quarter of 0.8
    gained = replace(run, results=results_for(run.gallery.folder, {"motion": -0.02}))
    assert not re.search('class="number h[1-5]"', page([gained], "1.0", "segexp stress"))


def test_nothing_is_fetched_and_no_script_runs(run):
    html = page([run], "1.0", "segexp stress")
    assert "default-src 'none'" in html
    assert "<script" not in html
    assert " style=" not in html  # the policy would refuse it
    assert not re.search(r"https?://", html)


def test_several_runs_share_plots_and_a_reference_adds_columns(run):
    other = replace(run, name="second <b>", results=set_against(run.results, run.results, "first"), gallery=None)
    html = page([run, other], "1.0", "segexp stress")
    assert html.count("<polyline") == 4
    assert "second &lt;b&gt;" in html
    assert "<b>" not in html
    assert "rel. CE" in html
    assert "Reference: first" in html
