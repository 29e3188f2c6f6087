import csv
import math

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from torch import nn
from torch.utils.data import DataLoader

from segexp.training.callbacks import EarlyStopping, EpochTable, LearningRate, WeightAverage, fitting_decay


class Learner(pl.LightningModule):
    def __init__(self, lr=0.1):
        super().__init__()
        self.layer, self.lr = nn.Linear(1, 1), lr

    def training_step(self, batch, _):
        loss = self.layer(batch).square().mean()
        self.log("train/loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.lr)


class Batches(pl.LightningDataModule):
    def __init__(self):
        super().__init__()
        self.sampling = type("Sampling", (), {"batch_size": 4})

    def train_dataloader(self):
        return DataLoader([torch.ones(4, 1)] * 3, batch_size=None)


class Logged(pl.loggers.logger.DummyLogger):
    def __init__(self):
        super().__init__()
        self.points = []

    def log_metrics(self, metrics, step=None):
        self.points.append((step, metrics))


def fit(folder, callback, epochs, logger=None, **more):
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        default_root_dir=folder,
        logger=logger or False,
        callbacks=[*more.pop("before", ()), callback],
        enable_checkpointing=isinstance(callback, Checkpoint),
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    torch.manual_seed(0)
    learner = Learner(**more)
    trainer.fit(learner, datamodule=Batches())
    return learner


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_has_a_row_per_epoch_with_steps_losses_and_times(tmp_path):
    fit(tmp_path, EpochTable(str(tmp_path / "metrics.csv")), epochs=3)
    table = rows(tmp_path / "metrics.csv")
    assert [(row["epoch"], row["step"]) for row in table] == [("0", "3"), ("1", "6"), ("2", "9")]
    losses = [float(row["train/loss"]) for row in table]
    assert losses == sorted(losses, reverse=True)
    for row in table:
        assert float(row["lr"]) == 0.1
        assert float(row["seconds"]) > 0
        assert float(row["validation_seconds"]) >= 0
        assert float(row["train/patches_per_second"]) == pytest.approx(12 / float(row["seconds"]), rel=0.5)


def test_rows_of_an_epoch_that_is_trained_again_are_replaced(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,seconds,validation_seconds\n-1,0,1,1\n0,99,1,1\n1,100,1,1\n2,101,1,1\n")
    fit(tmp_path, EpochTable(str(path)), epochs=2)
    assert [(row["epoch"], row["step"]) for row in rows(path)] == [("-1", "0"), ("0", "3"), ("1", "6")]


def test_the_learning_rate_of_each_epoch_is_logged_under_one_name(tmp_path):
    logger = Logged()
    fit(tmp_path, LearningRate(), epochs=2, logger=logger, lr=0.25)
    assert [(step, point["train/lr"]) for step, point in logger.points if "train/lr" in point] == [(0, 0.25), (3, 0.25)]


def test_averaged_weights_are_those_of_the_formula(tmp_path):
    last = fit(tmp_path, LearningRate(), epochs=1).layer.weight.item()
    torch.manual_seed(0)
    layer, steps = nn.Linear(1, 1), []
    for _ in range(3):  # the same three steps of SGD by hand
        layer.zero_grad()
        layer(torch.ones(4, 1)).square().mean().backward()
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter -= 0.1 * parameter.grad
        steps.append(layer.weight.item())
    assert last == pytest.approx(steps[-1])
    averaged = fit(tmp_path, WeightAverage(decay=0.2), epochs=1).layer.weight.item()
    first = 2 / 11 * steps[0] + 9 / 11 * steps[1]  # after one step it keeps (1 + 1) / (10 + 1), after two not 3 / 12
    assert averaged == pytest.approx(0.2 * first + 0.8 * steps[2])


def test_an_average_leaves_its_start_in_a_short_training():
    average, steps, kept = torch.zeros(1), torch.tensor(0), WeightAverage(decay=0.999)
    for step in range(1, 321):
        average = kept._averaged(average, torch.ones(1), steps + step)
    assert 1 - average.item() < 1e-6  # with 0.999 from the start on, 0.73 of the random weights would be left


@pytest.mark.parametrize("decay", [1, -0.1, "often"])
def test_a_decay_is_a_fraction_or_auto(decay):
    with pytest.raises(ValueError, match=f"callbacks.ema.decay={decay!r} must be a number of at least 0 and below 1"):
        WeightAverage(decay=decay)


@pytest.mark.parametrize(("steps", "decay"), [(10, 0.9), (200, 0.9), (1000, 0.98), (20_000, 0.999), (math.inf, 0.999)])
def test_a_decay_that_fits_reaches_back_over_a_twentieth_of_the_steps(steps, decay):
    assert fitting_decay(steps) == pytest.approx(decay)


def test_auto_fits_the_steps_of_the_training_and_a_number_stays(tmp_path):
    for decay, kept in (("auto", 1 - 1 / 15), (0.5, 0.5)):
        callback = WeightAverage(decay)
        fit(tmp_path, callback, epochs=100)  # of 3 steps
        assert callback._kept == pytest.approx(kept)


class Hello(pl.Callback):
    """What a user's own callback may do: it logs at the end of an epoch, and scores in some epochs alone."""

    def on_train_epoch_end(self, trainer, pl_module):
        pl_module.log("train/hello", 10.0 + trainer.current_epoch)
        self.log("bare", 20.0 + trainer.current_epoch)
        self.log("seconds", -1.0)
        if trainer.current_epoch != 1:
            pl_module.log("val/now_and_then", 1.0 + trainer.current_epoch)


def test_what_a_callback_logs_at_the_end_of_an_epoch_stands_in_its_row_and_old_figures_do_not(tmp_path):
    fit(tmp_path, EpochTable(str(tmp_path / "metrics.csv")), epochs=3, before=[Hello()])
    table = rows(tmp_path / "metrics.csv")
    assert [row["train/hello"] for row in table] == ["10.0", "11.0", "12.0"]
    assert [row["bare"] for row in table] == ["20.0", "21.0", "22.0"]
    assert [row["val/now_and_then"] for row in table] == ["1.0", "", "3.0"]
    assert all(float(row["seconds"]) > 0 for row in table)


def test_an_undefined_score_neither_ends_a_training_nor_counts():
    stopping = EarlyStopping("val/dice", "max", patience=2)
    scores = [math.nan, 0.5, 0.4, math.nan, math.nan, math.nan, 0.3]
    ends = [stopping._evaluate_stopping_criteria(torch.tensor(score))[0] for score in scores]
    assert ends == [False] * 6 + [True]
