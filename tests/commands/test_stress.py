"""Stress tests of runs that were trained for a second."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from segexp.commands.evaluate import evaluate
from segexp.commands.stress import stress
from segexp.comparison.comparison import compare
from segexp.runs.files import write_json
from segexp.runs.runs import find_runs
from tests.conftest import trained

LONGER = ["trainer.max_epochs=4", "optimizer.lr=1e-2", "metrics=[overlap,membrane]", "monitor=val/dice"]
FEW = ["corruptions=[gaussian_noise,rotation]", "severities=[1,5]"]


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("runs") / "first", *LONGER, "seed=3")


@pytest.fixture(scope="module")
def stressed(first, tmp_path_factory) -> Path:
    folder = Path(shutil.copytree(first, tmp_path_factory.mktemp("stressed") / "first"))
    stress([f"run={folder}", *FEW])
    return folder


@pytest.fixture
def run(stressed, tmp_path) -> Path:
    """A stressed copy to change."""
    return Path(shutil.copytree(stressed, tmp_path / "first"))


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_severity_0_has_the_figures_of_the_run_to_the_last_digit(stressed):
    found, results = read(stressed / "stress.json"), read(stressed / "results.json")
    assert found["clean"]["dice"] == results["test"]["dice"]
    assert {name: results["test"][name] for name in found["clean"]} == found["clean"]
    clean = {(row["case"], row["class"]): row for row in rows(stressed / "stress.csv") if row["severity"] == "0"}
    cases = [row for row in rows(stressed / "cases.csv") if row["split"] == "test"]
    assert len(cases) == len(clean) == 3 * 2  # membrane, and the regions that it bounds
    for row in cases:
        same = clean[row["case"], row["class"]]
        assert {name: same[name] for name in found["metrics"]} == {name: row[name] for name in found["metrics"]}
    assert {"dice", "ece", "v_rand"} <= found["metrics"].keys()


def test_copies_are_scored_and_reach_their_targets(stressed):
    found = read(stressed / "stress.json")
    assert list(found["corruptions"]) == ["gaussian_noise", "rotation"]
    noise = found["corruptions"]["gaussian_noise"]
    assert noise["reached"] == pytest.approx([34, 18], abs=0.1)
    assert noise["missed"] == [0, 0]
    assert len(rows(stressed / "stress.csv")) == 2 * 3 * (1 + 2 * 2)
    assert found["corruptions"]["rotation"]["declared"] == [5, 30]
    assert found["seconds_per_case"] > 0
    assert found["peak_memory_mib"] > 1
    assert (stressed / "stress.html").read_text().count("<img ") == 2 * (3 + 1)


def test_a_stress_test_that_was_cut_off_goes_on_with_what_is_missing(run, capsys):
    (journal,) = (run / "stress").glob("*.jsonl")
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:9]) + lines[9][:30])
    before = (run / "stress.csv").read_bytes()
    (run / "stress.csv").unlink()
    stress([f"run={run}", *FEW])
    assert "9 of 15 copies are scored already" in capsys.readouterr().out
    assert (run / "stress.csv").read_bytes() == before


def test_further_corruptions_are_added_to_what_is_scored(run, capsys):
    stress([f"run={run}", "corruptions=[gaussian_noise,contrast]", "severities=[1,5]", "pictures=false"])
    assert "9 of 15 copies are scored already" in capsys.readouterr().out
    assert list(read(run / "stress.json")["corruptions"]) == ["gaussian_noise", "contrast"]


def test_another_seed_makes_other_noise(run):
    before = noise_scores(run)
    stress([f"run={run}", "corruptions=gaussian_noise", "severities=[1,5]", "seed=1", "pictures=false"])
    after = noise_scores(run)
    assert before.keys() == after.keys()
    assert before != after


def noise_scores(folder: Path) -> dict[tuple[str, str], str]:
    """Expected calibration error, which any change shows, of the noisy copies by case and severity."""
    found = [row for row in rows(folder / "stress.csv") if row["corruption"] == "gaussian_noise" and row["ece"]]
    assert found
    return {(row["case"], row["severity"]): row["ece"] for row in found}


@pytest.mark.slow
def test_a_run_against_a_reference_and_its_place_in_a_comparison(run, tmp_path):
    other = trained(tmp_path / "other", *LONGER, "seed=4", "model.base_channels=2")
    page = tmp_path / "page.html"
    stress([f"run={run}", f"run={other}", *FEW, f"reference={run}", "pictures=false", f"html={page}"])
    found = read(other / "stress.json")
    assert found["reference"] == "first"
    assert read(run / "stress.json")["corruptions"]["gaussian_noise"]["corruption_error"] == 1
    errors = [
        sum(1 - score for score in read(folder / "stress.json")["corruptions"]["rotation"]["scores"]["dice"])
        for folder in (other, run)
    ]
    assert found["corruptions"]["rotation"]["corruption_error"] == pytest.approx(errors[0] / errors[1])
    assert page.read_text().count("<polyline") == 4
    content = compare(find_runs([str(run), str(other)]), ["stress_dice", "stress_rotation_dice"])
    assert {table["metric"] for table in content["tables"]} == {"stress_dice", "stress_rotation_dice"}
    noise, turns = (found["corruptions"][name]["mean"] for name in ("gaussian_noise", "rotation"))
    assert content["tables"][0]["summaries"][1].interval.value == pytest.approx((noise + turns) / 2)


@pytest.mark.slow
def test_an_ensemble_has_its_figures_beside_those_of_its_evaluation(run, tmp_path):
    shutil.copytree(run, tmp_path / "sweep" / "first")
    trained(tmp_path / "sweep" / "second", *LONGER, "seed=5")
    stress([f"run={tmp_path / 'sweep'}", "corruptions=[contrast]", "severities=[3]", "pictures=false"])
    folder = tmp_path / "sweep" / "first-ensemble2-test"
    assert read(folder / "stress.json")["clean"]["dice"] == read(folder / "results.json")["test"]["dice"]
    assert "stress_contrast_dice" in find_runs([str(folder)])[0].metrics


def test_post_processed_labels_are_scored_as_evaluate_scores_them(run):
    epoch = read(run / "results.json")["chosen_on_val"]["epoch"]
    steps = {"epoch": epoch, "min_size": {"size": 30}}
    write_json(run / "postprocess.json", steps)
    evaluate([f"run={run}"])
    stress([f"run={run}", "corruptions=[rotation]", "severities=[1]", "pictures=false"])
    folder = run.with_name("first-test")
    clean = read(folder / "stress.json")["clean"]
    assert clean["dice"] == read(folder / "results.json")["test"]["dice"]
    assert clean["dice"] != read(run / "results.json")["test"]["dice"]


@pytest.mark.slow
def test_other_overrides_go_to_an_evaluation_of_their_own(run, tmp_path):
    few = ["corruptions=[contrast]", "severities=[3]", "pictures=false"]
    stress([f"run={run}", *few, "metrics=[overlap]"])
    folder = run.with_name("first-test")
    assert read(folder / "stress.json")["clean"]["dice"] == read(folder / "results.json")["test"]["dice"]
    with pytest.raises(FileExistsError, match="output="):
        stress([f"run={run}", *few, "inference.predictor.overlap=0.5"])
    stress([f"run={run}", *few, "inference.predictor.overlap=0.5", f"output={tmp_path / 'other'}"])
    assert (
        read(tmp_path / "other" / "stress.json")["clean"]["dice"]
        == read(tmp_path / "other" / "results.json")["test"]["dice"]
    )
    assert "rotation" in read(run / "stress.json")["corruptions"]  # of the run itself, as it was


def test_words_that_are_wrong_are_refused(run):
    for words, said in {
        "corruptions=[moton]": "did you mean 'motion'",
        "corruptions=[thick_slices]": "thick_slices does not fit",
        "severities=[0]": "severities",
        "severities=[]": "severities",
        "cases=0": "cases=0",
        "split=train": "split",
    }.items():
        with pytest.raises(ValueError, match=said):
            stress([f"run={run}", words])
