import math

import numpy as np
import pytest

from segexp.comparison.statistics.comparison import compare
from segexp.comparison.statistics.scores import Run, Scores, gather, shared
from tests.comparison.statistics.tables import mean_interval, numbers, table


def test_folds_of_a_seed_fill_one_row():
    runs = [Run(s, f, {f"c{f}{i}": s + f / 10 + i / 100 for i in range(2)}) for s in (1, 2) for f in (0, 1, 2)]
    found = gather(runs)
    assert found.values.shape == (2, 6)
    assert found.folds.tolist() == [0, 0, 1, 1, 2, 2]
    assert found.values[1].tolist() == pytest.approx([2.0, 2.01, 2.1, 2.11, 2.2, 2.21])
    assert (found.runs, found.fold_count) == (6, 3)


def test_folds_that_score_the_same_cases_are_replicates():
    found = gather([Run(1, fold, {"a": 0.1 * fold, "b": 0.5}) for fold in range(3)])
    assert found.values.shape == (3, 2)
    assert found.fold_count == 1


def test_undefined_scores_are_left_out():
    found = gather([Run(1, None, {"a": 0.4, "b": math.nan, "c": math.nan}), Run(2, None, {"a": 0.6, "b": 0.2})])
    assert found.cases == ("a", "b")
    assert found.case_means.tolist() == pytest.approx([0.5, 0.2])
    assert mean_interval(found).value == pytest.approx(0.35)


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([], "0 runs"),
        ([Run(1, 0, {"a": 1.0}), Run(1, 0, {"a": 1.0})], "seed 1 and fold 0 occur twice"),
        ([Run(1, None, {"a": math.inf})], "score inf of case 'a'"),
    ],
)
def test_what_is_no_experiment_is_refused(runs, message):
    with pytest.raises(ValueError, match=message):
        gather(runs)


def test_a_column_for_each_case():
    with pytest.raises(ValueError, match="2 columns"):
        Scores(np.zeros((1, 2)), ("a",), np.zeros(1, dtype=int), 1)


def test_shared_cases_are_in_one_order():
    a = gather([Run(1, None, {"x": 1.0, "y": 2.0, "z": 3.0})])
    b = gather([Run(1, None, {"z": 6.0, "w": 0.0, "y": 5.0})])
    first, second = shared([a, b])
    assert first.cases == second.cases == ("y", "z")
    assert (second.case_means - first.case_means).tolist() == [3.0, 3.0]


def test_a_fold_without_shared_cases_falls_away():
    a = table(*numbers(2, 6), folds=[0, 0, 1, 1, 2, 2])
    found = compare(a, a.of(["c0", "c1", "c4", "c5"]))
    assert found.interval.cases == 4
    assert found.interval.parts[-1].df == 1  # two folds are left
