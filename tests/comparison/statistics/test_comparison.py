import math
import re
import time
import warnings

import numpy as np
import pytest
from scipy import stats

from segexp.comparison.statistics.comparison import compare, corrected, summarize, verdict
from tests.comparison.statistics.tables import numbers, table


def test_summary_says_which_sd_is_which():
    found = summarize(table([0.1, 0.2, 0.3, 0.4], [0.3, 0.4, 0.5, 0.6], folds=[0, 0, 1, 1]))
    assert found.sd_seeds == pytest.approx(np.std([0.25, 0.45], ddof=1))
    assert found.sd_folds == pytest.approx(np.std([0.25, 0.45], ddof=1))
    assert found.sd_cases == pytest.approx(np.std([0.2, 0.3, 0.4, 0.5], ddof=1))
    assert (found.runs, found.seeds, found.folds) == (4, 2, 2)
    single = summarize(table([0.1, 0.2]))
    assert math.isnan(single.sd_seeds)
    assert math.isnan(single.sd_folds)


def test_a_metric_of_no_case_is_summarized_without_a_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = summarize(table([]))
    assert found.seeds == 1
    assert math.isnan(found.sd_seeds)


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


def seeds(mean, seed):
    return table(*(numbers(52, seed=9) + numbers(3, 52, seed=seed, mean=mean, sd=0.02)))


def test_verdict_says_who_by_how_much_and_how_sure():
    said = verdict(compare(seeds(0.0, 1), seeds(0.02, 2)), unit="Dice points", scale=100)
    number = r"\d\.\d+"
    shape = f"B is better than A by {number} Dice points, 95 % interval {number} to {number}, on 52 cases; {number} "
    shape += "Dice points would have shown with power 0.8"
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
    assert re.search(r"mm, 95 % interval −\S+ to \d\S+, on 52 cases; ", said)


def test_verdict_says_what_is_not_in_the_interval():
    one = verdict(compare(table(numbers(20)), table(numbers(20, seed=1))))
    assert "one run per side: training randomness is not in the interval, another seed may reverse it; " in one
    folds = np.arange(20) % 5
    folded = verdict(compare(table(numbers(20), folds=folds), table(numbers(20, seed=1), folds=folds)))
    assert "one seed: training randomness is judged from the spread between folds; " in folded


def test_five_hundred_runs_of_two_hundred_cases_take_seconds():
    tables = [table(*numbers(1, 200, seed=i)) for i in range(500)]
    start = time.process_time()
    for item in tables:
        summarize(item)
    family = corrected([compare(tables[0], item) for item in tables[1:]])
    assert time.process_time() - start < 8  # about 1 s on a quiet core
    assert sum(item.p_holm <= 0.05 for item in family) <= 2
