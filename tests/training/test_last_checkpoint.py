"""A run that was broken off within an epoch goes on at the next batch and equals the unbroken one."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch

from segexp.stopping import Stopped, heeded
from segexp.training import last_checkpoint
from segexp.training.last_checkpoint import MEANS, MOST_OF_TIME, LastCheckpoint
from segexp.training.task import Task
from tests.conftest import ROOT, SMALL, table, trained

WORDS = [  # seven batches an epoch in groups of two, the last of one
    "trainer.max_epochs=3",
    "data.sampling.patches_per_epoch=28",
    "trainer.accumulate_grad_batches=2",
    "model.dropout=0.1",
    "scheduler=plateau",
    "scheduler.patience=0",
    "callbacks.ema.enabled=true",
    "callbacks.panels.enabled=false",
    "logger=none",
]
SIGNAL = "+callbacks.signal._target_=tests.training.test_last_checkpoint.Signal"
STOP = "+callbacks.stop._target_=tests.training.test_last_checkpoint.Stop"


class Stop(pl.Callback):
    """Asks the training to stop after a batch, counted over all epochs."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        if trainer.fit_loop.total_batch_idx == self.batch:
            trainer.should_stop = True


class Signal(pl.Callback):
    """Sends a signal to the process in the midst of a batch, counted over all epochs from 0."""

    def __init__(self, batch: int, number: int) -> None:
        self.batch = batch
        self.number = number

    def on_before_backward(self, trainer: pl.Trainer, *_: object) -> None:
        if trainer.is_global_zero and trainer.fit_loop.total_batch_idx == self.batch:
            os.kill(os.getpid(), self.number)


def state(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def curves(folder):
    clock = ("seconds", "validation_seconds", "train/patches_per_second")
    return [{key: value for key, value in row.items() if key not in clock} for row in table(folder / "metrics.csv")]


def require_equal(one, two, where=""):
    """Compare checkpoints bit for bit, but for clocks and folders."""
    assert type(one) is type(two), where
    if isinstance(one, dict):
        assert one.keys() == two.keys(), where
        for key in one:
            require_equal(one[key], two[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(two), where
        for number, pair in enumerate(zip(one, two, strict=True)):
            require_equal(*pair, f"{where}[{number}]")
    else:
        assert torch.equal(one, two) if isinstance(one, torch.Tensor) else one == two, where


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("unbroken"), *WORDS)


@pytest.mark.parametrize(
    ("batch", "step"),
    [
        pytest.param(9, 6, marks=pytest.mark.slow),  # between two optimizer steps: it stops after the next one
        pytest.param(13, 8, marks=pytest.mark.slow),  # the last batch of an epoch: it stops after the validation
    ],
)
def test_a_training_that_stops_within_an_epoch_goes_on_at_the_next_batch(unbroken, tmp_path, batch, step):
    trained(tmp_path, *WORDS, STOP, f"+callbacks.stop.batch={batch}")
    cut = state(tmp_path)
    assert cut["global_step"] == step
    assert len(curves(tmp_path)) == (2 if batch == 13 else 1)  # the epoch that was broken off has no row
    require_resumed(tmp_path, unbroken, "allow_changes=[callbacks.stop]")


def require_resumed(folder, unbroken, *words):
    trained(folder, *WORDS, f"resume={folder}", *words)
    assert curves(folder) == curves(unbroken)
    resumed, whole = state(folder), state(unbroken)
    for part in ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers", "loops"):
        require_equal(resumed[part], whole[part], part)


@pytest.mark.slow
def test_a_signal_within_a_batch_costs_none(unbroken, tmp_path):
    stop = [SIGNAL, "+callbacks.signal.batch=9", f"+callbacks.signal.number={int(signal.SIGTERM)}"]
    with heeded(process_ends=False), pytest.raises(Stopped, match="stopped by SIGTERM"):
        trained(tmp_path, *WORDS, *stop)
    cut = state(tmp_path)
    assert MEANS in cut
    assert cut["global_step"] == 6  # the step that the batch belongs to, of 4 in each epoch
    require_resumed(tmp_path, unbroken, "allow_changes=[callbacks.signal]")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trainer", "number"),
    [("cpu", signal.SIGTERM), ("cpu", signal.SIGUSR1), ("cpu", signal.SIGINT), ("ddp_cpu", signal.SIGTERM)],
)
def test_a_signal_to_a_command_within_an_epoch_costs_no_batch(tmp_path, trainer, number):
    words = [
        *(*SMALL, f"trainer={trainer}", "trainer.accumulate_grad_batches=3", "data.sampling.patches_per_epoch=240"),
        *("trainer.max_epochs=2", "callbacks.panels.enabled=false", "callbacks.progress.enabled=false"),
    ]
    command = [sys.executable, str(ROOT / "train.py")]
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    quiet = {"stdout": subprocess.DEVNULL, "env": env, "cwd": tmp_path}
    stop = [SIGNAL, "+callbacks.signal.batch=100", f"+callbacks.signal.number={number}"]
    cut = subprocess.run([*command, *words, *stop, "hydra.run.dir=cut"], check=False, timeout=250, **quiet)
    assert cut.returncode == 128 + number
    cut = state(tmp_path / "cut")
    assert MEANS in cut
    assert cut["global_step"] == 34  # the step that the batch belongs to, of 20 in each epoch
    again = ["resume=cut", "allow_changes=[callbacks.signal]", "~callbacks.signal"]
    subprocess.run([*command, *again], check=True, timeout=250, **quiet)
    if trainer == "cpu":
        trained(tmp_path / "whole", *words)
    else:
        subprocess.run([*command, *words, "hydra.run.dir=whole"], check=True, timeout=250, **quiet)
    assert curves(tmp_path / "cut") == curves(tmp_path / "whole")
    resumed, whole = state(tmp_path / "cut"), state(tmp_path / "whole")
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "loops"):
        require_equal(resumed[part], whole[part], part)


def trainer(steps=20, processes=1, agreed=None, batch=20):
    """What the clock asks of a trainer, of 60 batches in an epoch."""
    return SimpleNamespace(
        world_size=processes,
        global_step=steps,
        strategy=SimpleNamespace(broadcast=lambda value: value if agreed is None else agreed),
        save_checkpoint=lambda _: None,
        num_training_batches=60,
        fit_loop=SimpleNamespace(batch_idx=batch),
        accumulate_grad_batches=1,
    )


def test_a_checkpoint_is_due_after_some_minutes():
    last = LastCheckpoint("last.ckpt", minutes=0.01 / 60)
    last.on_train_start(None, None)
    assert not last._due(trainer())
    time.sleep(0.02)
    assert last._due(trainer())
    assert not last._due(trainer(steps=21, processes=2))  # processes agree now and then alone
    assert last._due(trainer(processes=2))
    assert not last._due(trainer(processes=2, agreed=False))  # the first one says


def test_an_older_checkpoint_is_renewed_before_the_last_step_of_an_epoch(monkeypatch):
    monkeypatch.setattr(last_checkpoint, "OLD_SECONDS", 0.01)
    last = LastCheckpoint("last.ckpt")
    last.on_train_start(None, None)
    assert not last._due(trainer(batch=58))
    time.sleep(0.02)
    assert not last._due(trainer(batch=57))
    assert last._due(trainer(batch=58))
    assert last._due(trainer(batch=58, steps=21, processes=2))
    assert not last._due(trainer(batch=58, processes=2, agreed=False))


@pytest.mark.slow
def test_a_run_saved_before_the_last_step_of_each_epoch_goes_on_from_there(unbroken, tmp_path, monkeypatch):
    """As after a kill in the validation."""
    monkeypatch.setattr(last_checkpoint, "OLD_SECONDS", 0.0)
    monkeypatch.setattr(last_checkpoint, "MOST_OF_TIME", math.inf)
    monkeypatch.setattr(Task, "on_validation_start", lambda self: 1 / (self.trainer.global_step != 8))
    with pytest.raises(ZeroDivisionError):
        trained(tmp_path, *WORDS)
    assert state(tmp_path)["global_step"] == 7
    monkeypatch.undo()
    trained(tmp_path, *WORDS, f"resume={tmp_path}")
    assert curves(tmp_path) == curves(unbroken)
    require_equal(state(tmp_path)["state_dict"], state(unbroken)["state_dict"])


def test_saving_takes_a_hundredth_of_the_time_at_most():
    last = LastCheckpoint("last.ckpt", minutes=0)
    slow = trainer()
    slow.save_checkpoint = lambda _: time.sleep(0.05)
    last._save(slow)
    assert last._next - time.monotonic() > 0.9 * 0.05 / MOST_OF_TIME


def test_none_are_saved_within_an_epoch_without_minutes():
    last = LastCheckpoint("last.ckpt", minutes=None)
    last.on_train_start(None, None)
    assert math.isinf(last._next)
    with pytest.raises(ValueError, match="callbacks.last.minutes=-1 must be a number of at least 0"):
        LastCheckpoint("last.ckpt", minutes=-1)


def test_checkpoints_by_the_clock_do_not_change_a_run(unbroken, tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(LastCheckpoint, "_due", lambda self, trainer: not saved.append(trainer.global_step))
    trained(tmp_path, *WORDS)
    assert saved == [1, 2, 3, 5, 6, 7, 9, 10, 11]  # after each step but the last of an epoch
    assert curves(tmp_path) == curves(unbroken)


@pytest.mark.slow
def test_a_limit_of_time_ends_a_training_within_an_epoch_and_is_one_of_each_process(tmp_path):
    words = [*WORDS, "data.sampling.patches_per_epoch=400", "trainer.max_epochs=1"]
    with pytest.raises(ValueError, match="before the first epoch ended"):
        trained(tmp_path, *words, "+trainer.max_time={milliseconds: 300}")
    assert 0 < state(tmp_path)["global_step"] < 50
    trained(tmp_path, *words, f"resume={tmp_path}", "+trainer.max_time={minutes: 5}")
    assert state(tmp_path)["global_step"] == 50
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "done"
