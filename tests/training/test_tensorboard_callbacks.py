"""What runs show in TensorBoard and in other loggers, read back from what they wrote."""

import json
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import precision_recall_curve
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from tensorboard.summary.writer import event_file_writer

from segexp.training.loggers import TensorBoard
from segexp.training.tensorboard_callbacks import PrecisionRecall, count_by_threshold, precision_recall
from tests.conftest import PANELS, trained


def board(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0, "tensors": 0})
    events.Reload()
    return events


def results(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())


# Precision against recall


def test_counts_follow_scikit_learn():
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(0, 2, (2, 20, 20), generator=generator)
    target[0, :3] = 255
    inside = torch.randint(0, 65, target.shape, generator=generator) / 64  # on the thresholds
    probs = torch.stack([1 - inside, inside], dim=1)
    ((false, true),) = count_by_threshold(probs, target, 65).numpy()
    _, _, _, _, precision, recall = precision_recall(true, false)
    known = target != 255
    theirs = precision_recall_curve(target[known], inside[known])
    at = np.round(theirs[2] * 64).astype(int)
    np.testing.assert_allclose(precision[at], theirs[0][:-1])
    np.testing.assert_allclose(recall[at], theirs[1][:-1])


def test_regions_count_each_for_itself_and_unlabelled_pixels_do_not():
    probs = torch.tensor([[[0.0, 0.6, 1.0]], [[0.4, 0.4, 0.4]]])[None, :, 0]  # two regions, three pixels
    target = torch.tensor([[[1, 0, 1], [255, 1, -1]]])
    counts = count_by_threshold(probs, target, 3)
    assert counts.tolist() == [[[0, 1, 0], [1, 0, 1]], [[0, 0, 0], [1, 0, 0]]]


@pytest.mark.parametrize("thresholds", [1, 128])
def test_a_number_of_thresholds_that_cannot_be_drawn_is_refused(thresholds):
    with pytest.raises(ValueError, match=f"thresholds={thresholds} must be"):
        PrecisionRecall(thresholds)


# TensorBoard


@pytest.fixture(scope="module")
def resumed(tmp_path_factory) -> Path:
    """A run that ended well, then went on for two epochs more."""
    folder = tmp_path_factory.mktemp("run")
    trained(folder, "trainer.max_epochs=2", PANELS, "callbacks.panels.saved=2")
    time.sleep(1)  # as between two processes: TensorBoard knows files by the second they begin in
    return trained(folder, "trainer.max_epochs=4", PANELS, "callbacks.panels.saved=2", f"resume={folder}")


def test_a_resumed_run_shows_nothing_twice(resumed):
    events = board(resumed)
    tags = events.Tags()
    assert [point.step for point in events.Scalars("val/dice")] == [3, 7, 11, 15]
    assert [point.step for point in events.Scalars("train/lr")] == [0, 4, 8, 12]
    for tag in (name for name in tags["scalars"] if name.startswith("final")):
        assert [point.step for point in events.Scalars(tag)] == [16], tag
    assert "epoch" not in tags["scalars"]
    once = {"configuration/text_summary", "custom_scalars__config__", "val/membrane"}
    assert once <= set(tags["tensors"])
    assert all(len(events.Tensors(tag)) == 1 for tag in once)
    text = events.Tensors("configuration/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "max_epochs: 4" in text


def test_hyperparameters_are_those_of_the_last_end_without_a_list_that_other_runs_would_take_over(resumed):
    contents = board(resumed).PluginTagToContent("hparams")
    assert set(contents) == {metadata.SESSION_START_INFO_TAG, metadata.SESSION_END_INFO_TAG}
    start = metadata.parse_session_start_info_plugin_data(contents[metadata.SESSION_START_INFO_TAG])
    assert start.hparams["run.max_epochs"].number_value == 4
    assert start.hparams["loss"].string_value == "dice_ce"


def test_final_figures_are_read_after_curves_of_the_same_second(tmp_path, monkeypatch):
    """By name, the tenth file of a second and a process stands before the ninth; that drops what lies after it."""
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(9))
    monkeypatch.setattr(event_file_writer, "time", SimpleNamespace(time=lambda: 1_800_000_000.0))
    logger = TensorBoard(str(tmp_path), purge_step=8)
    logger.log_metrics({"val/dice": 0.5}, 11)
    logger.log_end({"loss": "dice"}, {"z_final/dice": 0.5}, 16)
    logger.finalize("success")
    events = board(tmp_path)
    assert [point.step for tag in ("val/dice", "z_final/dice") for point in events.Scalars(tag)] == [11, 16]


def test_final_figures_are_those_of_the_results(resumed):
    events, final = board(resumed), results(resumed)
    for side in ("val", "test"):
        for name in ("dice", "iou", "precision", "recall"):
            shown = events.Scalars(f"z_final/{side}_{name}")[0].value
            assert shown == pytest.approx(final[side][name], rel=1e-5)


def test_pixels_of_the_curve_are_those_of_the_pooled_dice(resumed):
    (point,) = board(resumed).Tensors("val/membrane")
    hit, invented, rejected, missed = np.array(point.tensor_proto.float_val).reshape(6, -1)[:4]
    assert hit[0] + invented[0] + rejected[0] + missed[0] == 3 * 48 * 48
    dice = 2 * hit / (2 * hit + invented + missed)
    assert dice[50] == pytest.approx(results(resumed)["val"]["dice_pooled_membrane"], abs=0.02)  # at 0.5: the argmax


def test_saved_says_how_many_pictures_are_kept(resumed):
    names = sorted(path.name for path in (resumed / "figures").glob("*_cells_*"))
    assert names == ["test_cells_0006.png", "test_cells_0007.png", "val_cells_0003.png", "val_cells_0004.png"]


def test_there_is_no_second_account_of_hyperparameters(resumed):
    assert not (resumed / "hparams.yaml").exists()
    assert len(list(resumed.glob("*.tfevents.*.end"))) == 1


# Other loggers


@pytest.mark.parametrize("logger", ["none", "csv"])
def test_a_run_without_logger_leaves_its_figures(tmp_path, logger):
    trained(tmp_path, PANELS, f"logger={logger}", "trainer.max_epochs=1")
    assert 0 <= results(tmp_path)["headline"]["value"] <= 1
    assert {"metrics.csv", "figures"} <= {path.name for path in tmp_path.iterdir()}
    assert not list(tmp_path.rglob("*tfevents*"))
    assert not (tmp_path / "lightning_logs").exists()


@pytest.mark.filterwarnings("default")  # of the library
def test_mlflow_gets_curves_pictures_and_final_figures(tmp_path):
    tracking = pytest.importorskip("mlflow.tracking")
    trained(tmp_path / "run", "logger=mlflow", PANELS, "trainer.max_epochs=1", f"paths.output_dir={tmp_path}")
    client = tracking.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (kept,) = client.search_runs([client.get_experiment_by_name("test").experiment_id])
    assert kept.info.status == "FINISHED"
    assert kept.data.params["loss"] == "dice_ce"
    assert kept.data.metrics["z_final/test_dice"] == pytest.approx(results(tmp_path / "run")["test"]["dice"])
    assert {"train/loss", "val/dice", "train/lr"} <= set(kept.data.metrics)
    assert list((tmp_path / "mlartifacts").rglob("val.cells_0003*.png"))


@pytest.mark.filterwarnings("default")  # of the library
def test_wandb_keeps_a_run_without_a_network(tmp_path):
    pytest.importorskip("wandb")
    trained(tmp_path, "logger=wandb", PANELS, "trainer.max_epochs=1")
    (kept,) = (tmp_path / "wandb").glob("offline-run-*")
    content = next(kept.glob("*.wandb")).read_bytes()
    assert b"z_final/test_dice" in content
    assert b"run.max_epochs" in content
    assert list(kept.rglob("media/images/val/cells_0003*.png"))
