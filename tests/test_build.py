import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping

import segexp
from segexp import build
from segexp.build import (
    build_data,
    build_metrics,
    build_task,
    build_trainer,
    describe,
    monitor_mode,
    require_trainer,
)
from segexp.checkpoints.description import ModelDescription
from segexp.config import compose, plain
from segexp.inference import AdaptivePredictor, SlicePredictor
from segexp.training.tensorboard_callbacks import Panels
from tests.conftest import PANELS, SMALL


def config(*overrides):
    return plain(compose([*SMALL, PANELS, "name=x", "trainer=cpu", *overrides], run_dir="unused"))


def test_the_same_seed_gives_the_same_network_whatever_was_drawn_before():
    first = build_task(config("seed=3")).network.state_dict()
    torch.rand(10)
    second, other = (build_task(config(f"seed={seed}")).network.state_dict() for seed in (3, 4))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_callbacks_are_switched_and_a_resumed_run_purges_its_logger(tmp_path):
    off = build_trainer(config("callbacks.panels.enabled=false", "callbacks.progress.enabled=false"))
    assert not any(isinstance(callback, Panels) for callback in off.callbacks)
    on = build_trainer(config("callbacks.panels.enabled=true", f"logger.folder={tmp_path}"), purge_step=7)
    assert any(isinstance(callback, Panels) for callback in on.callbacks)
    assert on.logger._kwargs["purge_step"] == 7


def test_without_a_logger_lightning_does_not_choose_one():
    assert build_trainer(config("logger=none")).loggers == []


def test_a_precision_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match=r"trainer.precision='16-mixd' is not one of .* \(did you mean '16-mixed'\?\)"):
        build_trainer(config("trainer.precision=16-mixd"))


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["data.labels.regions={a: [1]}"], "loss Compound is for classes that exclude each other.* choose loss=bce"),
        (["loss=bce"], "loss BinaryCrossEntropy is for overlapping regions, but data.* choose loss=dice_ce"),
        (["loss=bce", "data.labels.regions={a: [1]}", "metrics=membrane"], r"metrics\.\w+ .* choose metrics=overlap"),
    ],
)
def test_a_loss_or_metric_of_the_other_kind_of_target_is_refused(overrides, sentence):
    with pytest.raises(ValueError, match=sentence):
        build_task(config(*overrides))


def test_networks_of_slices_predict_volumes_slice_by_slice_with_their_context():
    flat = build_task(config("data.geometry.context=1"))
    volume = torch.rand(1, 1, 3, 32, 32)
    assert isinstance(flat.predictor, SlicePredictor)
    with torch.no_grad():
        assert flat.predictor(flat.network.eval(), volume).shape == (1, 2, 3, 32, 32)


def test_the_final_scorer_averages_views_where_validation_does_not():
    task = build_task(config("inference=tiled_turns"))
    image = torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        once, averaged = task.predictor(task.network.eval(), image), task.scorer(task.network.eval(), image)
    assert not torch.allclose(once, averaged)
    turned = task.scorer(task.network, image.rot90(1, (2, 3))).rot90(-1, (2, 3))
    torch.testing.assert_close(turned, averaged, rtol=1e-4, atol=1e-5)


def test_the_final_scorer_adapts_to_the_case_where_validation_does_not():
    plain, adaptive = build_task(config()), build_task(config("inference.adapt=0.5", "inference=tiled_turns"))
    assert not isinstance(plain.scorer, AdaptivePredictor)
    assert isinstance(adaptive.scorer, AdaptivePredictor)
    assert adaptive.scorer.weight == 0.5
    assert not isinstance(adaptive.predictor, AdaptivePredictor)


def test_views_that_the_augmentation_does_not_show_are_refused():
    words = ["inference=tiled_turns", "augment.transforms=[]"]
    message = r"inference.averaging \(flips=True, turns=True\) .*\(it showed flip_x\); take inference=tiled_seen"
    with pytest.raises(ValueError, match=message):
        build_task(config(*words), ["flip_x"])
    assert build_task(config(*words, "inference.averaging.allow_unseen_views=true"), ["flip_x"]).scorer
    seen = build_task(config("inference=tiled_seen"), ["flip_x"]).scorer
    assert len(seen.predictor.views) == 2
    with pytest.raises(ValueError, match="images have no such axis"):
        build_task(config("inference=tiled_turns", "inference.averaging.flips=[z]"))


def test_a_description_is_one_that_a_checkpoint_accepts():
    settings = config()
    data, task = build_data(settings), build_task(settings)
    data.prepare_data()
    data.setup()
    description = describe(settings, task.network, data.description())
    again = ModelDescription.from_plain(description.to_plain(), "here")
    assert again == description
    assert (again.network, again.activation, again.segexp_version) == ("UNet", "softmax", segexp.__version__)
    assert again.model["base_channels"] == 4
    assert again.inference["tile"] == [32, 32]


def test_metrics_say_which_way_of_the_monitor_is_better():
    metrics = build_metrics(config("metrics=[overlap,surface]")).values()
    assert monitor_mode("val/dice", metrics) == "max"
    assert monitor_mode("val/hd95_px", metrics) == "min"
    assert monitor_mode("val/loss", metrics) == "min"
    with pytest.raises(ValueError, match=r"monitor=val/dicee is no score of the metrics \(did you mean 'val/dice'\?\)"):
        monitor_mode("val/dicee", metrics)


def test_what_watches_the_monitored_score_gets_its_direction():
    settings = config("scheduler=plateau", "monitor=val/loss", "callbacks.early_stopping.enabled=true")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    assert build_task(settings).make_scheduler(optimizer, 10)["scheduler"].mode == "min"
    (stopping,) = (item for item in build_trainer(settings).callbacks if isinstance(item, EarlyStopping))
    assert (stopping.monitor, stopping.mode) == ("val/loss", "min")


@pytest.mark.parametrize(
    ("word", "rule"),
    [
        ("on_divergence=text", "on_divergence='text' is not one of"),
        ("callbacks.panels.every=0", "callbacks.panels.every=0 must be an integer of at least 1"),
        ("logger.folder=true", "logger.folder=True must be text"),
        ("trainer.enable_progress_bar=false", "`enable_progress_bar=False` but found"),
    ],
)
def test_what_callbacks_refuse_is_told_with_the_settings_of_the_trainer(word, rule):
    with pytest.raises(ValueError, match=rule):
        require_trainer(config(word))


def test_heads_and_their_weights_go_together():
    with pytest.raises(ValueError, match=r"deep_supervision.weights=\[1, 2\] are 2, but the network has 1 heads"):
        build_task(config("deep_supervision.weights=[1,2]"))


def test_metrics_are_built_once(monkeypatch):
    built = []
    monkeypatch.setattr(build, "build_metrics", lambda cfg: built.append(cfg) or build_metrics(cfg))
    settings = config()
    assert settings["monitor_mode"] is None
    build_task(settings)
    build_trainer(settings)
    assert (len(built), settings["monitor_mode"]) == (1, "max")


def test_data_take_the_seed_of_the_run():
    data = build_data(config("seed=5"))
    assert isinstance(data, pl.LightningDataModule)
    assert data.seed == 5


@pytest.mark.parametrize("more", [[], ["~scheduler.warmup"]])
def test_a_recipe_goes_with_another_option_of_a_group(more):
    """An older run may have recorded that it left the recipe's key out itself."""
    recipe = ["experiment=isbi_cpu", "scheduler=plateau", "trainer=cpu"]
    assert build_task(plain(compose([*recipe, *more], run_dir="unused"))).make_scheduler


def test_a_mistyped_key_of_a_function_is_named_with_its_remedy():
    with pytest.raises(ValueError, match=r"cosine takes no wramup: leave it out with ~scheduler\.wramup"):
        build_task(config("+scheduler.wramup=1"))


def test_a_function_that_is_the_loss_itself_is_told_from_one_that_makes_it():
    words = ["loss=custom", "loss._target_=torch.nn.functional.cross_entropy"]
    sentence = r"loss: torch\.nn\.functional\.cross_entropy needs input, target; it takes .*\+loss\._partial_=true$"
    with pytest.raises(ValueError, match=sentence):
        build_task(config(*words))
    assert build_task(config(*words, "+loss._partial_=true")).loss is not None


@pytest.mark.parametrize("values", [{0: 0, 255: 1}, {0: 0, 1: 1}, {0: 0, 128: 1, 255: 2}], ids=str)
def test_values_of_masks_replace_the_default(values, tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    folders = [f"data.source.{kind}={tmp_path / kind}" for kind in ("images", "masks")]
    cases = plain(compose(["data=folder", *folders, f"data.source.values={values}"], run_dir="unused"))
    assert build_data(cases).source.values == values
