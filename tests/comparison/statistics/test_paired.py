import math

import numpy as np
import pytest
from scipy import stats

from segexp.comparison.statistics.paired import cohens_d_z, holm, mid_ranks, rank_biserial, sign_flip_p, signed_rank_p
from tests.comparison.statistics.tables import numbers

DARWIN = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48])  # eighths of an inch; Fisher 1935


@pytest.mark.parametrize("count", [5, 14, 15, 50, 51, 200])
def test_signed_rank_is_scipys(count):
    d = numbers(count, mean=0.03)
    assert signed_rank_p(d) == pytest.approx(stats.wilcoxon(d, zero_method="pratt").pvalue)


@pytest.mark.parametrize("count", [20, 31, 50, 51, 300])
@pytest.mark.parametrize("kinds", [3, 9, 40])
@pytest.mark.parametrize("zeros", [0, 1, 5])
def test_signed_rank_with_ties_and_zeros_is_scipys(count, kinds, zeros):
    d = np.random.default_rng(count + kinds).integers(-kinds, kinds + 2, count).astype(float)
    d[d == 0] = 1
    d[:zeros] = 0
    assert signed_rank_p(d) == pytest.approx(stats.wilcoxon(d, zero_method="pratt", method="asymptotic").pvalue)
    np.testing.assert_array_equal(mid_ranks(np.abs(d)), stats.rankdata(np.abs(d)))


def test_signed_rank_with_ties_and_zeros_enumerates():
    """Ranks of 0 1 -1 2 3 by Pratt: zero takes rank 1 and is dropped; 2.5 2.5 4 5 remain."""
    signs = np.array(np.meshgrid(*[[-1, 1]] * 4)).reshape(4, -1).T
    sums = np.abs(signs @ [2.5, 2.5, 4, 5])
    assert signed_rank_p([0, 1, -1, 2, 3]) == np.mean(sums >= 9)


def test_signed_rank_on_darwins_plants():
    assert signed_rank_p(DARWIN) == pytest.approx(0.0413, abs=5e-5)  # W = 24, tabled for n = 15


def test_sign_flips_on_darwins_plants():
    """Fisher 1935, section 21: of 32,768 flips 1,726 have a sum at least as far from 0."""
    assert sign_flip_p(DARWIN) == pytest.approx(1726 / 32768, abs=4 * math.sqrt(0.053 / 4999))


@pytest.mark.parametrize("count", [3, 8, 12])
def test_exact_sign_flips_are_scipys(count):
    d = numbers(count, mean=0.05)
    oracle = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_p(d) == pytest.approx(oracle.pvalue)


def test_drawn_sign_flips_repeat_and_are_never_zero():
    assert sign_flip_p(np.ones(100)) == 1 / 5000
    d = numbers(100, mean=0.01)
    assert sign_flip_p(d) == sign_flip_p(d)
    assert sign_flip_p(d) == pytest.approx(stats.ttest_1samp(d, 0).pvalue, abs=0.03)


def test_many_cases_take_the_limit():
    d = numbers(1025, mean=0.004)
    assert sign_flip_p(d) == pytest.approx(sign_flip_p(d[:1024]), abs=0.03)
    assert sign_flip_p(d) == pytest.approx(stats.ttest_1samp(d, 0).pvalue, abs=0.005)


@pytest.mark.parametrize("test", [signed_rank_p, sign_flip_p])
def test_nothing_and_all_ties(test):
    assert math.isnan(test([]))
    assert test([0.0, 0.0]) == 1
    assert test([0.3]) == 1
    assert test([0.1] * 5) == 2 / 2**5


def test_effect_sizes_by_hand():
    assert rank_biserial([1, 2, -3]) == 0  # (1 + 2 - 3) / 6
    assert rank_biserial([1, 2, 3]) == 1
    assert rank_biserial([0, 1]) == pytest.approx(2 / 3)  # the zero takes rank 1 of 3 and favours neither
    assert rank_biserial([0, 0]) == 0
    assert cohens_d_z([1, 2, 3]) == 2
    assert math.isnan(cohens_d_z([1, 1]))
    assert math.isnan(cohens_d_z([]))
    assert math.isnan(rank_biserial([]))


def test_rank_biserial_is_kerbys_difference_of_shares():
    ranks = stats.rankdata(np.abs(DARWIN))
    assert rank_biserial(DARWIN) == pytest.approx((ranks[DARWIN > 0].sum() - ranks[DARWIN < 0].sum()) / 120)
    w = stats.wilcoxon(DARWIN).statistic
    assert rank_biserial(DARWIN) == pytest.approx(1 - 2 * w / 120)


def test_holm_by_hand():
    """0.005 × 4; 0.01 × 3; 0.03 × 2; 0.04 × 1, lifted to the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.4, math.nan, 0.6]) == pytest.approx([0.8, math.nan, 0.8], nan_ok=True)
    assert holm([]) == []


def test_holm_is_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p = np.random.default_rng(0).beta(0.3, 1, 40)
    assert holm(list(p)) == pytest.approx(list(multitest.multipletests(p, method="holm")[1]))
