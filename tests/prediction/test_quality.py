"""Estimates of the Dice against numpy's own fits, and whose calibration holds for whom."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import pearsonr, rankdata

from segexp.checkpoints.checkpoint import Model, hash_weights
from segexp.inference.quality import Measures
from segexp.inference.views import UNTURNED, View
from segexp.prediction.quality import (
    correlation_interval,
    estimated,
    find_calibration,
    fit,
    rank_correlation,
    why_unknown,
)
from tests.prediction.models import make_model


def case(certainty: float, agreement: float | None = None, predicted: int = 9) -> Measures:
    return Measures(expected_dice=certainty, agreement=agreement, entropy=0.1, predicted=predicted, temperature=1.0)


def cases(count: int = 20, slope: float = 0.8):
    rng = np.random.default_rng(1)
    x = rng.uniform(0.5, 0.95, count)
    return x, np.clip(0.1 + slope * x + rng.normal(0, 0.03, count), 0, 1)


def fitted(x, y, **changes):
    arguments = {"networks": ["a"], "views": [], "steps": {}} | changes
    return fit([case(one) for one in x], y, **arguments)


def test_the_line_is_that_of_numpy_and_its_interval_that_of_the_jackknife():
    x, y = cases()
    found = fitted(x, y)
    slope, intercept = np.polyfit(x, y, 1)
    assert (found["slope"], found["intercept"]) == (pytest.approx(slope), pytest.approx(intercept))
    left_out = []
    for i in range(20):
        line = np.polyfit(np.delete(x, i), np.delete(y, i), 1)
        left_out.append(abs(y[i] - np.polyval(line, x[i])))
    assert found["half_width"] == pytest.approx(sorted(left_out)[18])  # ceil(0.9 * 21) = 19 of 20
    quality = estimated(case(0.7), found)
    assert quality.dice == pytest.approx(np.polyval([slope, intercept], 0.7))
    assert quality.high - quality.low == pytest.approx(2 * found["half_width"])
    assert found["certainties"] == sorted(x)


def test_few_cases_have_no_interval_and_fewer_no_line():
    x, y = cases(5)
    assert estimated(case(0.7), fitted(x, y)).low is None
    with pytest.raises(ValueError, match="needs 3 validation cases with a Dice at least, there are 2"):
        fitted(x, [*y[:2], *[float("nan")] * 3])


def test_the_line_never_falls_and_an_empty_mask_is_worth_nothing():
    x, y = cases(slope=0.8)
    falling = fitted(x, 1 - y)
    assert falling["slope"] == 0
    assert falling["intercept"] == pytest.approx(np.mean(1 - y))
    assert estimated(case(0.0, predicted=0), fitted(x, y)).dice == 0


def test_agreement_estimates_where_there_is_one():
    x, y = cases()
    found = fit([case(0.5, agreement=one) for one in x], y, ["a"], [], {})
    assert found["measure"] == "agreement"
    assert found["correlation"] == pytest.approx(pearsonr(rankdata(x), rankdata(y)).statistic)


def test_of_many_cases_a_thousand_are_kept():
    x, y = cases(2500)
    found = fitted(x[:2500], y)
    assert len(found["certainties"]) == len(found["scores"]) == 1000
    assert (found["certainties"][0], found["certainties"][-1]) == (min(x), max(x))


def test_intervals_of_rank_correlations_cover_the_truth():
    rng = np.random.default_rng(0)
    truth = 6 / np.pi * np.arcsin(0.6 / 2)  # Spearman's of two normal variables with a correlation of 0.6
    inside = 0
    for _ in range(400):
        x = rng.normal(size=30)
        y = 0.6 * x + 0.8 * rng.normal(size=30)
        low, high = correlation_interval(rank_correlation(x, y), 30)
        inside += low <= truth <= high
    assert 0.92 <= inside / 400 <= 0.98
    assert correlation_interval(0.5, 4) is None
    assert rank_correlation(np.ones(9), np.arange(9.0)) is None


def test_a_calibration_holds_for_its_own_weights_views_and_steps():
    model, other = make_model(0), make_model(1)
    views = [UNTURNED, View(flip_x=True)]
    steps = {"fill_holes": {}}
    x, y = cases()
    kept = fitted(x, y, networks=[hash_weights(model.network)], views=["flip_x"], steps=steps)
    knowing = Model(model.network, replace(model.description, quality=[kept]))
    assert find_calibration([knowing], views, steps) == kept
    assert find_calibration([knowing], [UNTURNED], steps) is None
    assert find_calibration([knowing], views, {}) is None
    assert find_calibration([Model(other.network, knowing.description)], views, steps) is None
    assert find_calibration([knowing, other], views, steps) is None
    assert "with no further views" in why_unknown([knowing], [UNTURNED], steps)
    assert "keeps nothing" in why_unknown([other], views, steps)
    assert knowing.digest() == model.digest()  # the masks are the same
