"""A small part of `python -m benchmarks.faults hostile`, and what its cases have in common."""

import os
from pathlib import Path

import pytest
from benchmarks.faults.hostile import VARIABLE, hostile

from tests.conftest import HERE, SMALL, trained


@pytest.mark.slow
def test_nothing_of_a_strangers_files_is_run_shown_or_leaked(monkeypatch):
    monkeypatch.setenv(VARIABLE, "")  # given back afterwards
    monkeypatch.setenv("XDG_STATE_HOME", "")
    table, failures = hostile(11, seed=1, show=False)
    assert not failures
    assert sum(counts["tries"] for counts in table.values()) == 11
    assert len(table) == 10


def test_a_class_that_looks_like_markup_fails_no_run(tmp_path, capsys):
    run = trained(tmp_path / "run", "data.labels.class_names=['[b]','[/nope]']", "metrics=[overlap,membrane]")
    assert (run / "results.json").is_file()
    assert "dice_pooled_[/nope]" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["für", "it's [x]"])
def test_a_run_in_a_folder_of_any_name_is_resumed(answer, tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    quoted = str(folder / "run").replace("'", "\\'")
    words = [*SMALL, *HERE, "trainer.max_epochs=1", "logger=none"]
    status, _, err = answer("train", *words, f"hydra.run.dir='{quoted}'")
    assert status == 0, err
    status, _, err = answer("train", f"resume='{quoted}'", "trainer.max_epochs=2")
    assert status == 0, err
    assert os.listdir(folder) == ["run"]
    assert len((Path(folder) / "run" / "metrics.csv").read_text().splitlines()) == 3


def test_a_folder_whose_name_would_be_resolved_is_refused(answer, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "secret")
    run = tmp_path / f"${{oc.env:{VARIABLE}}}"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "last.ckpt").touch()
    (run / "overrides.yaml").write_text("[]")
    (run / "run.json").write_text('{"status": "interrupted"}')
    status, _, err = answer("train", f"resume={run}")
    assert status == 1
    assert "rename the folder" in err
    assert not list(tmp_path.rglob("*secret*"))
