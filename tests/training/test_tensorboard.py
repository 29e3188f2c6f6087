import math
import re

from segexp.training.tensorboard import final_metrics, hyperparameters, layout, texts

CONFIG = {
    "model": {"_target_": "x", "depth": 4},
    "optimizer": {"_target_": "x", "lr": 0.1},
    "loss": {"_target_": "x", "gamma": 2.0},
    "data": {"sampling": {"batch_size": 8}, "source": {"size": [48, 48]}},
    "trainer": {"max_epochs": 3},
    "callbacks": {"ema": {"enabled": True}, "progress": {"enabled": False}},
    "seed": 7,
}


def test_what_the_command_line_sets_is_a_hyperparameter_once():
    words = [
        "model=unet",
        "model.depth=4",
        "loss.gamma=2",
        "data.sampling.batch_size=8",
        "data.source.size=[48,48]",
        "seed=7",
    ]
    more = ["+callbacks.ema.enabled=true", "callbacks.progress.enabled=false", "name=x", "metrics=membrane"]
    plain = hyperparameters(CONFIG, {"model": "unet", "metrics": "membrane"})
    params = hyperparameters(CONFIG, {"model": "unet", "metrics": "membrane"}, [*words, *more])
    assert {key: value for key, value in params.items() if key not in plain} == {
        "run.loss.gamma": 2.0,
        "run.source.size": "[48, 48]",
        "run.callbacks.ema.enabled": True,
        "run.metrics": "membrane",
    }


def content(**figures):
    return {
        "headline": {"value": 0.5},
        "test": figures,
        "undefined": {"test": {"dice_a": 0, "dice_b": 0}},
        "training": {"minutes": 2.0, "energy_wh": None},
    }


def test_means_come_before_single_classes_and_undefined_ones_are_left_out():
    found = final_metrics(content(dice=0.5, dice_a=0.4, dice_b=0.6, dice_pooled_a=0.3, iou=math.nan), ["a", "b"])
    assert found == {
        "z_final/headline": 0.5,
        "z_final/test_dice": 0.5,
        "z_final_per_class/test_dice_a": 0.4,
        "z_final_per_class/test_dice_b": 0.6,
        "z_final_per_class/test_dice_pooled_a": 0.3,
        "z_final_resources/minutes": 2.0,
    }


def test_the_only_class_is_said_once():
    found = final_metrics(content(dice=0.5, dice_a=0.5, dice_pooled_a=0.3), ["a"])
    assert set(found) == {
        "z_final/headline",
        "z_final/test_dice",
        "z_final_per_class/test_dice_pooled_a",
        "z_final_resources/minutes",
    }


def test_each_curve_is_in_one_chart_only():
    charts = {
        title: chart
        for category in layout(["dice", "dice_pooled_a"], ["a"]).values()
        for title, chart in category.items()
    }
    tags = [
        "train/loss",
        "val/loss",
        "val/dice",
        "val/dice_a",
        "val/dice_pooled_a",
        "train/lr",
        "train/patches_per_second",
    ]
    shown = {
        tag: [title for title, (_, curves) in charts.items() if any(re.match(curve, tag) for curve in curves)]
        for tag in tags
    }
    assert shown == {
        "train/loss": ["loss, training and validation"],
        "val/loss": ["loss, training and validation"],
        "val/dice": ["dice"],
        "val/dice_a": ["a"],
        "val/dice_pooled_a": ["a"],
        "train/lr": ["learning rate"],
        "train/patches_per_second": ["patches per second"],
    }


def test_texts_have_the_command_the_configuration_and_the_readme_of_the_experiment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record = {"overrides": ["loss=ce", "a=[1, 2]"], "config": CONFIG, "choices": {"experiment": "mine"}}
    assert set(texts(record)) == {"configuration"}
    (tmp_path / "experiments" / "mine").mkdir(parents=True)
    (tmp_path / "experiments" / "mine" / "README.md").write_text("# Does it help?")
    written = texts(record)
    assert written["experiment"] == "# Does it help?"
    assert "segexp train \\\n  loss=ce \\\n  'a=[1, 2]'" in written["configuration"]
    assert "depth: 4" in written["configuration"]


def test_hyperparameters_are_flat_scalars():
    config = {
        "model": {"_target_": "x", "depth": 4, "max_channels": None},
        "optimizer": {"_target_": "x", "_partial_": True, "lr": 0.1},
        "data": {"sampling": {"batch_size": 8, "patch_size": [64, 64]}, "split": {"fold": None}},
        "trainer": {"max_epochs": 3, "precision": "32-true"},
        "seed": 7,
    }
    params = hyperparameters(config, {"model": "unet", "experiment": None, "paths": "default"})
    assert params == {
        "model": "unet",
        "model.depth": 4,
        "optimizer.lr": 0.1,
        "run.batch_size": 8,
        "run.patch_size": "[64, 64]",
        "run.max_epochs": 3,
        "run.precision": "32-true",
        "seed": 7,
    }
