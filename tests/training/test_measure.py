import pytest

from segexp.build import build_data, build_task, build_trainer
from segexp.config import compose, plain
from segexp.training.measure import LEAST, StepClock, measure_step, random_patches
from tests.conftest import TINY

WORDS = [*TINY, "trainer=cpu", "name=x"]


def test_random_patches_have_the_shapes_of_real_ones():
    more = ["loss=weighted_ce_2015", "data.source.size=[48,48]", "data.source.count=9"]
    config = plain(compose([*WORDS, *more], run_dir="unused"))
    data = build_data(config)
    noise = random_patches(data, 4)
    data.prepare_data()
    data.setup()
    real = next(iter(data.train_dataloader()))
    assert {name: (value.shape, value.dtype) for name, value in noise.items()} == {
        name: (value.shape, value.dtype) for name, value in real.items()
    }


def test_targets_of_regions_have_an_axis_of_their_own():
    config = plain(compose([*WORDS, "loss=bce", "data.labels.regions={object: [1]}"], run_dir="unused"))
    batch = random_patches(build_data(config), 2)
    assert batch["target"].shape == (2, 1, 32, 32)
    assert "weight" not in batch


@pytest.mark.parametrize("every", [1, 2])
def test_the_clock_counts_optimizer_steps_after_the_warm_up_and_ends_the_training(tmp_path, every):
    config = plain(compose([*WORDS, f"trainer.accumulate_grad_batches={every}"], run_dir=tmp_path))
    task, clock = build_task(config), StepClock(0.01, every)
    trainer = build_trainer(config | {"callbacks": {}, "logger": None})
    trainer.callbacks.append(clock)
    cost = measure_step(task, trainer, random_patches(build_data(config), 4), clock)
    steps = len(clock.marks) - 1
    assert LEAST <= steps < 1000
    assert cost["timed_steps"] == steps * every
    assert trainer.global_step == len(clock.ends) // every
    assert 0 < cost["seconds_per_step"] * cost["timed_steps"] <= cost["measuring_seconds"]
    assert cost["checkpoint_bytes"] > 4 * sum(p.numel() for p in task.network.parameters())
    assert cost["gpu_bytes"] is None
