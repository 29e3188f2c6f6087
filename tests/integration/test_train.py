"""Whole trainings on the synthetic set, small enough for two cores."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from segexp.checkpoints import open_model
from segexp.commands.train import train
from segexp.config import compose
from tests.conftest import HERE, PANELS, SMALL, table, trained

EIGHT = ["data.source.size=[64,64]", "data.source.count=8", "data.split.val=0.2", "data.split.test=0.2"]


def run(folder: Path, *overrides: str) -> Path:
    return trained(folder, *EIGHT, "trainer.max_epochs=2", PANELS, *overrides)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    return run(tmp_path_factory.mktemp("run"), "metrics=membrane")


def board(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0})
    events.Reload()
    return events


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def same_weights(one: Path, two: Path) -> bool:
    first, second = weights(one), weights(two)
    return all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_leaves_what_the_readme_says(finished):
    names = {path.name for path in finished.iterdir()}
    assert {"config.yaml", "overrides.yaml", "run.json", "results.json", "metrics.csv", "cases.csv", "figures"} <= names
    record = json.loads((finished / "run.json").read_text())
    assert record["status"] == "done"
    assert len(record["data_fingerprint"]) == 64
    assert record["packages"]["torch"] == torch.__version__
    config = yaml.safe_load((finished / "config.yaml").read_text())
    assert config["model"]["in_channels"] == 1  # resolved


def test_results_follow_from_the_rows_of_the_cases(finished):
    results = json.loads((finished / "results.json").read_text())
    rows = [row for row in table(finished / "cases.csv") if row["split"] == "test" and row["class"] == "membrane"]
    assert [row["case"] for row in rows] == results["cases"]["test"]
    mean = sum(float(row["dice"]) for row in rows) / len(rows)
    assert results["test"]["dice"] == pytest.approx(mean)
    assert results["headline"] == {
        "split": "test",
        "metric": "v_info",
        "value": results["test"]["v_info"],
        "higher_is_better": True,
        "note": "scored on whole test cases",
    }
    assert "fixed beforehand on other cases" in results["protocol"]["test"]["v_rand"]
    assert "over these same cases" in results["protocol"]["val"]["v_rand"]


def test_the_threshold_of_the_test_is_the_one_of_the_validation_cases(finished):
    results = json.loads((finished / "results.json").read_text())
    assert results["test"]["threshold"] == results["val"]["threshold"] == results["chosen_on_val"]["threshold"]


def test_one_row_per_epoch(finished):
    rows = table(finished / "metrics.csv")
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert [row["step"] for row in rows] == ["4", "8"]
    assert all(float(row["train/loss"]) > 0 and float(row["val/dice"]) >= 0 for row in rows)


def test_tensorboard_has_curves_pictures_and_the_real_final_figures(finished):
    events, results = board(finished), json.loads((finished / "results.json").read_text())
    tags = events.Tags()
    assert {"train/loss", "val/dice", "val/v_rand", "z_final/test_v_rand"} <= set(tags["scalars"])
    assert "hp_metric" not in tags["scalars"]
    assert events.Scalars("z_final/test_v_rand")[-1].value == pytest.approx(results["test"]["v_rand"], rel=1e-5)
    cases = [tag for tag in tags["images"] if "reliability" not in tag]
    assert [len(events.Images(tag)) for tag in cases] == [2, 2]  # two validation cases, first and last epoch
    assert set(tags["images"]) - set(cases) == {"z_reliability/val", "z_reliability/test"}


def test_reliability_diagrams_hold_all_pixels_of_their_side(finished):
    results = json.loads((finished / "results.json").read_text())
    for side in ("val", "test"):
        diagram = results["curves"][side]["reliability"]["membrane"]
        assert sum(diagram["pixels"]) == len(results["cases"][side]) * 64 * 64
        assert (finished / "figures" / f"reliability_{side}.png").is_file()


def test_pictures_show_four_panels(finished):
    results = json.loads((finished / "results.json").read_text())
    with Image.open(finished / "figures" / f"test_{results['cases']['test'][0]}.png") as picture:
        assert picture.size == (4 * 128 + 6, 128 + 16)  # 64 pixels, enlarged twofold


@pytest.mark.parametrize("name", ["last", "best"])
def test_checkpoints_load_without_trust_and_rebuild_the_network(finished, name):
    path = finished / "checkpoints" / f"{name}.ckpt"
    torch.load(path, weights_only=True)
    model = open_model(path)
    network, description = model.network, model.description
    assert description.class_names == ["interior", "membrane"]
    assert network(torch.zeros(1, 1, 40, 40)).shape == (1, 2, 40, 40)


def test_a_repeated_run_is_equal_bit_for_bit(finished, tmp_path):
    assert same_weights(finished, run(tmp_path, "metrics=membrane"))


def test_a_resumed_run_equals_the_unbroken_one(tmp_path):
    """Dropout, augmentation, optimizer and schedule all go on where they stopped."""
    common = ["model.dropout=0.3", "scheduler=poly", "augment=heavy", "callbacks.ema.enabled=true"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run(whole, *common, "trainer.max_epochs=4")

    class CutError(Exception):
        """What a power cut would be."""

    cfg = compose([*SMALL, *HERE, *EIGHT, *common, "trainer.max_epochs=4"], run_dir=broken)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(CutError):  # noqa: PT012
        from segexp.training.task import Task

        plain_step = Task.training_step

        def step(self, batch, batch_idx):
            if (self.current_epoch, batch_idx) == (2, 1):
                raise CutError
            return plain_step(self, batch, batch_idx)

        patch.setattr(Task, "training_step", step)
        train(cfg)
    assert json.loads((broken / "run.json").read_text())["status"] == "failed"
    run(broken, *common, "trainer.max_epochs=4", f"resume={broken}")
    assert same_weights(whole, broken)
    strip = {"seconds", "validation_seconds", "train/patches_per_second"}
    curves = [
        [{k: v for k, v in row.items() if k not in strip} for row in table(folder / "metrics.csv")]
        for folder in (whole, broken)
    ]
    assert curves[0] == curves[1]
    assert len(board(broken).Scalars("val/dice")) == 4


def test_averaged_weights_are_validated_and_kept(tmp_path):
    folder = run(tmp_path, "callbacks.ema.enabled=true", "callbacks.ema.decay=0.9")
    checkpoint = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    name = "network.head.0.weight"
    assert not torch.equal(checkpoint["state_dict"][name], checkpoint["current_model_state"][name])
    rows, results = table(folder / "metrics.csv"), json.loads((folder / "results.json").read_text())
    assert results["val"]["dice"] == pytest.approx(max(float(row["val/dice"]) for row in rows), abs=1e-5)


@pytest.mark.parametrize(
    "overrides",
    [
        ["loss=weighted_ce_2015", "optimizer=sgd", "scheduler=constant"],
        ["loss=focal", "optimizer=rmsprop", "scheduler=plateau", "inference=tiled_turns"],
        ["loss=tversky", "trainer.precision=bf16-mixed", "trainer.accumulate_grad_batches=2"],
        [
            "model=unet_2015",
            "model.base_channels=2",
            "model.depth=1",
            "data.sampling.patch_size=[36,36]",
            "data.sampling.mirror_margin=8",
        ],
        [
            "model=unet_3d",
            "data.geometry.spatial_dims=3",
            "data.source.size=[16,32,32]",
            "data.sampling.patch_size=[8,16,16]",
            "model.base_channels=2",
            "data.labels.num_classes=3",
            "data.labels.class_names=[interior,membrane,organelle]",
            "data.channels=2",
        ],
        ["trainer=debug", "loss=ce", "trainer.gradient_clip_val=1"],
        ["data.split.test=0", "data.sampling.num_workers=2"],
        ["data.split.fold=1", "data.split.folds=4"],
    ],
    ids=lambda overrides: overrides[0] + " " + overrides[1],
)
def test_choices_train(tmp_path, overrides):
    folder = run(tmp_path, "trainer.max_epochs=1", *overrides)
    results = json.loads((folder / "results.json").read_text())
    assert 0 <= results["headline"]["value"] <= 1
    assert results["headline"]["split"] == ("val" if "data.split.test=0" in overrides else "test")


def test_a_diverged_run_fails_with_a_remedy_and_says_so_in_its_record(tmp_path):
    with pytest.raises(ValueError, match="training diverged at step .*; lower optimizer.lr"):
        run(tmp_path, "optimizer=sgd", "optimizer.lr=1e30", "model.norm=none")
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["status"] == "failed"
    assert "diverged" in record["why"]


@pytest.mark.slow
def test_learning_beats_a_threshold_on_gray(tmp_path):
    """Twenty seconds of training find most membranes of unseen cells."""
    folder = tmp_path
    train(compose([*HERE, "trainer.max_epochs=3"], run_dir=folder))
    assert json.loads((folder / "results.json").read_text())["test"]["dice"] > 0.8


@pytest.mark.parametrize(
    "words",
    [
        ["callbacks.best.enabled=false", "callbacks.table.enabled=false", "~callbacks.panels"],
        ["~callbacks.best", "~callbacks.last", "~callbacks.table", "callbacks.panels.enabled=false"],
        ["monitor=val/loss"],
        ["monitor=train/loss", "trainer.check_val_every_n_epoch=5"],
    ],
)
def test_parts_may_be_off_and_the_run_ends_well(tmp_path, words):
    folder = run(tmp_path, "logger=none", *words)
    results = json.loads((folder / "results.json").read_text())
    assert results["headline"]["metric"] == ("loss" if "monitor" in words[0] else "dice")
    assert results["headline"]["value"] == pytest.approx(results["test"][results["headline"]["metric"]])
    kept = sorted(path.name for path in folder.glob("checkpoints/*"))
    assert [name for name in kept if name not in ("last.ckpt", "previous.ckpt")] == ["best.ckpt"] * (
        "monitor" in words[0]
    )
    assert results["training"]["epochs"] == 2
