"""Grids of Hydra's own launcher, which runs the jobs in this process."""

import json

import pytest

from tests.conftest import SMALL, only, sentence, table

BASIC = ["-m", "hydra/launcher=basic", "hydra.sweep.dir=sweep"]
QUICK = [*SMALL, "data.sampling.patches_per_epoch=8", "model.depth=1", "trainer=cpu", "trainer.max_epochs=1"]
QUIET = ["logger=none", "callbacks.progress.enabled=false", "callbacks.panels.enabled=false"]
FAILS = "model.base_channels=0,4,-1"


def grid(answer, *words: str) -> tuple[int, str, str]:
    quick = [word for word in QUICK if not word.startswith("model.base_channels")]
    return answer("train", *BASIC, *words, *quick, *QUIET)


@pytest.mark.parametrize("most", [1, 2])
def test_a_grid_in_batches_goes_on_after_a_failure_and_is_summed_up_once(answer, tmp_path, most):
    status, told, said = grid(answer, FAILS, f"hydra.sweeper.max_batch_size={most}")
    assert (status, told.count("one row per experiment")) == (1, 1)
    rows = table(tmp_path / "sweep" / "summary.csv")
    assert [(row["model.base_channels"], row["runs"]) for row in rows] == [
        ("0", "0 of 1"),
        ("4", "1 of 1"),
        ("-1", "0 of 1"),
    ]
    scores = json.loads((tmp_path / "sweep" / "1" / "results.json").read_text())
    assert float(rows[1]["mean"]) == pytest.approx(scores["headline"]["value"])
    rule = "must be an integer of at least 1"
    assert [line for line in said.splitlines() if "failed" in line or line.startswith("job")] == [
        f"segexp train: job 0 failed: model.base_channels=0 {rule}",
        f"segexp train: job 2 failed: model.base_channels=-1 {rule}",
        "segexp train: 2 of 3 jobs failed",
        f"job 0 (sweep/0): model.base_channels=0 {rule}",
        f"job 2 (sweep/2): model.base_channels=-1 {rule}",
    ]


def test_with_fail_fast_no_batch_follows_a_failure(answer, tmp_path):
    status, _, said = grid(answer, FAILS, "hydra.sweeper.max_batch_size=1", "sweep.fail_fast=true")
    assert (status, (tmp_path / "sweep" / "1").exists()) == (1, False)
    assert "1 of 3 jobs failed; 2 were not started (sweep.fail_fast)" in said


def test_the_jobs_of_a_grid_share_one_folder_and_repeat_over_seeds(answer, tmp_path):
    words = [word for word in QUICK if not word.startswith("data.split.val")]
    assert answer("train", *BASIC[:2], "data.split.val=3-5", "sweep.seeds=[1,2]", *words, *QUIET)[0] == 0
    folder = only(tmp_path / "outputs", "sweep*")
    assert [row["runs"] for row in table(folder / "summary.csv")] == ["2 of 2"]
    records = [json.loads((folder / str(number) / "run.json").read_text()) for number in range(2)]
    assert [record["config"]["seed"] for record in records] == [1, 2]


@pytest.mark.parametrize("launcher", ["basic", "local"])
@pytest.mark.parametrize("most", [0, "a"])
def test_batches_of_no_number_are_refused(answer, launcher, most):
    said = sentence(answer, "-m", f"hydra/launcher={launcher}", f"hydra.sweeper.max_batch_size={most}", "seed=1,2")
    assert said.startswith(f"segexp train: hydra.sweeper.max_batch_size={most!r} must be an integer of at least 1")
