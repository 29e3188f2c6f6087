import json

import pytest

from segexp.comparison.comparison import compare
from segexp.runs.files import write_json, write_table
from segexp.runs.folder import RunFolder
from segexp.runs.runs import find_runs
from tests.comparison.small_runs import leave
from tests.stress.made import filled, plan_for, results_for

LOSSES = {"motion": 0.1, "blur": 0.01}


@pytest.fixture
def two(tmp_path):
    """Two runs, both stressed."""
    for name, factor in (("ce", 1.0), ("dice", 2.0)):
        scores = {label: {f"c{n}": 0.9 - n / 10 for n in range(3)} for label in ("a", "b")}
        leave(tmp_path / "runs" / name, name, 1, scores)
        stress(
            RunFolder(tmp_path / "runs" / name), {key: factor * loss for key, loss in LOSSES.items()}, tmp_path / name
        )
    return tmp_path / "runs"


def stress(folder: RunFolder, losses: dict[str, float], scratch) -> None:
    from segexp.stress.summary import rows_of

    plan = plan_for(*losses)
    write_json(folder.stress_path, results_for(scratch, losses))
    write_table(folder.stress_cases_path, rows_of(filled(scratch, plan, losses), plan))


def test_a_comparison_takes_the_mean_over_all_corruptions_with_its_own_statistics(two):
    content = compare(find_runs([str(two)]))
    assert {table["metric"] for table in content["tables"]} == {"dice", "stress_dice"}
    (table,) = (each for each in content["tables"] if each["metric"] == "stress_dice" and each["class"] == "a")
    # The mean over severities of a loss per severity is three times that loss.
    assert table["summaries"][0].interval.value == pytest.approx(0.8 - 3 * (0.1 + 0.01) / 2)
    assert table["pairs"][0]["comparison"].interval.value == pytest.approx(-3 * (0.1 + 0.01) / 2)
    assert "motion, blur; severities 1, 2, 3, 4, 5; seed 0" in table["protocol"]
    assert not content["of_sets"] or {row["metric"] for row in content["of_sets"]} == {"v_rand"}


def test_single_corruptions_are_compared_if_they_are_asked_for(two):
    (mean, *_) = compare(find_runs([str(two)]), ["stress_motion_dice"])["tables"]
    assert mean["summaries"][0].interval.value == pytest.approx(0.8 - 0.3 / 2)
    assert mean["better"] == "higher"


def test_runs_without_a_stress_test_are_compared_in_the_other_metrics(two):
    RunFolder(two / "ce").stress_path.unlink()
    content = compare(find_runs([str(two)]))
    assert {table["metric"] for table in content["tables"]} == {"dice"}
    assert not any("stress" in warning for warning in content["warnings"])


def test_stress_tests_of_another_seed_do_not_compare(two):
    path = RunFolder(two / "ce").stress_path
    write_json(path, json.loads(path.read_text()) | {"seed": 4})
    assert any(
        "stress_dice is defined differently" in warning for warning in compare(find_runs([str(two)]))["warnings"]
    )


@pytest.mark.parametrize("change", [{"split": "val"}, {"epochs": [2]}])
def test_a_stress_test_of_another_split_or_epoch_is_left_out(two, change):
    folder = RunFolder(two / "ce")
    write_json(folder.results_path, json.loads(folder.results_path.read_text()) | {"chosen_on_val": {"epoch": 3}})
    assert "stress_dice" in find_runs([str(folder.path)])[0].metrics
    write_json(folder.stress_path, json.loads(folder.stress_path.read_text()) | change)
    (run,) = find_runs([str(folder.path)])
    assert "stress_dice" not in run.metrics
    assert "stress_dice" not in run.cases[0]


def test_a_case_that_was_not_stressed_has_no_stress_score(two):
    folder = RunFolder(two / "ce")
    rows = [row for row in folder.stress_cases() if row["case"] != "c0"]
    write_table(folder.stress_cases_path, rows)
    (run,) = find_runs([str(folder.path)])
    assert [row["stress_dice"] == "" for row in run.cases] == [True, True, False, False, False, False]


def test_figures_that_lack_something_make_no_metric(two):
    path = RunFolder(two / "ce").stress_path
    write_json(path, json.loads(path.read_text()) | {"corruptions": {"motion": {}}})
    (run,) = find_runs([str(two / "ce")])
    assert "stress_dice" not in run.metrics


def test_a_damaged_file_is_named(two):
    RunFolder(two / "ce").stress_path.write_text("{}")
    with pytest.raises(ValueError, match="stress.json"):
        RunFolder(two / "ce").stress()
