"""Settings of a resumed run come from its configuration, what happened from its checkpoint."""

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from segexp.training.resumption import STEPS_PER_EPOCH, Resumption


class Trainer:
    """What Resumption asks of a trainer in the middle of a run: 8 steps in 4 epochs."""

    def __init__(self, callbacks=(), scheduler=None, step=4):
        self.callbacks = list(callbacks)
        self.global_step = step
        self.max_epochs = 4
        self.estimated_stepping_batches = 8
        self.optimizers = [scheduler.optimizer] if scheduler else []
        item = type("Item", (), {"scheduler": scheduler})
        self.lr_scheduler_configs = [item] if scheduler else []


def optimizer(rate=0.1):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate, momentum=0.9)


def test_paths_of_another_folder_become_those_of_this_one(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    before = ModelCheckpoint(dirpath=old, filename="best", monitor="val/dice", mode="max")
    before.best_model_score = torch.tensor(0.7)
    before.best_model_path = str(old / "best.ckpt")
    before.best_k_models = {str(old / "best.ckpt"): torch.tensor(0.7)}
    now = ModelCheckpoint(dirpath=new, filename="best", monitor="val/dice", mode="max")
    checkpoint = {"callbacks": {before.state_key: before.state_dict()}}
    Resumption().on_load_checkpoint(Trainer([now]), pl.LightningModule(), checkpoint)
    now.load_state_dict(checkpoint["callbacks"][now.state_key])
    assert now.best_model_score == torch.tensor(0.7)
    assert now.best_model_path == str(new / "best.ckpt")
    assert list(now.best_k_models) == [str(new / "best.ckpt")]


def test_patience_is_the_present_one_and_what_was_waited_stays():
    before = EarlyStopping("val/dice", patience=2, mode="max")
    before.wait_count = 2
    now = EarlyStopping("val/dice", patience=9, mode="max")
    checkpoint = {"callbacks": {before.state_key: before.state_dict()}}
    Resumption().on_load_checkpoint(Trainer([now]), pl.LightningModule(), checkpoint)
    now.load_state_dict(checkpoint["callbacks"][now.state_key])
    assert (now.patience, now.wait_count) == (9, 2)


def resume(scheduler, changed, steps_before=2.0, restore=lambda: None):
    """The order in which Lightning calls: checkpoint, fit starts, state restored, training starts."""
    trainer = Trainer(scheduler=scheduler)
    callback = Resumption(changed=changed)
    callback.on_load_checkpoint(trainer, pl.LightningModule(), {"callbacks": {}, STEPS_PER_EPOCH: steps_before})
    callback.on_fit_start(trainer, pl.LightningModule())
    restore()
    callback.on_train_start(trainer, pl.LightningModule())
    return scheduler.optimizer.param_groups[0]


def test_a_new_rate_takes_the_place_of_the_old_one_in_the_schedule():
    scheduler = LambdaLR(optimizer(0.2), lambda step: 1 - step / 8)

    def restore():
        scheduler.load_state_dict({**scheduler.state_dict(), "last_epoch": 4, "base_lrs": [0.1]})
        scheduler.optimizer.param_groups[0] |= {"lr": 0.05, "initial_lr": 0.1, "momentum": 0.5}

    group = resume(scheduler, {"optimizer.lr": (0.1, 0.2)}, restore=restore)
    assert group["lr"] == pytest.approx(0.1)
    assert group["initial_lr"] == pytest.approx(0.2)
    assert group["momentum"] == 0.9


def test_nothing_changes_where_nothing_was_changed():
    scheduler = LambdaLR(optimizer(0.1), lambda step: 1 - step / 8)

    def restore():
        scheduler.load_state_dict({**scheduler.state_dict(), "last_epoch": 4})
        scheduler.optimizer.param_groups[0] |= {"lr": 0.1 * (1 - 4 / 8), "momentum": 0.5}

    group = resume(scheduler, {}, restore=restore)
    assert group["lr"] == 0.1 * (1 - 4 / 8)
    assert group["momentum"] == 0.5  # as some schedules move it


def test_more_steps_in_an_epoch_move_the_place_in_the_schedule():
    scheduler = LambdaLR(optimizer(0.1), lambda step: 1 - step / 8)
    restore = lambda: scheduler.load_state_dict({**scheduler.state_dict(), "last_epoch": 8})  # noqa: E731
    resume(scheduler, {"data.sampling.batch_size": (4, 8)}, steps_before=4.0, restore=restore)
    assert scheduler.last_epoch == 4


def test_a_watching_schedule_takes_its_new_patience():
    scheduler = ReduceLROnPlateau(optimizer(), patience=7)
    restore = lambda: scheduler.load_state_dict({**scheduler.state_dict(), "patience": 2, "num_bad_epochs": 1})  # noqa: E731
    resume(scheduler, {"scheduler.patience": (2, 7)}, restore=restore)
    assert (scheduler.patience, scheduler.num_bad_epochs) == (7, 1)


def test_a_rate_of_0_is_refused():
    scheduler = LambdaLR(optimizer(0.1), lambda step: 0.0)
    with pytest.raises(ValueError, match="learning rate is 0 after step 4.*max_epochs"):
        resume(scheduler, {})
