import math

import pytest

from segexp.stress.calibration import calibrated


def noise(strength: float) -> float:
    return -20 * math.log10(strength)


def steps(strength: float) -> float:
    """A measure of whole steps, as the quality of JPEG or the size of pixels makes."""
    return 1 - math.floor(strength) / 20


def test_strengths_reach_their_targets():
    found = calibrated(noise, [34, 26, 18], 2.0, 0.05)
    for (strength, reached), target in zip(found, [34, 26, 18], strict=True):
        assert reached == pytest.approx(target, abs=0.05)
        assert strength == pytest.approx(10 ** (-target / 20), rel=0.01)


def test_few_evaluations_are_enough():
    calls = []
    calibrated(lambda strength: calls.append(strength) or noise(strength), [34, 30, 26, 22, 18], 2.0, 0.1)
    assert len(calls) <= 25


def test_what_cannot_be_reached_gets_the_highest_strength_and_says_what_it_reached():
    found = calibrated(lambda strength: max(noise(strength), 20), [34, 18], 2.0, 0.05)
    assert found[1] == (2.0, 20)
    assert found[0][1] == pytest.approx(34, abs=0.05)


def test_a_measure_of_steps_comes_as_near_as_it_can():
    ((strength, reached),) = calibrated(steps, [0.72], 16.0, 0.001)
    assert reached == pytest.approx(0.7)
    assert 6 <= strength < 7


def test_an_end_is_reached_though_the_measure_falls_all_at_once():
    ((strength, reached),) = calibrated(lambda s: 1.0 if s < 0.01 else 0.0, [0.4], 8.0, 0.01)
    assert reached == 0.0
    assert strength == pytest.approx(0.01, rel=0.5)
