import csv
import json
import math

from segexp.runs.files import write_json, write_table
from segexp.runs.folder import RunFolder
from segexp.runs.recorder import RunRecorder
from segexp.runs.results import headline, rows_of_cases
from segexp.training.tensorboard import hyperparameters

METRICS = {"val": {"dice": 0.9}, "test": {"dice": 0.8}}
ROWS = {
    "val": [{"case": 0, "class": "cell", "dice": 0.9}],
    "test": [{"case": 1, "class": "cell", "dice": math.nan}, {"case": 1, "class": "regions", "v_rand": 0.7}],
}


def test_headline_is_the_test_figure_and_says_when_there_is_none():
    assert headline(METRICS, "val/dice")["value"] == 0.8
    alone = headline({"val": METRICS["val"]}, "val/dice")
    assert alone["value"] == 0.9
    assert "no test score" in alone["note"]


def test_cases_have_names_and_all_columns(tmp_path):
    write_table(tmp_path / "cases.csv", rows_of_cases(ROWS, {"val": ["a"], "test": ["b", "c"]}))
    with (tmp_path / "cases.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["split"], row["case"], row["class"]) for row in rows] == [
        ("val", "a", "cell"),
        ("test", "c", "cell"),
        ("test", "c", "regions"),
    ]
    assert rows[1]["dice"] == "nan"
    assert rows[2] == {"split": "test", "case": "c", "class": "regions", "dice": "", "v_rand": "0.7"}


def test_nan_becomes_null_so_that_any_reader_can_parse_the_file(tmp_path):
    write_json(tmp_path / "a.json", {"x": math.nan, "y": [1.0, math.nan], "z": "é"})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": None, "y": [1.0, None], "z": "é"}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_record_keeps_its_start_over_a_resume(tmp_path):
    first = RunRecorder(RunFolder(tmp_path), ["seed=1"], 1)
    first.finish("failed", "power cut")
    assert json.loads((tmp_path / "run.json").read_text())["why"] == "power cut"
    again = RunRecorder(RunFolder(tmp_path), ["seed=1"], 1)
    assert again.content["start"] == first.content["start"]
    assert len(again.content["resumed"]) == 1
    assert again.content["status"] == "running"


def test_hyperparameters_are_flat_scalars():
    config = {
        "model": {"_target_": "x", "depth": 4, "max_channels": None},
        "optimizer": {"_target_": "x", "_partial_": True, "lr": 0.1},
        "data": {"sampling": {"batch_size": 8, "patch_size": [64, 64]}, "split": {"fold": None}},
        "trainer": {"max_epochs": 3, "precision": "32-true"},
        "seed": 7,
    }
    params = hyperparameters(config, {"model": "unet", "experiment": None, "paths": "default"})
    assert params == {
        "model": "unet",
        "model.depth": 4,
        "optimizer.lr": 0.1,
        "run.batch_size": 8,
        "run.patch_size": "[64, 64]",
        "run.max_epochs": 3,
        "run.precision": "32-true",
        "seed": 7,
    }
