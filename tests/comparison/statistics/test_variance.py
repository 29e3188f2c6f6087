import numpy as np
import pytest
from scipy import stats

from segexp.comparison.statistics.variance import Part, case_part, fold_part, training_parts
from tests.comparison.statistics.tables import numbers, table

ONE_FOLD = np.zeros(20, dtype=np.intp)


def test_a_quantile_is_that_of_students_t():
    assert Part(2.0, 3.5, "cases").quantile(0.9) == pytest.approx(stats.t.ppf(0.9, 3.5))


def test_cases_of_one_fold_make_the_standard_error_of_a_mean():
    values = numbers(20)
    found = case_part(values, ONE_FOLD)
    assert (found.variance, found.df) == (pytest.approx(stats.sem(values) ** 2), 19)


def test_what_folds_differ_in_is_not_in_the_part_of_the_cases():
    """Each case a half away from the mean of its fold: 1 / (4 cases - 2 folds) / 4 cases."""
    found = case_part(np.array([0.0, 1.0, 10.0, 11.0]), np.array([0, 0, 1, 1]))
    assert (found.variance, found.df) == (pytest.approx(4 * 0.5**2 / 2 / 4), 2)


def test_equal_folds_make_the_standard_error_of_their_means():
    values, folds = numbers(20), np.arange(20) % 5
    means = [values[folds == fold].mean() for fold in range(5)]
    found = fold_part(values, folds)
    assert (found.variance, found.df) == (pytest.approx(stats.sem(means) ** 2), 4)


def test_without_a_second_run_of_a_fold_nothing_is_known_of_training():
    assert training_parts([table([1, 2, 3, 4], folds=[0, 0, 1, 1])], np.ones(1)) == []


def test_runs_that_move_all_cases_alike_make_the_variance_of_their_mean():
    """Run means 2 and 4, variance 2, of the mean of both 1."""
    assert training_parts([table([1, 3], [3, 5])], np.ones(1)) == [Part(pytest.approx(1.0), pytest.approx(1.0), "runs")]


def test_what_cases_move_by_themselves_discounts_the_variance_between_runs():
    """Run means ±0.5 around their mean: R = 0.5. Residuals of a half in each cell: E = 1 / (2 cases) = 0.5."""
    (found,) = training_parts([table([0, 2], [0, 0])], np.ones(1))
    assert found.variance == pytest.approx(0.5**2 / (0.5 + 0.5) / 2)


def test_two_sides_have_the_degrees_of_freedom_of_welch():
    one, other = np.array([1.0, 2.0, 4.0, 5.5]), np.array([3.0, 3.2, 3.1])
    tables = [table(*(np.zeros(6) + mean for mean in means)) for means in (one, other)]
    (found,) = training_parts(tables, np.array([-1.0, 1.0]))
    welch = stats.ttest_ind(one, other, equal_var=False)
    assert found.variance == pytest.approx(stats.sem(one) ** 2 + stats.sem(other) ** 2)
    assert found.df == pytest.approx(welch.df)


def test_a_side_with_one_run_is_given_the_variance_of_the_other():
    """Runs 0, 1 and 2 have a variance of 1: the mean of three has a third of it, the single one all."""
    three, single = table([0, 0], [1, 1], [2, 2]), table([5, 5])
    (found,) = training_parts([three, single], np.array([-1.0, 1.0]))
    assert found.variance == pytest.approx(1 / 3 + 1)
    assert found.df == pytest.approx(2)


def test_a_seed_that_acts_on_all_folds_alike_is_a_part_of_its_own():
    """Seed means ±1 in both folds: all parts together are the variance of the mean of two seeds."""
    found = training_parts([table([1] * 4, [-1] * 4, folds=[0, 0, 1, 1])], np.ones(1))
    assert [(part.source, part.df) for part in found] == [("runs", pytest.approx(2)), ("seeds", pytest.approx(1))]
    assert [part.variance for part in found] == pytest.approx([0.5, 0.5])
    assert sum(part.variance for part in found) == pytest.approx(np.var([1, -1], ddof=1) / 2)
