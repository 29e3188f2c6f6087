"""Paths that stand for trained networks."""

import json

import pytest

from segexp.prediction.which import _runs_in, paths_of


def test_paths_with_commas(tmp_path):
    (tmp_path / "a,b").mkdir()
    assert paths_of(str(tmp_path / "a,b")) == [tmp_path / "a,b"]
    assert [str(path) for path in paths_of("a, b,")] == ["a", "b"]


def test_a_folder_of_runs_stands_for_those_that_ended_well(tmp_path, caplog):
    for name, status in (("10", "done"), ("9", "done"), ("8", "failed"), ("7", "done")):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        (tmp_path / name / "run.json").write_text(json.dumps({"status": status}))
        if name != "7":
            (tmp_path / name / "checkpoints/best.ckpt").touch()
    (tmp_path / "9-test").mkdir()
    (tmp_path / "9-test/run.json").write_text('{"status": "done", "evaluation": {"run": "9"}}')
    assert _runs_in(tmp_path) == [tmp_path / "9", tmp_path / "10"]
    assert [record.message for record in caplog.records] == [
        f"2 of the 4 runs in {tmp_path} have not ended well and are left out: 7, 8"
    ]
    assert _runs_in(tmp_path / "9") == [tmp_path / "9"]
    (tmp_path / "empty").mkdir()
    assert _runs_in(tmp_path / "empty") == [tmp_path / "empty"]
    (tmp_path / "other/1").mkdir(parents=True)
    (tmp_path / "other/1/run.json").write_text('{"status": "failed"}')
    with pytest.raises(ValueError, match="holds 1 runs, and none has ended well"):
        _runs_in(tmp_path / "other")
