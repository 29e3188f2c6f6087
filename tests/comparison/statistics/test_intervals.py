import math

import numpy as np
import pytest
from scipy import stats

from segexp.comparison.statistics.comparison import compare, summarize, verdict
from segexp.comparison.statistics.intervals import weighted_interval
from tests.comparison.statistics.tables import mean_interval, numbers, table


def test_one_run_per_side_is_the_paired_t_test():
    a, b = numbers(30), numbers(30, seed=1, mean=0.82)
    oracle = stats.ttest_rel(b, a)
    found = weighted_interval([table(a), table(b)], [-1, 1])
    assert found.p_value == pytest.approx(oracle.pvalue, rel=1e-5)
    assert (found.low, found.high) == pytest.approx(tuple(oracle.confidence_interval(0.95)))
    assert found.training == "unseen"


@pytest.mark.parametrize("shift", [0.0, 1e-3, 0.05, 0.3])
def test_the_p_value_is_where_the_interval_ends_at_zero(shift):
    a, b = table(*numbers(3, 30)), table(*(numbers(4, 30, seed=1) + shift))
    p = weighted_interval([a, b], [-1, 1]).p_value
    found = weighted_interval([a, b], [-1, 1], level=1 - p)
    assert min(abs(found.low), abs(found.high)) == pytest.approx(0, abs=1e-5 * found.se)


def test_one_seed_with_folds_is_the_t_test_over_folds():
    scores = numbers(20)
    oracle = stats.ttest_1samp(scores.reshape(5, 4).mean(1), 0)
    found = mean_interval(table(scores, folds=np.repeat(range(5), 4)))
    assert (found.low, found.high) == pytest.approx(tuple(oracle.confidence_interval(0.95)))
    assert found.training == "folds"


def test_parts_by_hand():
    """Rows 1 3 and 5 5: case means 3 4, run means 2 5, residuals of half a unit."""
    found = mean_interval(table([1, 3], [5, 5]), resamples=0)
    cases, runs = found.parts
    assert (cases.variance, cases.df) == (0.5 / 2, 1)
    raw = ((2 - 3.5) ** 2 + (5 - 3.5) ** 2) / 1 / 2  # 2.25: variance of two runs' mean
    noise = 4 * 0.5**2 / 1 / (2 * 2)  # 0.25: its share from cases that move by themselves
    assert runs.variance == pytest.approx(raw**2 / (raw + noise))
    assert runs.df == 1
    assert found.se == pytest.approx(math.sqrt(0.25 + raw**2 / (raw + noise)))


def test_identical_cases_leave_the_spread_of_seeds_alone():
    means = np.array([0.7, 0.8, 0.83])
    found = mean_interval(table(*np.repeat(means[:, None], 12, axis=1)))
    oracle = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(oracle))
    assert found.training == "seeds"


def test_welch_is_the_limit_where_cases_do_not_matter():
    """Two experiments whose cases are all alike: a t test of run means with unequal variances."""
    a, b = np.array([0.7, 0.8, 0.83]), np.array([0.9, 0.91, 0.93, 0.94])
    found = weighted_interval([table(*np.repeat(x[:, None], 9, axis=1)) for x in (a, b)], [-1, 1])
    oracle = stats.ttest_ind(b, a, equal_var=False)
    assert found.p_value == pytest.approx(oracle.pvalue, rel=1e-4)
    assert (found.low, found.high) == pytest.approx(tuple(oracle.confidence_interval(0.95)))


def test_a_side_with_one_seed_is_given_the_spread_of_the_other():
    three, one = table(*numbers(3, 20)), table(*numbers(1, 20, seed=1))
    both = compare(three, one)
    runs = both.interval.parts[1]
    alone = weighted_interval([three], [1.0]).parts[1]
    assert runs.variance == pytest.approx(alone.variance * (1 + 3))  # a mean of three runs, and one run
    assert runs.df == 2
    assert "its training randomness is taken from the other's" in verdict(both)


def test_bootstrap_t_against_its_definition():
    scores = 1 - np.random.default_rng(3).gamma(1, 0.05, 25)
    rng = np.random.default_rng(5)
    drawn = rng.choice(scores, (40000, 25))
    studentized = (drawn.mean(1) - scores.mean()) / stats.sem(drawn, axis=1)
    low, high = scores.mean() - stats.sem(scores) * np.quantile(studentized, [0.975, 0.025])
    found = mean_interval(table(scores), resamples=40000)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.05 * (high - low))
    assert found.value - found.low > 1.2 * (found.high - found.value)  # the tail is on the left


def test_the_bootstrap_agrees_with_scipy_where_all_methods_agree():
    scores = numbers(400)
    oracle = stats.bootstrap((scores,), np.mean, method="BCa", rng=0).confidence_interval
    found = mean_interval(table(scores))
    assert (found.low, found.high) == pytest.approx(tuple(oracle), abs=0.05 * (oracle.high - oracle.low))


def test_resampling_stays_within_folds():
    """Folds far apart and even within: resamples of whole folds would spread by units, these by hundredths."""
    scores = np.repeat([0.0, 5.0], 10) + numbers(3, 20, mean=0, sd=0.01)
    found = mean_interval(table(*scores, folds=np.repeat([0, 1], 10)))
    assert found.parts[0].variance < 1e-4
    assert found.parts[-1].source == "folds"
    assert found.high - found.low > 5  # two training sets that differ by 5 say nearly nothing


def test_intervals_repeat():
    one = table(*numbers(3, 40), folds=np.arange(40) % 4)
    assert mean_interval(one) == mean_interval(one)
    assert mean_interval(one).low != mean_interval(one, seed=1).low


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_cases_have_no_interval(count):
    found = compare(table(numbers(count)), table(numbers(count, seed=1)))
    assert math.isnan(found.interval.low)
    assert math.isnan(found.interval.p_value)
    assert f"they share {count} case" in verdict(found)
    assert math.isnan(summarize(table(numbers(1))).sd_cases)


def test_no_variance():
    flat = table([0.8] * 10, [0.8] * 10)
    found = summarize(flat).interval
    assert (found.low, found.high) == pytest.approx((0.8, 0.8))
    same = compare(flat, flat)
    assert (same.interval.p_value, same.p_wilcoxon, same.p_permutation) == (1, 1, 1)
    assert (same.rank_biserial, same.d_z) == (0, 0)
    assert "no difference can be seen" in verdict(same)


def test_identical_runs_do_not_differ():
    one = table(*numbers(3, 20))
    found = compare(one, one)
    assert found.interval.value == 0
    assert found.interval.low < 0 < found.interval.high
    assert found.interval.p_value == found.p_holm == 1


def test_many_equal_scores_fall_back_to_t():
    scores = np.array([1.0] * 11 + [0.5])
    oracle = stats.ttest_1samp(scores, 0).confidence_interval(0.95)
    assert (mean_interval(table(scores)).low, mean_interval(table(scores)).high) == pytest.approx(tuple(oracle))


def test_missing_runs_of_a_fold():
    scores = numbers(3, 20)
    scores[2, 10:] = np.nan
    found = mean_interval(table(*scores, folds=np.repeat([0, 1], 10)))
    runs = next(part for part in found.parts if part.source == "runs")
    assert runs.df == 2 + 1
    assert found.value == pytest.approx(np.concatenate([scores[:, :10].mean(0), scores[:2, 10:].mean(0)]).mean())


def test_as_many_folds_as_cases():
    scores = numbers(6)
    oracle = stats.ttest_1samp(scores, 0).confidence_interval(0.95)
    found = mean_interval(table(scores, folds=range(6)))
    assert (found.low, found.high) == pytest.approx(tuple(oracle))
    assert mean_interval(table(*numbers(3, 6), folds=range(6))).se > 0
