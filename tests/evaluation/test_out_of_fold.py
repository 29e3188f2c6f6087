"""Cases that several runs held out count once; tests of whole cross-validations are in test_cross_validation.py."""

import math
from types import SimpleNamespace

import pytest

from segexp.evaluation.out_of_fold import OutOfFold
from segexp.metrics import CaseScores, SplitResult


def test_a_case_that_several_runs_held_out_counts_once_with_their_mean():
    pooled = OutOfFold.__new__(OutOfFold)
    pooled.parts = [SimpleNamespace(cases=["a", "b"]), SimpleNamespace(cases=["b", "c"])]
    scores = [0.2, 0.4, 0.8, math.nan]
    rows = [CaseScores(number, "cell", {"dice": score}) for number, score in enumerate(scores)]
    found = pooled.averaged(SplitResult(rows, {"dice": 0.4, "dice_cell": 0.4, "dice_pooled_cell": 0.5}, {}, {}, {}))
    assert [(row.case, row.scores["dice"]) for row in found.rows[:2]] == [(0, 0.2), (1, pytest.approx(0.6))]
    assert math.isnan(found.rows[2].scores["dice"])
    assert found.scores == {"dice": pytest.approx(0.4), "dice_cell": pytest.approx(0.4)}  # "b" would count twice
