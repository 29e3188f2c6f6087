"""Run folders are written as `segexp train` leaves them; the values are worked out by hand or by scipy."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import wilcoxon

from segexp.comparison.comparison import compare
from segexp.comparison.tables import sheets
from segexp.runs.runs import find_runs
from tests.comparison.small_runs import content_of, leave, write_two


@pytest.fixture
def two(tmp_path) -> Path:
    return write_two(tmp_path)


def test_figures_and_differences(two):
    content = content_of(two)
    (table,) = [table for table in content["tables"] if table["class"] == "a"]
    rows = np.array(table["scores"])
    assert table["summaries"][0].interval.value == pytest.approx(rows[0].mean())
    (pair,) = table["pairs"]
    assert pair["comparison"].interval.value == pytest.approx((rows[1] - rows[0]).mean())
    assert pair["comparison"].interval.low < 0.1 < pair["comparison"].interval.high
    assert pair["comparison"].p_wilcoxon == pytest.approx(wilcoxon(rows[1], rows[0]).pvalue)
    assert pair["sentence"].startswith("on these cases the network of B (dice) does better than that of A (ce) by 10")
    assert "Dice points" in pair["sentence"] or "dice points" in pair["sentence"]
    assert "training randomness is not in the interval" in pair["sentence"]
    spread = dict(zip(table["cases"], abs(rows[1] - rows[0]), strict=True))
    assert table["most_different"][0] == max(spread, key=spread.get)


def test_the_mean_over_classes_is_the_figure_of_the_run(two):
    content = content_of(two)
    (table,) = [table for table in content["tables"] if table["class"] is None]
    for summary, experiment in zip(table["summaries"], content["experiments"], strict=True):
        assert summary.interval.value == pytest.approx(experiment["runs"][0]["metrics"]["dice"])
    assert {row["metric"] for row in content["of_sets"]} == {"v_rand"}


def test_an_undefined_score_is_left_out(tmp_path):
    leave(tmp_path / "x", "ce", 1, {"a": {"c0": 0.5, "c1": float("nan"), "c2": 0.7}})
    leave(tmp_path / "y", "dice", 1, {"a": {"c0": 0.6, "c1": 0.9, "c2": 0.7}})
    (table,) = content_of(tmp_path)["tables"]
    assert [summary.interval.cases for summary in table["summaries"]] == [2, 3]
    assert table["pairs"][0]["comparison"].interval.cases == 2
    assert table["pairs"][0]["comparison"].interval.value == pytest.approx(0.05)


def test_the_baseline_can_be_chosen(two):
    assert content_of(two, baseline="dice")["baseline"] == content_of(two, baseline="B")["baseline"] == "B"
    assert content_of(two, baseline="B")["tables"][0]["pairs"][0]["comparison"].interval.value < 0
    with pytest.raises(ValueError, match="--baseline='C' is not one of"):
        content_of(two, baseline="C")
    with pytest.raises(ValueError, match="--metric='dise' is not one of .*did you mean 'dice'"):
        content_of(two, metrics=["dise"])


def test_no_results_at_all_is_an_error(tmp_path):
    leave(tmp_path / "x", "ce", 1, {"a": {"c0": 0.5}})
    (tmp_path / "x" / "results.json").unlink()
    with pytest.raises(ValueError, match="none of the 1 runs has results yet"):
        content_of(tmp_path)


def test_marginal_effects_and_the_pareto_front(tmp_path):
    """dice adds 0.1 and the higher rate 0.02, exactly; the better ones have more parameters."""
    for loss, gain in (("ce", 0.0), ("dice", 0.1)):
        for lr, more in ((0.1, 0.0), (0.2, 0.02)):
            for seed in (1, 2):
                scores = {"a": {f"c{i}": 0.5 + gain + more + 0.01 * i + 0.001 * seed for i in range(5)}}
                leave(tmp_path / f"{loss}{lr}{seed}", loss, seed, scores, lr=lr, parameters=10 if loss == "ce" else 20)
    content = content_of(tmp_path)
    effects = {item["key"]: [e.effect.value for e in item["effects"]] for item in content["marginals"]}
    assert effects["loss"] == pytest.approx([-0.05, 0.05])
    assert effects["optimizer.lr"] == pytest.approx([-0.01, 0.01])
    names = {item["letter"]: item["name"] for item in content["experiments"]}
    assert [names[letter] for letter in content["pareto"]] == ["ce lr=0.2", "dice lr=0.2"]


def test_the_dice_along_the_organ_is_that_of_all_runs_that_have_it(tmp_path):
    scores = {"a": {"c1": 0.5, "c2": 0.6}}
    for loss, seed, two in (("ce", 1, [0.2, None]), ("ce", 2, [0.4, None]), ("dice", 1, [0.5, 0.7])):
        mean = [*two, *[None] * 8]
        leave(tmp_path / f"{loss}{seed}", loss, seed, scores)
        path = tmp_path / f"{loss}{seed}" / "results.json"
        band = {"mean": mean, "low": mean, "high": mean}
        counts = {key: [2] * 10 for key in ("cases", "slices", "slices_invented", "slices_missed")}
        positions = {"test": {"protocol": "", "classes": {"a": {**counts, "scores": {"dice": band}}}}}
        path.write_text(json.dumps(json.loads(path.read_text()) | {"positions": positions}))
    leave(tmp_path / "images", "focal", 1, scores)  # a run without
    content = content_of(tmp_path)
    lines = {
        item["name"]: {k: tenths[:2] for k, tenths in item["positions"].items()} for item in content["experiments"]
    }
    assert lines == {"ce": {"a": [pytest.approx(0.3), None]}, "dice": {"a": [0.5, 0.7]}, "focal": {}}
    [sheet] = [sheet for sheet in sheets(content) if sheet.title.startswith("positions of a, dice")]
    assert {row[1]: row[2:5] for row in sheet.rows} == {
        "ce": ["0.300", "", ""],
        "dice": ["0.500", "0.700", ""],
        "focal": ["", "", ""],
    }
    assert sheet.columns[2:4] == ["0 to 10 %", "10 to 20 %"]


def test_the_best_experiment_over_folds_is_said_and_that_it_was_chosen_on_these_cases(tmp_path):
    for loss, gain in (("ce", 0.0), ("dice", 0.1)):
        for fold in range(3):
            scores = {"a": {f"case{fold}{number}": 0.5 + gain + fold / 50 + number / 100 for number in range(3)}}
            leave(tmp_path / f"{loss}{fold}", loss, 0, scores, fold)
            path = tmp_path / f"{loss}{fold}" / "results.json"
            results = json.loads(path.read_text())
            path.write_text(json.dumps(results | {"val": {"dice": 0.6 + gain + fold / 100}}))
    content = compare(find_runs([str(tmp_path)]))
    assert content["best"].startswith(
        "val/dice has its best mean over folds, 0.7100, with B dice; 95 % interval 0.6852 to"
    )
    assert "optimistically biased" in content["best"]
    assert content["best"] + "." in sheets(content)[0].notes
    assert "best" not in compare(find_runs([str(tmp_path / "ce*")]))
