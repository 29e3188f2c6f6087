import re

import pytest

from segexp.training.forecast import forecast
from tests.training.test_pace import parts

LARGE = ["data.source.size=[512,512]", "data.sampling.patches_per_epoch=4"]


def said(step, made=0, *words):
    return forecast(*parts("trainer.max_epochs=5", *words), step, made)[0]


def test_a_short_run_is_told_by_its_one_step_and_nothing_is_measured(monkeypatch):
    monkeypatch.setattr("segexp.training.forecast.measure_pace", None)
    assert said(0.01).startswith("under a minute: 5 epochs of 4 steps, validation and scoring; machine: ")
    assert said(0.01, 4).startswith("under a minute: 1 epoch of 4 steps")


def test_a_step_that_seems_long_is_measured_again():
    text = said(0.9, 0, "data.sampling.patches_per_epoch=400")
    assert re.search(r" epochs of 100 steps of \d", text)
    assert " steps of 0.9 s" not in text


@pytest.mark.parametrize(
    ("words", "most"),
    [
        ([], "training"),
        (LARGE, "validation"),
        (["trainer.max_epochs=1", *LARGE], "the final scoring"),
    ],
)
def test_over_an_hour_says_what_takes_it_and_what_would_be_faster(words, most):
    text = said(600.0, 0, *words)
    assert text.startswith("about ")
    assert f"most of it is {most}; faster: minutes=20" in text
