"""Losses, heads and metrics that are chosen on the command line, through a whole training."""

import csv
import json

import numpy as np
import pytest
import torch

from segexp.build import build_data
from segexp.checkpoints.checkpoint import open_model
from segexp.commands.train import train
from segexp.config import compose
from tests.conftest import HERE, TINY, table, trained


def run(folder, *words):
    trained(folder, "trainer.max_epochs=2", "logger=none", *words)
    epochs = [{name: float(value) for name, value in row.items()} for row in table(folder / "metrics.csv")]
    return json.loads((folder / "run.json").read_text()), json.loads((folder / "results.json").read_text()), epochs


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deep")
    words = ["model.deep_supervision=1", "deep_supervision.weights=[1.0,0.0]"]
    return folder, run(folder, "loss=compound", "loss.terms.ce=2", "loss.terms.dice=0.5", *words)


def test_each_term_of_a_compound_loss_is_logged_unweighted(deep):
    _, (_, _, epochs) = deep
    for epoch in epochs:
        for side in ("train", "val"):  # the second head has weight 0, so the loss is that of the first
            parts = 2 * epoch[f"{side}/loss_ce"] + 0.5 * epoch[f"{side}/loss_dice"]
            assert epoch[f"{side}/loss"] == pytest.approx(parts, rel=1e-4)


def test_a_network_with_several_heads_comes_back_from_its_checkpoint_with_the_finest_in_front(deep):
    folder, _ = deep
    model = open_model(folder / "checkpoints" / "best.ckpt")
    network, description = model.network, model.description
    assert description.model["deep_supervision"] == 1
    image = torch.randn(1, 1, 40, 40)
    with torch.no_grad():
        logits = network(image)
        heads = network(image, every_head=True)
    assert logits.shape == (1, 2, 40, 40)
    assert torch.equal(logits, heads[0])
    assert heads[1].shape[2:] == (20, 20)


def test_further_heads_learn(tmp_path):
    _, _, epochs = run(tmp_path, "model.deep_supervision=1", "loss=ce", "trainer.max_epochs=4", "optimizer.lr=0.01")
    assert epochs[-1]["train/loss"] < 0.9 * epochs[0]["train/loss"]


def test_weights_auto_are_balanced_by_the_training_cases_alone(tmp_path):
    record, _, _ = run(tmp_path, "loss=ce", "loss.class_weights=auto", "trainer.max_epochs=1")
    weights = np.array(record["class_weights"])
    data = build_data(record["config"])
    data.setup()
    masks = [prepared.case.target for prepared in data.cases("train")]
    assert len(masks) == 3
    shares = np.array([np.mean([(mask == label).mean() for mask in masks]) for label in (0, 1)])
    assert weights[1] / weights[0] == pytest.approx(shares[0] / shares[1], rel=1e-4)
    assert (weights * shares).sum() == pytest.approx(1, rel=1e-4)


def test_weights_auto_of_regions_and_a_compound_loss(tmp_path):
    three = ["data.labels.num_classes=3", "data.labels.class_names=[interior,membrane,organelle]"]
    regions = "data.labels.regions={tissue: [1, 2], organelle: [2]}"
    record, _, epochs = run(
        tmp_path, *three, regions, "loss=dice_bce", "loss.parts.bce.region_weights=auto", "trainer.max_epochs=1"
    )
    assert record["class_weights"][1] > record["class_weights"][0]
    assert {"train/loss_dice", "train/loss_bce"} <= set(epochs[0])


def test_metrics_chosen_together_stand_in_one_table(tmp_path):
    groups = "metrics=[overlap,surface,ranking,objects,centerline]"
    _, results, _ = run(tmp_path, groups, "trainer.max_epochs=1")
    with (tmp_path / "cases.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6, "one row per case and class"
    wanted = {"dice", "specificity", "volume_difference", "ece", "hd95_px", "assd_px", "nsd_1px", "roc_auc"}
    wanted |= {"average_precision", "object_f1", "object_ap", "cldice"}
    assert wanted <= set(rows[0])
    assert wanted <= set(results["protocol"]["test"])
    for name in wanted:
        values = [float(row[name]) for row in rows if row["split"] == "test"]
        defined = [value for value in values if value == value]
        assert results["undefined"]["test"][f"{name}_membrane"] == len(values) - len(defined)
        if defined:
            assert results["test"][name] == pytest.approx(np.mean(defined))


def test_millimetres_are_refused_where_the_files_tell_none(tmp_path):
    with pytest.raises(
        ValueError, match=r"tells no size of a pixel in mm, but data.geometry.distance_unit=mm: set it to px"
    ):
        run(tmp_path, "data.geometry.distance_unit=mm")


def test_loss_metric_data_and_callback_of_others_in_one_training(tmp_path, monkeypatch):
    (tmp_path / "own_parts.py").write_text(OWN_PARTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    words = [
        "data=torch_dataset",
        "data.source.dataset={_target_: own_parts.Squares}",
        "loss=custom",
        "loss._target_=torch.nn.CrossEntropyLoss",
        "+loss.label_smoothing=0.1",
        "+metrics.jaccard={_target_: torchmetrics.JaccardIndex, task: multiclass, num_classes: 2, average: none}",
        "monitor=val/jaccard",
        "+callbacks.own={_target_: own_parts.Counting}",
    ]
    train(compose([*TINY, *HERE, *words, "trainer.max_epochs=2", "logger=none"], run_dir=tmp_path / "run"))
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["headline"]["metric"] == "jaccard"
    assert results["headline"]["higher_is_better"]
    assert results["test"]["jaccard"] == pytest.approx(results["test"]["iou"], abs=1e-6)
    assert all("jaccard" in row for row in table(tmp_path / "run" / "cases.csv"))
    assert [row["epochs_begun"] for row in table(tmp_path / "run" / "metrics.csv")] == ["1.0", "2.0"]


OWN_PARTS = """
import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import Dataset


class Squares(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        mask = np.zeros((48, 48), np.uint8)
        row, column = rng.integers(4, 24, 2)
        mask[row : row + 18, column : column + 18] = 1
        return torch.from_numpy(rng.normal(0, 1, mask.shape) + 2 * mask).float()[None], torch.from_numpy(mask)


class Counting(pl.Callback):
    def on_train_epoch_end(self, trainer, pl_module):
        self.log("epochs_begun", trainer.current_epoch + 1.0)
"""
