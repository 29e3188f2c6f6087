import pytest
import torch

from segexp.build import build_data, build_task, build_trainer
from segexp.config import compose, plain
from segexp.training.pace import limited, measure_pace, presumed_pace
from tests.conftest import SMALL


def parts(*words):
    """Task, trainer and data of a small run, read."""
    config = plain(compose([*SMALL, "trainer=cpu", "name=x", *words], run_dir="unused"))
    trainer = build_trainer(config | {"callbacks": {}, "logger": None})
    data, task = build_data(config), build_task(config)
    data.setup()
    return task, trainer, data


def test_measuring_leaves_network_metrics_and_random_numbers_as_they_are():
    task, trainer, data = parts()
    state = {name: value.clone() for name, value in task.network.state_dict().items()}
    torch.manual_seed(3)
    pace = measure_pace(task, trainer, data, 0.2)
    drawn = torch.rand(3)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(3))
    assert all(torch.equal(value, state[name]) for name, value in task.network.state_dict().items())
    assert all(metric.update_count == 0 for metric in task.metrics)
    assert min(pace.batch, pace.validation, pace.scoring, pace.closing) > 0


@pytest.mark.parametrize(("inference", "views"), [("tiled", 1), ("tiled_turns", 8)])
def test_averaging_over_views_takes_as_many_times_as_long(inference, views):
    pace = measure_pace(*parts(f"inference={inference}"), 0.1)
    assert pace.scoring / pace.validation == pytest.approx(2 * views)  # as many test cases as validation cases


def test_a_presumed_pace_grows_with_the_step_and_counts_the_cases():
    _, trainer, data = parts("trainer.limit_val_batches=1")
    slow, fast = (presumed_pace(step, trainer, data) for step in (2.0, 1.0))
    assert slow.validation == pytest.approx(2 * fast.validation)
    assert fast.scoring == pytest.approx(4 * fast.validation)  # one validation case, three test cases


@pytest.mark.parametrize(("limit", "left"), [(None, 10), (1.0, 10), (3, 3), (30, 10), (0.25, 2)])
def test_a_limit_is_a_number_or_a_fraction(limit, left):
    assert limited(10, limit) == left
