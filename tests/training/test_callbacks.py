import csv

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from segexp.training.callbacks import EpochTable, LearningRate, WeightAverage


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
        callbacks=[callback],
        enable_checkpointing=False,
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
    assert [(step, point["lr"]) for step, point in logger.points if "lr" in point] == [(0, 0.25), (3, 0.25)]


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
    averaged = fit(tmp_path, WeightAverage(decay=0.5), epochs=1).layer.weight.item()
    by_hand = steps[0]
    for weight in steps[1:]:
        by_hand = 0.5 * by_hand + 0.5 * weight
    assert averaged == pytest.approx(by_hand)
