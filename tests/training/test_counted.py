"""What is counted on shapes alone is what is measured on tensors."""

import pytest
import torch
from torch import nn

from segexp.build import build_data, build_task, build_trainer
from segexp.config import compose, plain
from segexp.training.counted import prediction_bytes, step_bytes
from segexp.training.footprint import measure_footprint
from segexp.training.measure import random_patches
from tests.conftest import SMALL


def parts(*words):
    config = plain(compose([*SMALL, "trainer=cpu", "name=x", *words], run_dir="unused"))
    trainer = build_trainer(config | {"callbacks": {}, "logger": None})
    return build_task(config), trainer, random_patches(build_data(config), 4)


@pytest.mark.parametrize(
    "words",
    [
        ["loss=dice_ce"],
        ["loss=lovasz", "model.norm=instance", "optimizer=sgd"],
        ["trainer.precision=bf16-mixed", "model.checkpointing=true"],
    ],
)
def test_a_step_takes_what_the_footprint_measures(words):
    task, trainer, batch = parts(*words)
    measured = measure_footprint(task, trainer, batch).step_memory_mib
    drawn = torch.get_rng_state()
    counted = step_bytes(task, trainer, batch)
    assert counted is not None
    assert counted / 2**20 == pytest.approx(measured, rel=0.03, abs=0.06)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert {one.device.type for one in task.network.parameters()} == {"cpu"}
    assert not any(type(one).__name__ == "FakeTensor" for one in task.network.parameters())


def test_shapes_that_no_machine_could_hold_are_counted_and_checkpointing_saves():
    task, trainer, batch = parts()
    huge = {name: value[:, ..., :1, :1].expand(*value.shape[:-2], 2**20, 2**20) for name, value in batch.items()}
    plain_step, saving = step_bytes(task, trainer, huge), step_bytes(task, trainer, huge, checkpointing=True)
    assert plain_step is not None
    assert saving is not None
    assert 2**46 < saving < 0.85 * plain_step
    assert task.network.config["checkpointing"] is False
    predicted = prediction_bytes(task, trainer, huge["image"])
    assert predicted is not None
    assert 2**43 < predicted < 0.7 * plain_step


class Undecided(nn.Module):
    """Its work depends on the numbers."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1)

    def forward(self, image):
        bright = image[image > 0]
        return self.conv(image) + bright[: len(bright)].mean()


def test_what_cannot_run_on_shapes_is_unknown(caplog):
    task, trainer, batch = parts()
    task.network = Undecided()
    assert step_bytes(task, trainer, batch) is None
    assert not caplog.records
