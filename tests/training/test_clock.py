"""The clock with Lightning's own trainer; the time is the one that the steps are told to take."""

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from segexp.data import Sampling
from segexp.training.clock import STATE, Clock
from segexp.training.progress import Progress

BATCHES = 4  # of an epoch


class Learner(pl.LightningModule):
    """Takes seconds for each step and validation; notes how far its course is."""

    def __init__(self, now, seconds):
        super().__init__()
        self.layer, self.now, self.seconds = nn.Linear(1, 1), now, seconds
        self.progress = None
        self.places, self.validated = [], []

    def training_step(self, batch, _):
        self.now.time += self.seconds(self.global_step)
        self.places.append(self.progress.at(self.global_step) if self.progress else 0)
        loss = self.layer(batch).square().mean()
        self.log("train/loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, _):
        self.now.time += 1.0
        self.validated.append(self.current_epoch + 1)
        self.log("val/score", 0.5, prog_bar=True)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Batches(pl.LightningDataModule):
    def __init__(self):
        super().__init__()
        self.sampling = Sampling([8, 8], patches_per_epoch=4 * BATCHES, batch_size=4)

    def train_dataloader(self):
        return DataLoader([torch.ones(4, 1)] * BATCHES, batch_size=None)

    def val_dataloader(self):
        return DataLoader([torch.ones(4, 1)], batch_size=None)


class Now:
    time = 100.0

    def __call__(self):
        return self.time


def planned(epochs, every=1, minutes=2.0, spent=10.0):
    """State of a clock that has planned so many epochs of a second per batch, and 10 s for the end."""
    steps = epochs * BATCHES
    return {
        "settings": {"minutes": minutes, "batch_size": 4},
        "spent": spent,
        "epochs": 0,
        "step": 0,
        "pace": {"batch": 1.0, "validation": 1.0, "scoring": 8.0, "closing": 2.0},
        "progress": {"planned": steps, "total": steps, "step": 0, "place": 0},
        "facts": {
            "minutes": minutes,
            "epochs": epochs,
            "steps": steps,
            "patches_per_epoch": 4 * BATCHES,
            "validated_every": every,
            "changes": [],
        },
    }


def fit(folder, seconds, state, minutes=2.0, again=None, callbacks=()):
    """Train; return the learner, the clock, the trainer and the time at the end, the scoring included."""
    now = Now()
    learner, clock = Learner(now, seconds), Clock(minutes, 100.0, 1, state, again, now)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=3,
        default_root_dir=folder,
        callbacks=[clock, *callbacks],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=bool(callbacks),
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(learner, datamodule=Batches())
    return learner, clock, trainer, clock.elapsed() + (clock.watch.reserve(0.0) if state else 0.0)


def test_a_pace_that_stays_changes_nothing(tmp_path, capsys):
    learner, clock, trainer, _ = fit(tmp_path, lambda step: 1.0 + 0.02 * (step % 2), planned(19))
    assert clock.facts["changes"] == []
    assert trainer.current_epoch == 19
    assert learner.places == list(range(76))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("slow", [1.3, 2.0, 4.0])
@pytest.mark.parametrize("since", [0, 40, 64])
def test_a_machine_that_becomes_slower_makes_fewer_epochs_and_ends_in_time(tmp_path, capsys, slow, since):
    learner, clock, trainer, end = fit(tmp_path, lambda step: slow if step >= since else 1.0, planned(19))
    assert trainer.current_epoch < 19 or end <= 120
    assert end <= 1.03 * 120 + slow
    assert clock.facts["steps"] == len(learner.places)
    assert learner.progress.at(len(learner.places)) == 76
    assert learner.places == sorted(learner.places)
    assert learner.validated[-1] == trainer.current_epoch
    assert ("slower than planned" in capsys.readouterr().out) == bool(clock.facts["changes"])


def test_a_machine_that_becomes_faster_makes_more(tmp_path):
    learner, clock, trainer, end = fit(tmp_path, lambda step: 0.5 if step >= 20 else 1.0, planned(19))
    assert trainer.current_epoch > 25
    assert 0.88 * 120 < end <= 120
    assert learner.places[-1] >= 74
    assert [change["epochs"] for change in clock.facts["changes"]][-1] == trainer.current_epoch


def test_the_last_epoch_is_validated_whatever_its_number(tmp_path):
    learner, *_ = fit(tmp_path, lambda step: 1.0, planned(22, every=4))
    assert learner.validated == [4, 8, 12, 16, 20, 22]


def test_only_the_time_that_a_run_has_spent_counts_when_it_is_resumed(tmp_path):
    _, _, trainer, end = fit(tmp_path, lambda step: 1.0, planned(19, spent=70.0))
    assert trainer.current_epoch < 10
    assert 100 < end <= 121


def test_the_state_goes_into_the_checkpoint(tmp_path):
    learner, clock, trainer, _ = fit(tmp_path, lambda step: 1.5, planned(19))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)[STATE]
    assert state["spent"] == pytest.approx(clock.elapsed())
    assert (state["epochs"], state["step"]) == (trainer.current_epoch, len(learner.places))
    assert Progress(**state["progress"]).at(state["step"]) == 76
    assert state["facts"] == clock.facts


@pytest.mark.parametrize("seconds", [lambda step: 1.7, lambda step: 4.0 if step >= 64 else 1.0, lambda step: 0.5])
def test_a_run_is_made_again_step_by_step_whatever_the_time(tmp_path, seconds):
    first, clock, *_ = fit(tmp_path, seconds, planned(19))
    facts = {**clock.facts, "epochs_planned": 19, "steps_planned": 76}
    again, repeated, *_ = fit(tmp_path, lambda step: 1.0, None, again=facts)
    assert (again.places, again.validated) == (first.places, first.validated)
    assert repeated.facts["changes"] == clock.facts["changes"] != []


def test_without_minutes_the_clock_only_watches(tmp_path):
    now = Now()
    clock = Clock(None, 100.0, now=now)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=3,
        callbacks=[clock],
        default_root_dir=tmp_path,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Learner(now, lambda step: 1.0), datamodule=Batches())
    assert trainer.current_epoch == 3
    assert clock.facts == {}
