import numpy as np
import pytest

from segexp.comparison.statistics.marginal import marginal_effects
from tests.comparison.statistics.tables import numbers, table

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
