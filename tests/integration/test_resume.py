"""Runs that are gone on with: moved, changed, refused."""

import json
import shutil

import pytest
import torch

from segexp.commands.train import train
from segexp.config import compose
from segexp.runs.files import write_json
from segexp.runs.folder import RunFolder
from tests.conftest import HERE, table, trained, write_pairs

TWO = "trainer.max_epochs=2"


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("done") / "run", TWO, "scheduler=constant", "optimizer.lr=1e-3")


@pytest.fixture
def run(done, tmp_path):
    """A copy of a finished run, elsewhere."""
    return shutil.copytree(done, tmp_path / "moved")


def again(folder, *overrides):
    """Resume as the command line does: the overrides of the run, then the new ones."""
    return trained(folder, TWO, "scheduler=constant", "optimizer.lr=1e-3", f"resume={folder}", *overrides)


def files(folder):
    return {
        path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "tfevents" not in path.name
    }


def test_a_refused_resume_leaves_every_file_as_it_was(run):
    before = files(run)
    for words in (["model.depth=3"], ["optimizer.lr=3"], ["data.source.count=12", "data.split.val=0-2"]):
        with pytest.raises(ValueError, match="resume="):
            again(run, "trainer.max_epochs=3", *words)
        assert files(run) == before


def test_a_resume_that_fails_later_leaves_a_finished_run_finished(run):
    before = files(run)
    with pytest.raises(Exception, match="no_such"):
        again(run, "trainer.max_epochs=3", "+callbacks.mine._target_=no_such.Callback", "allow_changes=[callbacks]")
    assert files(run) == before


def test_a_moved_run_keeps_its_best(done, tmp_path):
    """The first epoch was better than all that follow a learning rate of nearly nothing."""
    moved = shutil.copytree(done, tmp_path / "moved")
    best = torch.load(done / "checkpoints" / "best.ckpt", weights_only=True)
    (score,) = [state["best_model_score"] for state in best["callbacks"].values() if state.get("monitor") == "val/dice"]
    again(moved, "trainer.max_epochs=4", "optimizer.lr=1e-12", "allow_changes=[optimizer.lr]")
    rows = table(moved / "metrics.csv")
    best_epoch = max(range(4), key=lambda epoch: float(rows[epoch]["val/dice"]))
    results = json.loads((moved / "results.json").read_text())
    assert results["chosen_on_val"]["epoch"] == best_epoch
    kept = torch.load(moved / "checkpoints" / "best.ckpt", weights_only=True)
    assert max(float(row["val/dice"]) for row in rows) >= float(score) - 1e-6
    assert kept["epoch"] == best_epoch


def test_allowed_settings_are_used_and_recorded(run):
    again(run, "trainer.max_epochs=4", "optimizer.lr=5e-4", "allow_changes=[optimizer.lr]")
    assert [float(row["lr"]) for row in table(run / "metrics.csv")] == pytest.approx([1e-3, 1e-3, 5e-4, 5e-4])
    assert RunFolder(run).config()["optimizer"]["lr"] == 5e-4
    assert RunFolder(run).record()["changed"]["optimizer.lr"] == [1e-3, 5e-4]
    last = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["optimizer_states"][0]["param_groups"][0]["initial_lr"] == 5e-4


@pytest.mark.slow
def test_a_schedule_keeps_its_place_where_an_epoch_has_other_steps(tmp_path):
    words = ["scheduler=cosine", "scheduler.warmup=0", "optimizer.lr=1e-2"]
    folder = trained(tmp_path / "run", TWO, *words)
    changed = ["data.sampling.batch_size=16", "allow_changes=[data.sampling.batch_size]"]
    trained(folder, *words, "trainer.max_epochs=4", f"resume={folder}", *changed)
    rates = [float(row["lr"]) for row in table(folder / "metrics.csv")]
    # After each epoch, half a cosine over four epochs has fallen by this much.
    assert rates[2] == pytest.approx(1e-2 * (1 - 2**-0.5) / 2, rel=1e-3)
    assert rates[3] == pytest.approx(0, abs=1e-9)


@pytest.mark.slow
def test_patience_is_that_of_the_configuration(tmp_path):
    words = ["scheduler=constant", "callbacks.early_stopping.enabled=true", "callbacks.early_stopping.min_delta=1"]
    folder = trained(tmp_path / "run", *words, "trainer.max_epochs=9", "callbacks.early_stopping.patience=1")
    record = RunFolder(folder).record()
    trained_before = len(table(folder / "metrics.csv"))
    assert f"{trained_before} of 9 epochs trained (early stopping: Monitored metric val/dice" in record["why"]
    assert "3 of 3 val and 3 of 3 test cases scored" in record["why"]
    more = ["trainer.max_epochs=10", "callbacks.early_stopping.patience=4", f"resume={folder}"]
    trained(folder, *words, *more)
    assert len(table(folder / "metrics.csv")) > trained_before + 1


def test_limits_are_told(tmp_path):
    folder = trained(tmp_path / "run", TWO, "trainer.limit_test_batches=2", "trainer.max_epochs=1")
    results = json.loads((folder / "results.json").read_text())
    assert results["scored"] == {"val": [3, 3], "test": [2, 3]}
    assert results["limits"] == {"limit_test_batches": 2}
    assert "2 of 3 whole test cases" in results["headline"]["note"]
    assert "limits in force: trainer.limit_test_batches=2" in RunFolder(folder).record()["why"]


def test_results_of_a_run_that_goes_on_do_not_count(run):
    record = json.loads((run / "run.json").read_text())
    assert RunFolder(run).results()
    write_json(run / "run.json", record | {"status": "running"})
    assert RunFolder(run).results() == {}


def test_a_best_checkpoint_that_was_replaced_is_not_scored(run):
    last = run / "checkpoints" / "last.ckpt"
    content = torch.load(last, weights_only=True)
    for state in content["callbacks"].values():
        if state.get("monitor") == "val/dice":
            state["best_model_score"] = torch.tensor(0.999)
            state["best_k_models"] = dict.fromkeys(state["best_k_models"], torch.tensor(0.999))
    torch.save(content, last)
    with pytest.raises(ValueError, match=r"best\.ckpt holds epoch \d with val/dice=.*, but the best epoch had 0\.999"):
        again(run, "trainer.max_epochs=3", "optimizer.lr=1e-12", "allow_changes=[optimizer.lr]")


def test_a_data_set_that_grew_is_refused_and_told_how_to_go_on(tmp_path):
    pairs = write_pairs(tmp_path / "pairs", 11)
    hidden = [path for path in pairs.rglob("*.png") if path.stem in ("scan_0", "scan_1", "scan_10")]
    kept_aside = {path.with_name(f"a_{path.name}"): path.read_bytes() for path in hidden}
    for path in hidden:
        path.unlink()
    words = ["data=folder", f"data.source.images={pairs}/images", f"data.source.masks={pairs}/masks"]
    small = [f"data.sampling.{key}" for key in ("patch_size=[32,32]", "patches_per_epoch=16", "batch_size=4")]
    words += [*small, "data.split.val=0.25", "data.split.test=0.25"]
    network = ["model.base_channels=4", "model.depth=2", "trainer.precision=32-true", *HERE]
    folder = tmp_path / "run"
    train(compose([*words, *network, "trainer.max_epochs=1"], run_dir=folder))
    split = RunFolder(folder).record()["split"]
    for path, content in kept_aside.items():
        path.write_bytes(content)
    more = [*words, *network, "trainer.max_epochs=2", f"resume={folder}"]
    with pytest.raises(ValueError, match="cases would change their split") as refused:
        train(compose(more, run_dir=folder))
    kept = ["data.split.method=list", f"data.split.lists={folder}/run.json", "allow_changes=[data]"]
    assert f"keep it with {' '.join(kept)}" in str(refused.value)
    assert RunFolder(folder).record()["status"] == "done"
    train(compose([*more, *kept], run_dir=folder))
    assert RunFolder(folder).record()["split"] == split
    assert RunFolder(folder).record()["status"] == "done"


def test_a_checkpoint_of_another_run_is_refused(run, tmp_path):
    other = trained(tmp_path / "other", TWO, "scheduler=constant", "optimizer.lr=1e-3", "seed=1")
    shutil.copy(other / "checkpoints" / "last.ckpt", run / "checkpoints")
    before = files(run)
    with pytest.raises(ValueError, match=r"last\.ckpt was written by another run"):
        again(run, "trainer.max_epochs=3")
    assert files(run) == before


def test_a_run_without_its_record_is_not_resumed(run):
    (run / "run.json").unlink()
    with pytest.raises(ValueError, match=r"no run\.json"):
        again(run, "trainer.max_epochs=3")
