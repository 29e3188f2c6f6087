import gc
import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from segexp.build import build_data, build_task, build_trainer
from segexp.config import compose, plain
from segexp.training.footprint import Footprint, LiveTensors, measure_footprint, print_footprint
from segexp.training.measure import random_patches
from tests.conftest import SMALL, trained

FOUND = Footprint(7482, 1_590_000, 12.3, 44, (64, 48), 4)


def footprint(*words):
    config = plain(compose([*SMALL, "trainer=cpu", "name=x", *words], run_dir="unused"))
    data, task = build_data(config), build_task(config)
    state = {name: value.clone() for name, value in task.network.state_dict().items()}
    torch.manual_seed(3)
    found = measure_footprint(task, build_trainer(config | {"callbacks": {}, "logger": None}), random_patches(data, 4))
    drawn = torch.rand(3)
    torch.manual_seed(3)
    random_patches(data, 4)
    assert torch.equal(drawn, torch.rand(3)), "the random numbers go on as if nothing had been measured"
    assert all(torch.equal(value, state[name]) for name, value in task.network.state_dict().items())
    return found


def test_tensors_are_counted_while_they_live():
    with LiveTensors() as live:
        a = torch.ones(1000)
        b = a.view(10, 100)  # shares its memory
        c = a + 1
        del c
        d = a * b.sum()
        del a, b
    assert live.peak == 8000 + 4  # two of 1000 floats, and the sum
    del d
    gc.collect()
    assert live.bytes == 0


def allocated(step):
    """Peak bytes of PyTorch's allocator on the CPU, from its profiler."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        step()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


@pytest.mark.parametrize(
    ("network", "shape", "least"),
    [
        (nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 64)), (1000, 64), 0.99),
        (nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 1)), (4, 1, 96, 96), 0.4),
    ],
)
def test_the_peak_is_that_of_the_allocator_but_for_the_scratch_of_convolutions(network, shape, least):
    image = torch.randn(shape)

    def step():
        network(image).square().mean().backward()

    step()
    peak = allocated(step)
    with LiveTensors() as live:
        step()
    assert least * peak <= live.peak <= 1.001 * peak


def test_memory_grows_with_the_network_and_shrinks_with_checkpointing():
    plain_network = footprint("model.base_channels=8")
    wide, saving = footprint("model.base_channels=16"), footprint("model.base_channels=8", "model.checkpointing=true")
    assert 1.6 < wide.step_memory_mib / plain_network.step_memory_mib < 4.5
    assert saving.step_memory_mib < 0.85 * plain_network.step_memory_mib
    assert saving.parameters == plain_network.parameters
    assert saving.multiply_adds == plain_network.multiply_adds


def test_optimizer_states_are_in_the_memory():
    adam, sgd = (
        footprint("model.base_channels=32", "model.depth=3"),
        footprint(
            "model.base_channels=32",
            "model.depth=3",
            "optimizer=sgd",
            "optimizer.momentum=0.0",
            "optimizer.nesterov=false",
        ),
    )
    more = (adam.step_memory_mib - sgd.step_memory_mib) * 2**20 / 4
    assert more == pytest.approx(2 * adam.parameters, rel=0.1)


def test_a_warning_says_when_the_network_sees_farther_than_a_patch():
    assert FOUND.warning() is None
    far = replace(FOUND, receptive_field=49)
    assert "receptive field of 49 px exceeds the patch of 64 × 48 px" in (far.warning() or "")
    assert replace(FOUND, receptive_field=None).warning() is None
    assert replace(FOUND, receptive_field=(64, 48)).warning() is None
    assert "receptive field of 64 × 49 px exceeds" in (replace(FOUND, receptive_field=(64, 49)).warning() or "")


def test_the_table_is_printed_with_units(capsys):
    print_footprint(replace(FOUND, receptive_field=188), "UNet")
    said = capsys.readouterr().out
    for words in ("UNet", "7,482", "1.59 M for a patch of 64 × 48 px", "12.3 MiB for 4 patches", "188 px", "note: the"):
        assert words in said


def test_a_run_prints_and_records_it_before_it_trains(tmp_path, capsys):
    trained(tmp_path, "trainer.max_epochs=1")
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["receptive_field"] == 44
    assert record["parameters"] > 0 < record["multiply_adds"]
    assert record["step_memory_mib"] > 0
    said = capsys.readouterr().out
    assert 0 < said.index("memory of a step") < said.index("dice")
