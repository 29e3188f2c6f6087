"""Settings with which a training could not end well are refused before data are read."""

import json
from contextlib import nullcontext

import pytest
import torch
from pytorch_lightning.strategies import ModelParallelStrategy

from segexp.build import build_data, build_task, build_trainer
from segexp.commands.train import train
from segexp.config import compose, plain
from segexp.data import Sampling
from segexp.training.at_start import (
    require_batches,
    require_labels,
    require_monitors,
    require_scorable,
)
from tests.conftest import HERE, SMALL, TINY, trained, write_pairs

NOT_LABELED = r"case scan_\d: loss MSELoss counts every pixel, but some are not labeled"
VALIDATES = "check_val_every_n_epoch=5 is beyond trainer.max_epochs=2"


class Soft(torch.nn.Sequential):
    def __init__(self) -> None:
        super().__init__(torch.nn.Conv2d(1, 2, 3, padding=1), torch.nn.Softmax(1))


def config(*words: str) -> dict:
    return plain(compose([*SMALL, *HERE, "trainer.max_epochs=2", *words], run_dir="unused"))


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("seed=-1", "seed=-1 must be an integer of at least 0 and at most 4294967295"),
        ("seed=4294967296", "seed=4294967296 must be an integer"),
        ("seed=null", "seed=null must be an integer"),
        ("trainer.max_epochs=0", "trainer.max_epochs=0 must be an integer of at least 1"),
        ("trainer.max_epochs=-1", "trainer.max_epochs=-1 must be an integer of at least 1"),
        ("trainer.accumulate_grad_batches=0", "trainer.accumulate_grad_batches=0 must be"),
        ("trainer.limit_train_batches=0", "trainer.limit_train_batches=0 leaves nothing to train on or to score"),
        ("trainer.limit_val_batches=0", "trainer.limit_val_batches=0 leaves nothing"),
        ("trainer.limit_test_batches=0.0", "trainer.limit_test_batches=0 leaves nothing"),
        ("trainer.check_val_every_n_epoch=5", VALIDATES),
        ("~trainer.max_epochs", "trainer.max_epochs is missing: leave out what takes it away, such as ~trainer"),
        ("~seed", "seed is missing"),
        ("~inference.predictor", "inference.predictor is missing"),
    ],
)
def test_a_setting_that_cannot_end_well_is_refused_before_anything_is_written(word, sentence, tmp_path):
    words = [*SMALL, *HERE, "trainer.max_epochs=2", word]
    with pytest.raises(ValueError, match=sentence):
        train(compose(words, run_dir=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("strategy", "rule"),
    [("ddp_spawn", "trains in processes that end with it"), ("ddp_notebook", "trains in processes that end with it")],
)
def test_a_strategy_that_leaves_nothing_to_score_is_refused(strategy, rule):
    settings = config(f"trainer.strategy={strategy}", "trainer.devices=2")
    with pytest.raises(ValueError, match=f"trainer.strategy={strategy} {rule}.*: take trainer=ddp"):
        require_scorable(settings, build_trainer(settings))


def test_a_network_that_gives_probabilities_is_refused_unless_it_was_trained(tmp_path):
    words = [*SMALL, *HERE, "model=custom", "model._target_=tests.training.test_at_start.Soft"]
    words = [word for word in words if not word.startswith(("model.base", "model.depth"))]
    with pytest.raises(ValueError, match="outputs of Soft lie between 0 and 1 whatever its weights"):
        train(compose(words, run_dir=tmp_path / "run"))
    assert not (tmp_path / "run").exists()
    assert build_task(plain(compose(words, run_dir="unused"))).network


def test_a_strategy_that_divides_the_network_is_refused():
    settings = config()
    trainer = build_trainer(settings)
    trainer.strategy.__class__ = ModelParallelStrategy  # which a machine without GPUs does not build
    with pytest.raises(ValueError, match="trainer.strategy=auto divides the network among processes"):
        require_scorable(settings, trainer)


def test_one_process_and_ddp_are_taken():
    for words in ([], ["trainer=ddp_cpu"]):
        settings = config(*words)
        require_scorable(settings, build_trainer(settings))


@pytest.mark.parametrize("batches", ["true", "3"])
def test_the_dry_run_of_lightning_scores_what_it_has_seen_and_says_so(tmp_path, capsys, batches):
    folder = trained(tmp_path / "run", f"++trainer.fast_dev_run={batches}")
    results = json.loads((folder / "results.json").read_text())
    assert results["training"]["ended_by"].startswith(f"trainer.fast_dev_run={batches.title()}: a dry run")
    assert results["chosen_on_val"]["by"] == "last epoch"
    assert list(results["limits"]) == ["fast_dev_run"]
    assert "a dry run" in capsys.readouterr().out
    assert json.loads((folder / "run.json").read_text())["status"] == "done"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["monitor=val/hd95", "metrics=surface"], r"val/hd95 is logged by nothing \(did you mean 'val/hd95_px'\?\)"),
        (["monitor=dice"], "monitor=dice is logged by nothing"),
        (["monitor=train/dice"], "monitor=train/dice is logged by nothing"),
        (["monitor=val/loss_focal"], "monitor=val/loss_focal is logged by nothing"),
        (["scheduler=plateau", "scheduler.monitor=val/dic"], r"val/dic is logged by nothing \(did you mean 'val/dice'"),
        (["callbacks.early_stopping.enabled=true", "callbacks.early_stopping.monitor=x"], "monitor=x is logged by"),
    ],
)
def test_a_monitor_that_nothing_logs_is_refused(words, sentence):
    settings = config("monitor_mode=max", *words)
    with pytest.raises(ValueError, match=sentence):
        require_monitors(settings, build_task(settings))


@pytest.mark.parametrize("monitor", ["val/dice", "val/dice_membrane", "val/loss_ce", "train/loss", "val/iou"])
def test_a_monitor_that_is_logged_is_taken(monitor):
    settings = config("monitor_mode=max", f"monitor={monitor}", "callbacks.early_stopping.monitor=x")
    require_monitors(settings, build_task(settings))


def test_a_callback_of_the_user_may_log_what_is_monitored():
    settings = config("monitor_mode=max", "monitor=val/mine", "+callbacks.mine._target_=mine.Hello")
    require_monitors(settings, build_task(settings))


def test_batches_that_do_not_fit_are_refused_before_data_are_read(tmp_path):
    with pytest.raises(ValueError, match="patches_per_epoch=16 must be at least data.sampling.batch_size=32"):
        trained(tmp_path, "data.sampling.batch_size=32")
    assert not any(tmp_path.iterdir())
    with pytest.raises(ValueError, match="batch_size=3 is the batch over all 2 processes"):
        require_batches(Sampling(patch_size=[32, 32], batch_size=3), 2)


def test_unlabeled_pixels_and_a_loss_that_counts_them_are_told_before_training(tmp_path):
    write_pairs(tmp_path / "data", 6)
    sources = [f"data.source.{kind}={tmp_path / 'data' / kind}" for kind in ("images", "masks")]
    words = ["data=folder", *sources, "data.source.values={0: 255, 255: 1}", "data.split.val=0.3"]
    for target, refused in (("torch.nn.MSELoss", True), ("torch.nn.CrossEntropyLoss", False)):
        settings = plain(compose([*TINY, *HERE, *words, "loss=custom", f"loss._target_={target}"], run_dir="unused"))
        data, task = build_data(settings), build_task(settings)
        data.prepare_data()
        data.setup()
        with pytest.raises(ValueError, match=NOT_LABELED) if refused else nullcontext():
            require_labels(task, data)
    run = tmp_path / "run"
    with pytest.raises(ValueError, match=NOT_LABELED):
        train(compose([*TINY, *HERE, *words, "loss=custom", "loss._target_=torch.nn.MSELoss"], run_dir=run))
    assert not run.exists()
