"""Detectable differences and what would settle a comparison: against known formulas, and in simulated worlds."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from segexp.comparison.statistics.comparison import compare, corrected, verdict
from segexp.comparison.statistics.intervals import weighted_interval
from segexp.comparison.statistics.paired import holm, holm_level
from segexp.comparison.statistics.power import POWER, Design, detectable, power, reach, with_seeds
from segexp.comparison.statistics.variance import Part
from tests.comparison.statistics.tables import numbers, table
from tests.comparison.statistics.test_coverage import World

REPETITIONS = 250
SHOWN = {
    "one run per side": World(response=0.5),
    "3 seeds, seed effect": World(seeds=3, training=0.25, response=0.5),
    "5 seeds, seed effect": World(seeds=5, training=0.2, response=0.5),
}


@pytest.mark.parametrize("cases", [6, 30])
@pytest.mark.parametrize("effect", [0.0, 0.4, 1.0])
def test_with_known_variance_the_power_is_that_of_the_t_test(cases, effect):
    known = Part(1 / cases, math.inf, "cases")
    found = power([known], [replace(known, df=cases - 1)], effect, 0.05)
    expected = TTestPower().power(effect, cases, 0.05) if effect else 0.05
    assert found == pytest.approx(expected, abs=0.02)


def test_an_estimated_variance_asks_for_more_than_a_known_one():
    part = Part(1.0, 4.0, "runs")
    sizes = np.random.default_rng(0).chisquare(4, (2, 200_000)) / 4
    found = detectable([part], 0.05)
    # A difference that is so many times the standard error of a first comparison, in a second one.
    claimed = np.random.default_rng(1).normal(found * np.sqrt(sizes[0])) / np.sqrt(sizes[1])
    assert np.mean(np.abs(claimed) > stats.t.ppf(0.975, 4)) == pytest.approx(POWER, abs=0.02)
    assert found > 1.2 * detectable([replace(part, df=400.0)], 0.05)


@pytest.mark.parametrize("world", [pytest.param(world, id=name) for name, world in SHOWN.items()])
def test_the_stated_difference_is_found_four_times_in_five(world):
    pairs = [weighted_interval(pair, [-1, 1]) for pair in world.pairs(2 * REPETITIONS)]
    stated = [detectable(found.parts, 0.05) for found in pairs[:REPETITIONS]]
    # In other worlds of the same kind: the difference moves the value alone, and the interval along with it.
    moved = zip(stated, pairs[REPETITIONS:], strict=True)
    claimed = [not (found.low + size <= 0 <= found.high + size) for size, found in moved]
    assert np.mean(claimed) == pytest.approx(POWER, abs=0.05 + 0.02)  # and the noise of so many repetitions


def test_the_stated_number_of_seeds_settles_a_difference_four_times_in_five():
    world = World(seeds=3, training=0.25, response=0.2, noise=0.2)
    rng, claimed = np.random.default_rng(0), []
    for pair in world.pairs(100):
        found = weighted_interval(pair, [-1, 1])
        design = Design(found.cases, 1, (3, 3), "seeds")
        seeds = reach(found.parts, design, 0.6, 0.05, settled=False).seeds
        if seeds is None:  # more than a hundred
            claimed.append(True)
            continue
        more = replace(world, seeds=seeds)
        cases = rng.normal(0, world.case, world.cases)
        again = weighted_interval([more.draw(rng, cases), more.draw(rng, cases, 0.6)], [-1, 1])
        claimed.append(not again.low <= 0 <= again.high)
    assert np.mean(claimed) == pytest.approx(POWER, abs=0.12)


def test_what_would_settle_a_difference_does_and_one_less_does_not():
    parts = [Part(0.02**2, 49.0, "cases"), Part(0.03**2, 4.0, "runs")]
    found = reach(parts, Design(50, 1, (3, 3), "seeds"), -0.08, 0.05, settled=False)
    assert found.seeds is not None
    assert found.seeds > 3
    design = Design(50, 1, (3, 3), "seeds")
    assert power(parts, with_seeds(parts, design, found.seeds), 0.08, 0.05) >= POWER
    assert found.seeds == 4 or power(parts, with_seeds(parts, design, found.seeds - 1), 0.08, 0.05) < POWER
    assert found.folds is None
    assert found.cases is None  # however many: the seeds alone are too few
    assert reach(parts, design, -0.08, 0.05, settled=True).seeds is None


def test_seeds_of_one_side_are_filled_up_first():
    parts = [Part(1.0, 49.0, "cases"), Part(1.0, 2.0, "runs")]
    _, runs = with_seeds(parts, Design(50, 1, (1, 3), "seeds"), 3)
    assert (runs.variance, runs.df) == (pytest.approx((2 / 3) / (4 / 3)), 4.0)


def test_folds_and_cases_lessen_their_own_part_alone():
    parts = [Part(1e-6, 45.0, "cases"), Part(1e-6, 20.0, "runs"), Part(1.0, 4.0, "folds")]
    found = reach(parts, Design(500, 5, (3, 3), "seeds"), 1.5, 0.05, settled=False)
    assert (found.seeds, found.cases) == (None, None)
    assert found.folds is not None
    assert 5 < found.folds < 60


def test_one_run_per_side_says_how_much_seeds_may_differ():
    parts = [Part(0.1**2, 49.0, "cases")]
    design = Design(50, 1, (1, 1), "unseen")
    sd = reach(parts, design, 1.0, 0.05, settled=True).tolerated_sd
    assert sd is not None
    rng, repetitions = np.random.default_rng(0), 20_000
    runs = rng.normal(0, sd, (2, 3, repetitions))
    difference = 1.0 + rng.normal(0, 0.1, repetitions) + runs[1].mean(0) - runs[0].mean(0)
    variances = 0.01 * rng.chisquare(49, repetitions) / 49, runs.var(1, ddof=1).sum(0) / 3
    quantiles = variances[0] * stats.t.ppf(0.975, 49) + variances[1] * stats.t.ppf(0.975, 4)
    assert np.mean(np.abs(difference) > quantiles / np.sqrt(sum(variances))) == pytest.approx(POWER, abs=0.03)
    assert reach(parts, design, 0.1, 0.05, settled=False).tolerated_sd == 0  # these cases do not suffice for that


def test_without_any_spread_every_difference_shows():
    assert detectable([Part(0.0, 9.0, "cases")], 0.05) == 0
    same = compare(table(numbers(10)), table(numbers(10)))
    assert same.reach.detectable == 0
    assert compare(table(numbers(1)), table(numbers(1))).reach is None


def test_the_level_is_the_one_at_which_holm_would_just_claim():
    rng = np.random.default_rng(0)
    for _ in range(200):
        p = [float(value) for value in rng.uniform(0, 0.05, rng.integers(1, 6))]
        place = int(rng.integers(len(p)))
        level = holm_level(p, place, 0.05)
        for own, claimed in ((level * (1 - 1e-9), True), (level * (1 + 1e-9), False)):
            assert (holm([*p[:place], own, *p[place + 1 :]])[place] <= 0.05) == claimed


def test_the_level_of_a_family_stands_in_the_sentence_and_costs_reach():
    base = numbers(40)
    others = [compare(table(base), table(base + 0.001 * numbers(40, seed=i))) for i in (1, 2, 3)]
    family = corrected(others)
    unclaimed = [item for item in family if not item.claimed]
    for item in unclaimed:
        assert f"at level {item.level:.2g}" in verdict(item)
        assert item.level < 0.05 or len(unclaimed) == 1
        assert item.reach.detectable >= others[family.index(item)].reach.detectable


def test_sentences_say_what_is_missing():
    few = World(seeds=3, training=0.25, response=0.5, shift=0.3)
    said = [verdict(compare(*pair)) for pair in few.pairs(20)]
    assert all("would have shown with power 0.8" in one for one in said)
    assert any(re.search(r"; a difference as estimated would show with \d+ seeds per side", one) for one in said)
    assert any("a difference as estimated would not show by more " in one for one in said)
    assert all("as estimated" not in one for one in said if "is better than" in one)
    (folded,) = World(folds=5, training=0.2).pairs(1)
    assert "train a second one" in verdict(compare(*folded))


def test_one_run_per_side_never_calls_a_method_better():
    for pair in World(shift=3.0).pairs(20):
        said = verdict(compare(*pair))
        assert said.startswith("on these cases the network of B does better than that of A by ")
        assert "is better" not in said
        assert "to speak of the methods, train 3 seeds or more per side" in said
