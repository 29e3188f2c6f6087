"""The flag keeps its promise on draws of validation sets, and says what it cannot promise."""

import numpy as np
import pytest

from segexp.prediction.flags import flag_of, quality_rows
from tests.prediction.test_quality import case, fitted


def calibration(certainties, scores=None, **changes):
    scores = [0.9] * len(certainties) if scores is None else scores
    found = fitted([0.5, 0.6, 0.7], [0.5, 0.6, 0.7])
    return {**found, "certainties": list(certainties), "scores": list(scores), **changes}


@pytest.mark.parametrize(("count", "asked"), [(19, 0.05), (60, 0.1), (9, 0.2)])
def test_false_alarms_are_as_many_as_promised(count, asked):
    rng = np.random.default_rng(0)
    alarms, above = 0, 0
    for _ in range(400):
        draws = rng.beta(8, 2, count + 1)
        flag = flag_of(calibration(draws[:-1]), asked)
        alarms += bool(flag.reason(case(draws[-1]), calibration([0.5])))
        # Of this flag the fraction is known: the distribution is.
        above += (rng.beta(8, 2, 200) < flag.threshold).mean() > flag.at_most + 0.02
    assert flag.promised <= asked
    assert alarms / 400 == pytest.approx(flag.promised, abs=4 * np.sqrt(asked / 400))
    assert above / 400 <= 0.08  # at_most holds for 95 % of the sets of validation cases, beside the noise of 200 draws


def test_too_few_cases_are_told_with_what_can_be_promised():
    flag = flag_of(calibration(np.linspace(0.5, 0.9, 12)), 0.05)
    assert flag.promised == pytest.approx(1 / 13)
    assert flag.promise.startswith("flag.false_alarms=0.05 cannot be promised: that takes 19 good validation cases")
    assert "at most 7.7% are flagged" in flag.promise
    enough = flag_of(calibration(np.linspace(0.5, 0.9, 19)), 0.05)
    assert enough.promise.startswith("of good cases like those of validation at most 5.0%")


def test_cases_that_are_not_good_do_not_lower_the_threshold():
    values, scores = np.linspace(0.3, 0.9, 25), [0.0, *np.linspace(0.2, 0.95, 24)]
    assert flag_of(calibration(values, scores), 0.05).threshold == values[1]  # a Dice of 0 is never good
    good = flag_of(calibration(values, scores), 0.05, good=0.5)
    assert good.threshold == min(v for v, s in zip(values, scores, strict=True) if s >= 0.5)
    with pytest.raises(ValueError, match=r"flag.good=0.99: no validation case .* the best has 0\.950"):
        flag_of(calibration(values, scores), 0.05, good=0.99)


@pytest.mark.parametrize("asked", [0, 1, -0.1, True, "a"])
def test_a_fraction_of_false_alarms_is_one(asked):
    with pytest.raises(ValueError, match="flag.false_alarms"):
        flag_of(calibration([0.5]), asked)


def test_an_empty_mask_is_flagged_unless_validation_had_such_cases():
    nothing = case(0.0, predicted=0)
    known, unknown = (calibration([0.5, 0.6], empty=count) for count in (2, 0))
    assert flag_of(unknown, 0.5).reason(nothing, unknown) == "nothing was predicted"
    assert not flag_of(known, 0.5).reason(nothing, known)


def test_rows_tell_why():
    kept = calibration([0.5, 0.6])
    rows = quality_rows({"b": case(0.4), "a": case(0.9)}, kept, flag_of(kept, 0.5))
    assert [(row["input"], row["flagged"]) for row in rows] == [("a", "no"), ("b", "yes")]
    assert rows[1]["why"] == "expected Dice 0.400 is below 0.500"
    (row,) = quality_rows({"a": case(0.9)}, None, None)
    assert row["estimated_dice"] is None
    assert "flagged" not in row
