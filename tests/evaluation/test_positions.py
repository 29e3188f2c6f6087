"""Summaries by position against means over the rows, and what a run folder then holds."""

import json
import math

import numpy as np
import pytest
import torch
from scipy import stats

from segexp.evaluation.positions import by_position, rows_of_positions, write_positions
from segexp.metrics import OverlapScores, gather
from segexp.runs.files import write_json
from segexp.runs.folder import RunFolder
from tests.conftest import only, table

CASES = 12


def result(*size):
    """Scores of twelve cases of noise."""
    metric = OverlapScores(["background", "front", "back"])
    generator = torch.Generator().manual_seed(0)
    metric.update(
        torch.rand(CASES, 3, *size, generator=generator).softmax(1),
        torch.randint(0, 3, (CASES, *size), generator=generator),
        torch.arange(CASES),
    )
    return gather([(metric.compute(), metric.info)])


def test_means_are_those_of_the_rows_and_intervals_hold_the_spread_of_cases():
    found = result(7, 5, 5)  # of seven slices, some tenths have none
    summary = by_position(found)
    for label, of in summary["classes"].items():
        for place in range(10):
            rows = [row for row in found.bins if (row.label, row.bin) == (label, place + 1)]
            scores = [row.scores["dice"] for row in rows if not math.isnan(row.scores["dice"])]
            assert of["cases"][place] == len(scores)
            assert of["slices"][place] == sum(row.slices for row in rows)
            assert of["slices_missed"][place] == sum(row.slices_missed for row in rows)
            band = [of["scores"]["dice"][end][place] for end in ("low", "mean", "high")]
            assert band[1] == (pytest.approx(np.mean(scores), abs=1e-4) if scores else None)
            assert len(scores) in (0, CASES)
            if not scores:
                assert band[0] is band[2] is None
                continue
            half = stats.t.ppf(0.975, len(scores) - 1) * stats.sem(scores)
            assert band[2] - band[0] == pytest.approx(2 * half, rel=0.35)
            assert 0 <= band[0] < band[1] < band[2] <= 1


def test_a_run_folder_holds_the_table_the_summary_and_a_picture(tmp_path):
    folder, found = RunFolder(tmp_path), result(12, 3, 3)
    names = {"test": [f"case {number}" for number in range(CASES)]}
    summary = {"test": by_position(found)}
    write_positions(folder, {"test": found}, names, summary)
    write_json(folder.results_path, {"headline": {}, "positions": summary})
    assert folder.results({"status": "done"})["positions"] == json.loads(json.dumps(summary))
    rows = folder.positions()
    assert rows == table(folder.positions_path)
    assert len(rows) == CASES * 2 * 10
    assert [rows[10][key] for key in ("split", "case", "class", "bin")] == ["test", "case 0", "back", "1"]
    assert float(rows[10]["dice"]) == pytest.approx(found.bins[10].scores["dice"])
    assert only(folder.figures, "*").name == "positions_test.png"


def test_images_leave_nothing(tmp_path):
    found = result(5, 5)
    assert by_position(found) is None
    assert rows_of_positions({"test": found}, {"test": [""] * CASES}) == []
    write_positions(RunFolder(tmp_path), {"test": found}, {"test": [""] * CASES}, {})
    assert not list(tmp_path.iterdir())


def test_a_damaged_table_is_named(tmp_path):
    folder = RunFolder(tmp_path)
    found = result(12, 3, 3)
    write_positions(folder, {"test": found}, {"test": [""] * CASES}, {}, pictures=False)
    text = folder.positions_path.read_text()
    folder.positions_path.write_text(text.replace("test", "tset"))
    assert "positions.csv" in folder.fault()
    assert not folder.figures.exists()
