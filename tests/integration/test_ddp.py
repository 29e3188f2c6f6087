"""Two processes (gloo) do what one does with the same global batch."""

import json
from pathlib import Path

import pytest
import torch

from tests.conftest import ROOT, SMALL, python, table, trained

WORDS = [  # three test cases on two processes: one of them scores two, the other one
    *SMALL,
    "model.norm=group",  # batch norm would see half the batch in each process
    "loss=ce",
    "metrics=membrane",
    "trainer.max_epochs=2",
]


def run(folder: Path, trainer: str, *more: str) -> Path:
    if trainer == "cpu":
        return trained(folder / "run", *WORDS, *more)
    done = python(folder, ROOT / "train.py", f"trainer={trainer}", *WORDS, *more)
    assert done.returncode == 0, done.stderr
    (made,) = (folder / "outputs" / "synthetic-unet_tiny").iterdir()  # one run folder, whatever the processes
    return made


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> tuple[Path, Path]:
    return run(tmp_path_factory.mktemp("one"), "cpu"), run(tmp_path_factory.mktemp("two"), "ddp_cpu")


def test_each_case_is_scored_once(runs):
    for folder in runs:
        rows = [row for row in table(folder / "cases.csv") if row["class"] == "membrane"]
        cases = [row["case"] for row in rows]
        assert len(cases) == len(set(cases)) == 6


def test_the_processes_learn_from_the_same_patches_as_one(runs):
    """Averaged gradients of two half batches are the gradient of the whole batch: the same weights come out."""
    one, two = (torch.load(f / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for f in runs)
    assert one.keys() == two.keys()
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, atol=2e-4, rtol=1e-3)


def test_the_figures_are_the_same(runs):
    one, two = (table(folder / "metrics.csv") for folder in runs)
    for first, second in zip(one, two, strict=True):
        assert first["step"] == second["step"]
        assert float(second["train/loss"]) == pytest.approx(float(first["train/loss"]), abs=1e-4)
    results = [json.loads((folder / "results.json").read_text()) for folder in runs]
    assert results[1]["test"]["dice"] == pytest.approx(results[0]["test"]["dice"], abs=5e-3)
    assert results[1]["cases"] == results[0]["cases"]


def test_only_the_first_process_writes(runs):
    record = json.loads((runs[1] / "run.json").read_text())
    assert record["status"] == "done"
    assert [row["epoch"] for row in table(runs[1] / "metrics.csv")] == ["0", "1"]
    assert len(list(runs[1].glob("events.out.tfevents.*.0"))) == 1


@pytest.mark.slow
def test_processes_without_a_case_of_their_own_change_no_score(tmp_path):
    """One validation and one test case on two processes."""
    few = ["data.split.val=3", "data.split.test=6"]
    found = {}
    for trainer in ("cpu", "ddp_cpu"):
        (tmp_path / trainer).mkdir()
        found[trainer] = run(tmp_path / trainer, trainer, *few)
    one, two = (json.loads((folder / "results.json").read_text()) for folder in found.values())
    for split in ("val", "test"):
        assert len(two["cases"][split]) == 1
        assert two[split]["dice"] == pytest.approx(one[split]["dice"], abs=5e-3)
    losses = [[float(row["val/loss"]) for row in table(folder / "metrics.csv")] for folder in found.values()]
    assert losses[1] == pytest.approx(losses[0], abs=1e-3)
