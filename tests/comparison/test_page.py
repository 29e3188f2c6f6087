import base64
import json
import re

import numpy as np
import pytest

from segexp.comparison.comparison import compare
from segexp.comparison.page import page
from segexp.runs.runs import find_runs
from tests.comparison.synthetic_runs import Sweep, write_runs


def made(folder, sweep: Sweep, **more) -> tuple[str, dict, dict]:
    """Page, the data in it, and what was compared."""
    if not folder.exists():
        write_runs(folder, sweep)
    runs = find_runs([str(folder)])
    content = compare(runs) | more
    text = page(content, runs)
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return text, json.loads(found[1]), content


def unpacked(table: dict, experiments: int) -> np.ndarray:
    numbers = np.frombuffer(base64.b64decode(table["scores"]), "<u2").reshape(experiments, -1).astype(float)
    return np.where(numbers == 65535, np.nan, table["low"] + table["step"] * numbers)


def test_scores_of_cases_and_figures_are_those_that_were_compared(tmp_path):
    _, data, content = made(tmp_path / "runs", Sweep(experiments=3, folds=2, classes=("a", "b")))
    assert len(data["tables"]) == len(content["tables"]) == 6
    for table, wanted in zip(data["tables"], content["tables"], strict=True):
        assert data["cases"][table["cases"]] == wanted["cases"]
        assert np.allclose(unpacked(table, 3), np.array(wanted["scores"]), atol=1e-4)
        assert table["means"][1][0] == pytest.approx(wanted["summaries"][1].interval.value, rel=1e-4)
        assert table["pairs"][0] is None
        assert table["pairs"][2][4] == pytest.approx(wanted["pairs"][1]["comparison"].p_holm, rel=1e-4)


def test_the_dice_along_the_organ_is_drawn_of_those_that_have_it(tmp_path):
    _, data, content = made(tmp_path / "runs", Sweep(experiments=2))
    assert data["positions"] == {}
    content["experiments"][1]["positions"] = {"cell": [0.123456789, None]}
    text = page(content, find_runs([str(tmp_path / "runs")]))
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert json.loads(found[1])["positions"] == {"cell": [None, [0.12346, None]]}


def test_a_case_that_an_experiment_did_not_score_has_no_score(tmp_path):
    folder = tmp_path / "runs"
    first = write_runs(folder, Sweep(seeds=1, cases=5, metrics=("dice",)))[0]
    rows = (first / "cases.csv").read_text().splitlines()
    rows[1] = re.sub(r"[^,]+$", "nan", rows[1])
    (first / "cases.csv").write_text("\n".join(rows))
    _, data, content = made(folder, Sweep())
    scores = unpacked(data["tables"][0], 2)
    assert np.isnan(scores[0, 0])
    assert np.isnan(scores).sum() == sum(score is None for row in content["tables"][0]["scores"] for score in row)


def test_nothing_is_fetched_and_only_the_pages_own_script_may_run(tmp_path):
    text, _, _ = made(tmp_path / "runs", Sweep(pictures=2))
    assert not re.search(r'(?:src|href)\s*=\s*["\']|@import|url\(', text.split('id="data">')[0])
    assert "default-src 'none'" in text
    outside = text.replace("http://www.w3.org/2000/svg", "")  # a name, not an address
    assert "http://" not in outside
    assert "https://" not in outside


def test_hostile_names_end_no_element(tmp_path):
    name = "</script><script>alert(1)</script><!--{:03d} {{data}} '\"&"
    text, data, _ = made(
        tmp_path / "runs", Sweep(cases=4, case_name=name, losses=("<img src=x onerror=alert(2)>", "b"))
    )
    assert text.count("</script>") == 2
    assert "<img" not in text
    assert data["cases"][0][0] == name.format(0)
    assert data["differences"][0]["values"][0] == "<img src=x onerror=alert(2)>"


def test_where_room_is_short_the_most_different_cases_keep_their_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr("segexp.comparison.page.PICTURES", 150_000)
    _, data, content = made(tmp_path / "runs", Sweep(seeds=1, pictures=20))
    scores = np.array(content["tables"][0]["scores"])
    order = [content["tables"][0]["cases"][k] for k in np.argsort(-np.ptp(scores, axis=0))]
    kept = list(data["pictures"])
    assert 0 < len(kept) < 20
    assert kept == order[: len(kept)]
    assert sum(len(shown[0]) for one in data["pictures"].values() for shown in one.values()) <= 150_000


def test_long_curves_are_thinned_and_keep_their_end(tmp_path):
    _, data, content = made(tmp_path / "runs", Sweep(epochs=1000, seeds=1))
    curves = data["curves"]
    assert curves["names"] == ["train/loss", "val/loss", "val/dice"]
    assert len(curves["epochs"][0]) <= 101
    assert curves["epochs"][0][-1] == 1000
    assert curves["runs"][0][3][2][-1] == pytest.approx(
        content["experiments"][0]["curves"][0]["columns"]["val/dice"][-1], rel=1e-4
    )


def test_a_curve_with_a_loss_that_is_no_number_makes_a_page(tmp_path):
    folder = tmp_path / "runs"
    first = write_runs(folder, Sweep(epochs=3))[0]
    rows = (first / "metrics.csv").read_text().splitlines()
    rows[2] = "1,0.001,nan,inf,0.5"
    (first / "metrics.csv").write_text("\n".join(rows))
    _, data, _ = made(folder, Sweep())
    assert [line[1] for line in data["curves"]["runs"][0][3]] == [None, None, 0.5]


@pytest.mark.slow
def test_a_large_sweep_stays_small(tmp_path):
    """As 500 runs: the size grows with experiments, cases and metrics, which are all here; seeds add curves alone."""
    sweep = Sweep(
        experiments=100, seeds=1, cases=200, classes=("a", "b"), metrics=("dice", "iou", "hd95_mm"), pictures=2
    )
    text, data, _ = made(tmp_path / "runs", sweep)
    assert len(text.encode()) < 5_000_000
    assert len(data["pictures"]) == 2
    assert all(table["scores"] for table in data["tables"])


def test_scores_that_have_no_room_are_left_out_of_the_last_tables(tmp_path, monkeypatch):
    monkeypatch.setattr("segexp.comparison.page.SCORES", 150)
    _, data, _ = made(tmp_path / "runs", Sweep())
    assert [table["scores"] is None for table in data["tables"]] == [False, True]


def test_one_experiment_alone_and_the_command_that_made_it(tmp_path):
    _, data, _ = made(tmp_path / "runs", Sweep(experiments=1), command="segexp compare outputs")
    assert data["tables"][0]["pairs"] == [None]
    assert data["command"] == "segexp compare outputs"
