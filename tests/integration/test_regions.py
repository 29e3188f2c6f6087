"""Whole trainings with overlapping regions, from the override to the checkpoint."""

import csv
import json
from pathlib import Path

import pytest
import torch
from hydra.errors import InstantiationException
from PIL import Image
from torch.nn.functional import binary_cross_entropy

from segexp.build import build_data, build_task
from segexp.checkpoints import open_model
from segexp.commands.train import train
from segexp.config import compose, plain
from segexp.inference import TiledPredictor
from tests.conftest import HERE, PANELS, SMALL, table

REGIONS = "data.labels.regions={tissue: [1, 2], organelle: [2]}"
WORDS = [
    *SMALL,
    PANELS,
    *HERE,
    "data.source.size=[64,64]",
    "data.labels.num_classes=3",
    "data.labels.class_names=[interior,membrane,organelle]",
    "data.sampling.patches_per_epoch=64",
    "data.sampling.foreground_fraction=0.5",
    "model.base_channels=8",
    "trainer.max_epochs=6",
    "optimizer.lr=5e-3",
]

SHORT = ["trainer.max_epochs=1", "data.sampling.patches_per_epoch=8", "model.base_channels=2"]


def small(*overrides: str, folder: Path | str = "unused") -> dict:
    return compose([*WORDS, *overrides], run_dir=folder)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    train(small(REGIONS, "loss=bce", folder=folder))
    return folder


def test_regions_are_learnt(finished):
    losses = [float(row["train/loss"]) for row in table(finished / "metrics.csv")]
    assert losses[-1] < 0.7 * losses[0]
    results = json.loads((finished / "results.json").read_text())
    data = build_data(plain(small(REGIONS, "loss=bce")))
    data.setup()
    share = (torch.cat([batch["target"] for batch in data.test_dataloader()]) == 1).float().mean((0, 2, 3))
    everywhere = 2 * share / (1 + share)  # Dice of a prediction that claims every pixel
    for name, chance in zip(("tissue", "organelle"), everywhere.tolist(), strict=True):
        assert results["test"][f"dice_{name}"] > chance + 0.1
    assert set(results["undefined"]["test"]) >= {"dice_tissue", "dice_organelle"}
    assert {"dice_pooled_tissue", "dice_pooled_organelle"} <= set(results["test"])
    assert "region" in results["protocol"]["test"]["dice"]
    assert not any("membrane" in name for name in results["test"])


def test_cases_and_pictures_are_of_regions(finished):
    with (finished / "cases.csv").open(newline="") as file:
        assert {row["class"] for row in csv.DictReader(file)} == {"tissue", "organelle"}
    case = json.loads((finished / "results.json").read_text())["cases"]["test"][0]
    with Image.open(finished / "figures" / f"test_{case}.png") as picture:
        assert picture.size == (4 * 128 + 6, 128 + 16)  # 64 pixels, enlarged twofold


def test_checkpoint_is_enough_to_predict_and_gives_the_validation_loss(finished):
    model = open_model(finished / "checkpoints" / "last.ckpt")
    network, description = model.network, model.description
    assert description.regions == {"tissue": [1, 2], "organelle": [2]}
    assert description.activation == "sigmoid"
    predictor = TiledPredictor(tile=description.patch_size, activation=description.activation)
    data = build_data(plain(small(REGIONS, "loss=bce")))
    data.setup()
    batches = list(data.val_dataloader())
    losses = [binary_cross_entropy(predictor(network, b["image"]), b["target"].float()) for b in batches]
    found = float(table(finished / "metrics.csv")[-1]["val/loss"])
    assert found == pytest.approx(float(torch.stack(losses).mean()), rel=1e-4)


@pytest.mark.parametrize(
    "overrides",
    [
        ["inference=tiled_turns", "loss.parts.bce.region_weights=[1,3]"],
        ["model=unet_2015", "model.depth=1", "data.sampling.patch_size=[36,36]", "data.sampling.mirror_margin=8"],
        ["data.source.size=[16,32,32]", "data.geometry.context=1", "data.sampling.patch_size=[16,16]"],
        [
            "model=unet_3d",
            "data.geometry.spatial_dims=3",
            "data.source.size=[16,32,32]",
            "data.sampling.patch_size=[8,16,16]",
        ],
    ],
    ids=["turns", "valid", "slices", "volumes"],
)
def test_choices_train(tmp_path, overrides):
    train(small(REGIONS, "loss=dice_bce", *overrides, *SHORT, folder=tmp_path))
    results = json.loads((tmp_path / "results.json").read_text())
    assert 0 <= results["test"]["dice_tissue"] <= 1


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ([REGIONS], "loss Compound is for classes that exclude.*choose loss=bce or loss=dice_bce"),
        (
            ["loss=bce"],
            "loss BinaryCrossEntropy is for overlapping regions, but data.labels.regions is null.*loss=dice_ce",
        ),
        (
            [REGIONS, "loss=bce", "metrics=membrane"],
            "metrics.partition PartitionScores is for classes.*metrics=overlap",
        ),
        (["data.labels.regions={}", "loss=bce"], r"data.labels.regions=\{\} must give"),
        (["data.labels.regions=5", "loss=bce"], "data.labels.regions=5 must be a mapping"),
        (["data.labels.regions={tissue: [7]}", "loss=bce"], "there is no class 7"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_read(overrides, sentence):
    def build() -> None:
        config = plain(small(*overrides))
        build_data(config), build_task(config)

    with pytest.raises((ValueError, InstantiationException), match=sentence):
        build()


def test_outputs_and_activation_follow_the_regions():
    with_regions, without = plain(small(REGIONS)), plain(small())
    assert (with_regions["model"]["num_classes"], without["model"]["num_classes"]) == (2, 3)
    assert with_regions["inference"]["predictor"]["activation"] == "sigmoid"
    assert without["inference"]["predictor"]["activation"] == "softmax"
