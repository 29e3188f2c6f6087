import math
import re
import time

import numpy as np
import pytest
from scipy import stats

from segexp.comparison.statistics import (
    Run,
    Scores,
    cohens_d_z,
    compare,
    corrected,
    gather,
    holm,
    marginal_effects,
    mean_interval,
    rank_biserial,
    shared,
    sign_flip_p,
    signed_rank_p,
    summarize,
    verdict,
    weighted_interval,
)

DARWIN = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48])  # eighths of an inch; Fisher 1935


def table(*rows, folds=None):
    values = np.array(rows, dtype=float)
    count = values.shape[1]
    labels = np.zeros(count, dtype=int) if folds is None else np.array(folds)
    return Scores(values, tuple(f"c{i}" for i in range(count)), labels, len(rows) * len(set(labels)))


def numbers(*shape, seed=0, mean=0.8, sd=0.1):
    return np.random.default_rng(seed).normal(mean, sd, shape)


# tables


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


# intervals


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


def test_summary_says_which_sd_is_which():
    found = summarize(table([0.1, 0.2, 0.3, 0.4], [0.3, 0.4, 0.5, 0.6], folds=[0, 0, 1, 1]))
    assert found.sd_seeds == pytest.approx(np.std([0.25, 0.45], ddof=1))
    assert found.sd_folds == pytest.approx(np.std([0.25, 0.45], ddof=1))
    assert found.sd_cases == pytest.approx(np.std([0.2, 0.3, 0.4, 0.5], ddof=1))
    assert (found.runs, found.seeds, found.folds) == (4, 2, 2)
    single = summarize(table([0.1, 0.2]))
    assert math.isnan(single.sd_seeds)
    assert math.isnan(single.sd_folds)


# tests over cases


@pytest.mark.parametrize("count", [5, 14, 15, 50, 51, 200])
def test_signed_rank_is_scipys(count):
    d = numbers(count, mean=0.03)
    assert signed_rank_p(d) == pytest.approx(stats.wilcoxon(d, zero_method="pratt").pvalue)


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


# effect sizes and correction


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


def test_correction_over_a_family():
    base, standard = numbers(40), stats.zscore(numbers(40, seed=1), ddof=1)
    found = [compare(table(base), table(base + standard + t / math.sqrt(40))) for t in (0.5, 4.0, 2.2)]
    p = [2 * stats.t.sf(t, 39) for t in (0.5, 4.0, 2.2)]  # 0.62, 0.0003, 0.034
    family = corrected(found)
    assert [item.p_holm for item in family] == pytest.approx([p[0], 3 * p[1], 2 * p[2]], rel=1e-4)
    assert {item.family for item in family} == {3}
    lost = [item for item in family if item.interval.p_value < 0.05 <= item.p_holm]
    assert lost
    assert all("no difference can be seen" in verdict(item) for item in lost)
    assert "after Holm's correction over 3 comparisons" in verdict(lost[0])


# words


def seeds(mean, seed):
    return table(*(numbers(52, seed=9) + numbers(3, 52, seed=seed, mean=mean, sd=0.02)))


def test_verdict_says_who_by_how_much_and_how_sure():
    said = verdict(compare(seeds(0.0, 1), seeds(0.02, 2)), unit="Dice points", scale=100)
    number = r"\d\.\d+"
    shape = f"B is better than A by {number} Dice points, 95 % interval {number} to {number}, on 52 cases"
    assert re.fullmatch(shape, said)
    numbers_said = [float(word) for word in re.findall(r"\d\.\d+", said)]
    assert numbers_said[1] < numbers_said[0] < numbers_said[2]
    assert numbers_said[0] == pytest.approx(2, abs=0.8)


def test_verdict_turns_with_the_sides_and_the_sense_of_the_metric():
    a, b = seeds(0.0, 1), seeds(0.02, 2)
    forward = verdict(compare(a, b))
    assert verdict(compare(b, a)) == forward.replace("B is better than A", "A is better than B")
    assert verdict(compare(a, b), higher_is_better=False) == forward.replace("B is better than A", "A is better than B")
    assert verdict(compare(a, b), names=("unet", "fcn")).startswith("fcn is better than unet by 0.0")


def test_verdict_without_difference_shows_the_sign():
    said = verdict(compare(seeds(0.0, 1), seeds(0.0, 2)), unit="mm")
    assert said.startswith("no difference can be seen: B − A is ")
    assert re.search(r"mm, 95 % interval −\S+ to \d\S+, on 52 cases$", said)


def test_verdict_says_what_is_not_in_the_interval():
    one = verdict(compare(table(numbers(20)), table(numbers(20, seed=1))))
    assert one.endswith("one run per side: training randomness is not in the interval, another seed may reverse it")
    folds = np.arange(20) % 5
    folded = verdict(compare(table(numbers(20), folds=folds), table(numbers(20, seed=1), folds=folds)))
    assert folded.endswith("one seed: training randomness is judged from the spread between folds")


# sweeps

LAYOUT = [{"depth": depth, "loss": loss} for depth in (2, 3, 4) for loss in ("ce", "dice")]
MEANS = [0.70, 0.72, 0.75, 0.77, 0.76, 0.78]  # additive


def sweep(rows=1, sd=0.0):
    cases = numbers(30, mean=0)
    return [table(*(cases + mean + numbers(rows, 30, seed=i, mean=0, sd=sd))) for i, mean in enumerate(MEANS)]


def test_marginal_effects_are_means_over_the_other_settings():
    found = marginal_effects(LAYOUT, sweep(), "depth")
    assert [item.value for item in found] == [2, 3, 4]
    offset = numbers(30, mean=0).mean()
    assert [item.mean.value for item in found] == pytest.approx([offset + x for x in (0.71, 0.76, 0.77)])
    assert [item.effect.value for item in found] == pytest.approx([x - 2.24 / 3 for x in (0.71, 0.76, 0.77)])
    assert all(item.matched and item.experiments == 2 for item in found)


def test_what_cases_share_is_not_in_the_interval_of_an_effect():
    for item in marginal_effects(LAYOUT, sweep(rows=3, sd=0.01), "loss"):
        assert item.effect.high - item.effect.low < 0.3 * (item.mean.high - item.mean.low)
        assert item.effect.training == "seeds"


def test_without_seeds_the_residual_of_the_layout_stands_for_training():
    tables = sweep()
    tables[0] = table(tables[0].values[0] + 0.06)
    item = marginal_effects(LAYOUT, tables, "loss")[0]
    means = np.array([[0.70 + 0.06, 0.72], [0.75, 0.77], [0.76, 0.78]])
    rest = means - means.mean(0) - means.mean(1, keepdims=True) + means.mean()
    assert item.mean.training == "settings"
    assert item.mean.parts[1].variance == pytest.approx((rest**2).sum() / 2 / 3)
    assert item.mean.parts[1].df == 2


def test_only_settings_that_were_tried_with_every_value_count():
    tables = sweep()
    found = marginal_effects(LAYOUT[:5], tables[:5], "depth")
    assert [item.experiments for item in found] == [1, 1, 1]
    assert all(item.matched for item in found)
    apart = [{"depth": 2, "loss": "ce"}, {"depth": 3, "loss": "dice"}]
    assert not any(item.matched for item in marginal_effects(apart, tables[:2], "depth"))
    with pytest.raises(ValueError, match="has no 'lr'"):
        marginal_effects(LAYOUT, tables, "lr")


def test_the_interval_of_a_marginal_effect_covers_it():
    rng, hits = np.random.default_rng(0), []
    for _ in range(200):
        cases = rng.normal(0, 0.1, 20)
        tables = [table(cases + mean + rng.normal(0, 0.01) + rng.normal(0, 0.03, 20)) for mean in MEANS]
        effect = marginal_effects(LAYOUT, tables, "depth")[0].effect
        hits.append(effect.low <= 0.71 - 2.24 / 3 <= effect.high)
    assert np.mean(hits) >= 0.91  # 95 % less 2.6 standard errors of 200 repetitions


def test_five_hundred_runs_of_two_hundred_cases_take_seconds():
    tables = [table(*numbers(1, 200, seed=i)) for i in range(500)]
    start = time.process_time()
    for item in tables:
        summarize(item)
    family = corrected([compare(tables[0], item) for item in tables[1:]])
    assert time.process_time() - start < 8  # about 1 s on a quiet core
    assert sum(item.p_holm <= 0.05 for item in family) <= 2
