import json
import math
from pathlib import Path

import pytest

from segexp.runs.folder import RunFolder
from segexp.runs.recorder import RunRecorder, present_facts
from segexp.runs.sameness import compare_values, config_facts, data_facts, record_facts


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> dict:
    """What a run started just now has recorded."""
    folder = tmp_path_factory.mktemp("run")
    RunRecorder(RunFolder(folder), ["loss=ce"], 3)
    return json.loads((folder / "run.json").read_text())


def differing(facts) -> dict[str, tuple[str, str]]:
    return {fact.name: (fact.recorded, fact.present) for fact in facts if not fact.same}


def test_a_run_of_this_moment_is_the_same(record):
    facts = record_facts(record, present_facts())
    assert differing(facts) == {}
    assert {"segexp", "git commit", "uncommitted changes", "python", "torch", "machine: processor"} <= {
        fact.name for fact in facts
    }


def test_what_differs_is_named(record):
    present = present_facts()
    old = json.loads(json.dumps(record))
    old["packages"]["torch"] = "1.0"
    old["packages"]["tensorflow"] = "2.0"
    old["machine"]["gpus"] = ["H100", "H100"]
    old["machine"]["threads"] = 999  # the new run gets as many
    old["segexp_version"] = "0.0.1"
    now = present["packages"]["torch"]
    assert differing(record_facts(old, present)) == {
        "segexp": ("0.0.1", present["segexp_version"]),
        "torch": ("1.0", now),
        "tensorflow": ("2.0", "none"),
        "machine: gpus": ("H100, H100", ", ".join(present["machine"]["gpus"]) or "none"),
    }


def diff(**files: str) -> str:
    return "\n".join(f"diff --git a/{name}.py b/{name}.py\n--- a\n+++ b\n+{line}" for name, line in files.items())


def test_of_uncommitted_changes_the_files_that_differ_are_named():
    old = {"git": {"commit": "0123456789abcdef", "diff": diff(net="1", loss="1")}}
    new = {"git": {"commit": "0123456789abcdef", "diff": diff(net="1", loss="2", data="1")}}
    assert differing(record_facts(old, new)) == {"uncommitted changes": ("loss.py", "loss.py, data.py")}
    clean = {"git": {"commit": "fedcba9876543210", "diff": ""}}
    assert differing(record_facts(old, clean)) == {
        "git commit": ("0123456789", "fedcba9876"),
        "uncommitted changes": ("net.py, loss.py", "none"),
    }
    assert set(differing(record_facts({"git": None}, clean))) == {"git commit"}


def config(folder: str, **model: object) -> dict:
    return {
        "seed": 1,
        "model": model,
        "paths": {"run_dir": folder},
        "callbacks": {"table": {"path": f"{folder}/metrics.csv"}},
        "data": {"source": {"values": {0: 0, 255: 1}}},
    }


def test_keys_of_the_configuration_that_differ_are_named():
    recorded = json.loads(json.dumps(config("/a", depth=4, norm="batch")))
    assert differing(config_facts(recorded, config("/b", depth=4, norm="batch"))) == {}
    assert differing(config_facts(recorded, config("/b", depth=5, dropout=None))) == {
        "config: model.depth": ("4", "5"),
        "config: model.norm": ("batch", "no such key"),
        "config: model.dropout": ("no such key", "none"),
    }


def test_data_and_split():
    recorded = {"data_fingerprint": "a" * 64, "split": {"train": ["x"], "test": ["y"]}}
    assert differing(data_facts(recorded, "a" * 64, {"train": ("x",), "test": ("y",)})) == {}
    assert differing(data_facts(recorded, "b" * 64, {"train": ("y",), "test": ("x",)})) == {
        "data fingerprint": ("a" * 10, "b" * 10),
        "split": ("train 1, test 1", "train 1, test 1"),
    }


def leave(folder: Path, dice: float | None, score: str) -> Path:
    folder.mkdir()
    results = {
        "headline": {},
        "val": {"dice": 0.5, "recall": None},
        "test": {"dice": dice},
        "chosen_on_val": {"epoch": 1, "by": "x"},
    }
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "cases.csv").write_text(f"split,case,class,dice,iou\ntest,a,cell,{score},nan\n")
    return folder


def test_equal_figures_are_equal_bit_for_bit(tmp_path):
    third = 1 / 3
    figures, scores = compare_values(leave(tmp_path / "a", third, "0.1"), leave(tmp_path / "b", third, "0.1"))
    assert [value.name for value in figures] == ["val/dice", "val/recall", "test/dice", "chosen/epoch"]
    assert [value.name for value in scores] == ["test/a/cell/dice", "test/a/cell/iou"]
    assert all(value.same and value.difference == 0 for value in [*figures, *scores])


def test_one_bit_is_a_difference(tmp_path):
    third = 1 / 3
    one = leave(tmp_path / "a", third, "0.1")
    figures, scores = compare_values(one, leave(tmp_path / "b", math.nextafter(third, 1), "nan"))
    assert {value.name: value.difference for value in figures if not value.same} == {"test/dice": 2**-54}
    assert [value.difference for value in scores] == [math.inf, 0.0]
