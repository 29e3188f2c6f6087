"""Zeros against scipy's."""

import math

import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from segexp.comparison.statistics.roots import root

FUNCTIONS = [
    (lambda x: x**3 - 2, 0.0, 5.0),
    (lambda x: math.exp(x) - 1e-6, -40.0, 3.0),
    (lambda x: norm.cdf(x) - 0.975, -8.0, 8.0),
    (lambda x: 1 / (1 + x) - 0.01, 0.0, 1e6),
    (lambda x: (x > 0.7) - 0.5, 0.0, 1.0),  # a jump
    (lambda x: (x - 1) ** 3, 0.0, 2.5),  # flat at its zero
]


@pytest.mark.parametrize(("function", "low", "high"), FUNCTIONS)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_zero_is_found_within_the_tolerance(function, low, high, sign):
    calls = []

    def counted(x):
        calls.append(x)
        return sign * function(x)

    found = root(counted, low, high, tolerance=1e-9)
    assert found == pytest.approx(brentq(function, low, high, xtol=1e-10), abs=1e-8)
    assert len(calls) < 120
    assert root(function, low, high, tolerance=0.0, relative=1e-6) == pytest.approx(found, rel=1e-5)


def test_bounds_may_be_the_zero_and_must_hold_one():
    assert root(lambda x: x, 0.0, 1.0, tolerance=1e-3) == 0.0
    assert root(lambda x: x - 1, 0.0, 1.0, tolerance=1e-3) == 1.0
    with pytest.raises(ValueError, match="must cross zero between them"):
        root(lambda x: x + 1, 0.0, 1.0, tolerance=1e-3)
