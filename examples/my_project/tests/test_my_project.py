"""Tests of the project's parts: each alone, then all together in a training of seconds."""

from pathlib import Path

import pytest
import torch
from torch.nn.functional import one_hot

import segexp
from my_project.data import DiscPairs, Discs
from my_project.losses import squared_error
from my_project.metrics import AreaDifference
from my_project.networks import ThreeLines

CONF = Path(__file__).parents[1] / "conf"


def test_network_gives_logits_of_the_size_of_the_image():
    assert ThreeLines(in_channels=1, num_classes=3)(torch.randn(2, 1, 20, 31)).shape == (2, 3, 20, 31)


def test_loss_is_0_for_what_is_right_and_2_for_what_is_wrong():
    target = torch.randint(2, (2, 8, 8))
    logits = 100.0 * one_hot(target, 2).movedim(-1, 1)
    assert squared_error(logits, target) == pytest.approx(0)
    assert squared_error(logits, 1 - target) == pytest.approx(2)


def test_metric_counts_pixels():
    metric = AreaDifference(["background", "disc"])
    target = torch.zeros(1, 4, 4, dtype=torch.int64)
    target[0, :2] = 1
    metric.update(one_hot(torch.zeros_like(target), 2).movedim(-1, 1).float(), target, torch.tensor([0]))
    assert metric.compute().rows[0].scores == {"area_difference": 8}


def test_source_reads_what_it_lists_and_draws_as_the_dataset():
    source = Discs(count=4)
    assert len(source.entries()) == len(DiscPairs(count=4))
    assert (source.read("disc_3").target == DiscPairs()[3][1]).all()
    for entry in source.entries():
        case = source.read(entry.name)
        assert case.image.shape[1:] == case.target.shape
        assert set(case.target.flat) == {0, 1}


def test_all_together_train(tmp_path):
    words = ["experiment=discs", "trainer=cpu", "trainer.max_epochs=1", "callbacks.progress.enabled=false"]
    run = segexp.train(words, config_dir=CONF, run_dir=tmp_path / "run")
    assert run.results["test"]["dice"] > 0.8
    assert run.results["test"]["area_difference"] < 50
    assert run.results["test"]["kappa"] > 0.8
    assert "weight_norm" in (run.folder / "metrics.csv").read_text()
    assert run.predict(Discs().read("disc_0").image).labels.shape == (48, 48)
