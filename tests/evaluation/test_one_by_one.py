"""Cases scored one by one have the rows of the whole split."""

from pathlib import Path

import numpy as np
import pytest

from segexp.evaluation.evaluation import Evaluation
from segexp.evaluation.one_by_one import Scored
from segexp.evaluation.rescoring import LabelScorer, rescored
from segexp.evaluation.trained import open_trained
from tests.conftest import trained


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    words = ["trainer.max_epochs=2", "optimizer.lr=1e-2", "metrics=[overlap,membrane]", "monitor=val/dice"]
    return trained(tmp_path_factory.mktemp("runs") / "run", *words)


def scored_each(evaluation: Evaluation, steps: dict) -> list[Scored]:
    found: list[Scored] = []
    evaluation.score_each(evaluation.data.cases("test"), steps, found.append)
    return found


@pytest.mark.parametrize("steps", [{}, {"min_size": {"size": 20}}])
def test_rows_and_labels_are_those_of_the_split(run, steps):
    evaluation = Evaluation([open_trained(run)], [])
    evaluation.open("test")
    whole, predictions = evaluation.score("test")
    scorer = LabelScorer(evaluation.data, evaluation.data.cases("test"))
    labels = predictions.by(evaluation.decision_rule)
    if steps:
        whole = rescored(evaluation.task.metrics, scorer, predictions, steps)
        labels = scorer.processed(labels, steps)
    each = scored_each(evaluation, steps)
    assert [one.index for one in each] == [0, 1, 2]
    for one, expected in zip(each, labels, strict=True):
        rows = {row.label: row.scores for row in whole.rows if row.case == one.index}
        require_same({row.label: row.scores for row in one.result.rows}, rows)
        assert (one.labels == expected).all()
        assert one.prepared is evaluation.data.cases("test")[one.index]


def require_same(one: dict, other: dict) -> None:
    """Scores are the same to the last digit, nan at the same places."""
    assert one.keys() == other.keys()
    for label, scores in one.items():
        assert scores.keys() == other[label].keys()
        for name, value in scores.items():
            assert np.array_equal(value, other[label][name], equal_nan=True), (label, name)


def test_what_was_chosen_on_validation_cases_holds(run):
    evaluation = Evaluation([open_trained(run)], [])
    evaluation.open("test")
    threshold = evaluation.chosen["threshold"]
    assert {one.result.chosen["threshold"] for one in scored_each(evaluation, {})} == {threshold}
