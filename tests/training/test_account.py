"""Why a training ended, as the trainer tells it."""

import datetime

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping
from torch.utils.data import DataLoader

from segexp.training.account import ending, limits


class Module(pl.LightningModule):
    """Learns nothing; ``val/dice`` never improves."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch):
        return self.layer(batch).sum()

    def validation_step(self, batch):
        self.log("val/dice", 0.5)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"max_epochs": 2}, "all epochs"),
        ({"max_epochs": 9, "max_steps": 3}, "trainer.max_steps=3 reached"),
        ({"max_epochs": -1, "max_time": datetime.timedelta(milliseconds=1)}, "trainer.max_time is over"),
        ({"max_epochs": 9, "callbacks": [EarlyStopping("val/dice", mode="max", patience=1)]}, "early stopping: "),
    ],
    ids=["epochs", "steps", "time", "early"],
)
def test_why_a_training_ended(settings, said):
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    trainer = pl.Trainer(**settings, **quiet, enable_model_summary=False)
    loader = DataLoader(torch.zeros(2, 1))
    trainer.fit(Module(), loader, loader)
    assert ending(trainer).startswith(said)


def test_limits_are_those_in_force():
    node = {"limit_val_batches": 2, "limit_test_batches": None, "fast_dev_run": False, "max_epochs": 3}
    assert limits(node) == {"limit_val_batches": 2}
    assert limits({"fast_dev_run": 3}) == {"fast_dev_run": 3}
