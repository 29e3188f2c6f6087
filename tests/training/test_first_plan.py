import pytest

from segexp.training.epochs import Pace
from segexp.training.first_plan import fitted
from tests.training.test_pace import parts

PACE = Pace(batch=1.0, validation=0.5, scoring=4.0, closing=2.0)


def fit(monkeypatch, *words, minutes=2.0, spent=10.0, every=1, earlier=None):
    monkeypatch.setattr("segexp.training.first_plan.measure_pace", lambda *_: PACE)
    task, trainer, data = parts(*words)  # 4 batches in an epoch
    return fitted(minutes, spent, every, task, trainer, data, earlier)[1]


def test_what_is_spent_and_a_reserve_are_taken_off(monkeypatch, capsys):
    facts = fit(monkeypatch)
    assert (facts["epochs"], facts["steps"], facts["patches_per_epoch"]) == (22, 88, 16)  # 100 s, of 4.5 s an epoch
    assert facts["reserve_minutes"] == 0.1
    said = (
        "minutes=2: 22 epochs of 4 batches of 1 s, each validated; 10 s are spent, 6 s are kept for the final scoring"
    )
    assert capsys.readouterr().out.splitlines()[-1] == said


@pytest.mark.parametrize(
    ("words", "steps", "patches"),
    [
        (["data.sampling.patches_per_epoch=400"], 90, 20),  # 5 s an epoch at most
        (["data.sampling.patches_per_epoch=400", "trainer.limit_train_batches=0.5"], 90, 40),
        (["trainer.accumulate_grad_batches=3"], 44, 16),
        (["+trainer.max_steps=7"], 7, 16),
    ],
)
def test_a_long_epoch_becomes_a_shorter_one_and_settings_of_the_trainer_count(monkeypatch, words, steps, patches):
    facts = fit(monkeypatch, *words)
    assert (facts["steps"], facts["patches_per_epoch"]) == (steps, patches)


def test_a_resumed_run_keeps_the_size_of_its_epochs_and_adds_to_those_that_were_made(monkeypatch):
    earlier = {"epochs": 5, "step": 50, "facts": {"patches_per_epoch": 40}}
    facts = fit(monkeypatch, earlier=earlier)
    assert (facts["epochs"], facts["steps"], facts["patches_per_epoch"]) == (5 + 9, 50 + 90, 40)
