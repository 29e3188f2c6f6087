"""Runs by minutes, short ones."""

import json
import time

import pytest
import torch

from tests.conftest import table, trained


@pytest.fixture(scope="module")
def timed(tmp_path_factory):
    """A run of twelve seconds, with what it took."""
    begin = time.monotonic()
    folder = trained(tmp_path_factory.mktemp("run") / "run", "minutes=0.2", "callbacks.ema.enabled=true")
    return folder, time.monotonic() - begin


def content(folder, name):
    return json.loads((folder / name).read_text())


def last(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.mark.slow
def test_a_run_ends_in_its_minutes_with_its_schedule_run_out_validated_and_scored(timed):
    folder, seconds = timed
    assert seconds <= 0.2 * 60 * 1.05 + 10
    clock, results = content(folder, "run.json")["clock"], content(folder, "results.json")
    rows = table(folder / "metrics.csv")
    assert len(rows) == clock["epochs"] == results["training"]["epochs"] >= 2
    assert int(rows[-1]["step"]) == clock["steps"]
    assert rows[-1]["val/dice"] != ""
    (schedule,) = last(folder)["lr_schedulers"]
    assert schedule["_last_lr"] == pytest.approx([0.0])
    assert results["training"]["clock"] == clock
    assert results["training"]["ended_by"] == "as many as fit into minutes=0.2"
    assert results["test"]["dice"] is not None


@pytest.mark.slow
def test_a_run_is_made_again_bit_for_bit_changes_included(timed, tmp_path):
    folder, _ = timed
    again = trained(tmp_path / "again", f"minutes={folder}", "callbacks.ema.enabled=true")
    one, two = content(folder, "run.json")["clock"], content(again, "run.json")["clock"]
    assert one == two
    first, second = last(folder), last(again)
    assert all(torch.equal(first["state_dict"][name], weight) for name, weight in second["state_dict"].items())
    assert [row["val/dice"] for row in table(folder / "metrics.csv")] == [
        row["val/dice"] for row in table(again / "metrics.csv")
    ]


@pytest.mark.slow
def test_a_finished_run_is_trained_longer_with_more_minutes(timed):
    folder, _ = timed
    before = content(folder, "run.json")["clock"]
    spent = last(folder)["clock"]["spent"]
    trained(folder, "callbacks.ema.enabled=true", f"resume={folder}", "minutes=0.25")
    clock = content(folder, "run.json")["clock"]
    assert clock["epochs"] > before["epochs"]
    assert clock["patches_per_epoch"] == before["patches_per_epoch"]
    assert len(table(folder / "metrics.csv")) == clock["epochs"]
    assert spent < last(folder)["clock"]["spent"] <= 0.25 * 60 * 1.05 + 10


@pytest.mark.slow
def test_a_run_by_epochs_goes_on_by_minutes(tmp_path):
    folder = trained(tmp_path / "run", "trainer.max_epochs=2")
    trained(folder, f"resume={folder}", "minutes=0.1")
    clock = content(folder, "run.json")["clock"]
    assert clock["epochs"] == len(table(folder / "metrics.csv")) > 2
    assert clock["patches_per_epoch"] == 16
