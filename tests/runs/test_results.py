import json
import math

from segexp.runs.files import write_json
from segexp.runs.folder import RunFolder
from segexp.runs.recorder import RunRecorder
from segexp.runs.results import headline
from segexp.training.tensorboard import hyperparameters

SCORES = {"val": {"dice": 0.9}, "test": {"dice": 0.8}}


def test_headline_is_the_test_figure_and_says_when_there_is_none():
    assert headline(SCORES, "val/dice")["value"] == 0.8
    alone = headline({"val": SCORES["val"]}, "val/dice")
    assert alone["value"] == 0.9
    assert "no test score" in alone["note"]


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
