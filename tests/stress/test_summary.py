import math

import numpy as np
import pytest

from segexp.comparison.statistics.comparison import summarize
from segexp.comparison.statistics.scores import Run, gather
from segexp.stress.summary import degradation, rows_of, typical_case
from tests.stress.made import CASES, filled, plan_for, results_for


def test_scores_by_severity_their_area_and_degradation_by_hand(tmp_path):
    found = results_for(tmp_path, {"motion": 0.1})["corruptions"]["motion"]
    assert found["scores"]["dice"] == pytest.approx([0.75, 0.7, 0.65, 0.6, 0.55])
    assert found["scores"]["dice_a"] == pytest.approx([0.7, 0.6, 0.5, 0.4, 0.3])
    assert found["mean"] == pytest.approx(0.65)
    assert found["area"] == pytest.approx((0.8 + 0.55) / 2)
    weights = [(2 / 3) ** severity for severity in range(1, 6)]
    assert found["degradation"] == pytest.approx(np.average([0.05, 0.1, 0.15, 0.2, 0.25], weights=weights))
    assert found["worst"] == {"case": "c2", "score": pytest.approx(0.45), "clean": pytest.approx(0.7)}


def test_intervals_are_those_of_a_comparison(tmp_path):
    found = results_for(tmp_path, {"motion": 0.1})
    scores = {case: 0.9 - number / 10 - 0.05 for number, case in enumerate(CASES)}
    interval = summarize(gather([Run(0, None, scores)])).interval
    assert found["corruptions"]["motion"]["intervals"][0] == pytest.approx([interval.low, min(1, interval.high)])
    assert found["clean_interval"][1] == 1.0  # no Dice is above


def test_what_was_reached_is_told_and_what_was_missed_counted(tmp_path):
    found = results_for(tmp_path, {"motion": 0.1, "rotation": 0.1})["corruptions"]
    assert found["motion"]["reached"] == [30.0] * 5
    assert found["motion"]["missed"] == [3, 0, 3, 3, 3]
    assert found["rotation"]["missed"] == [0] * 5
    assert found["motion"]["strength"] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])


def test_a_lower_score_may_be_the_better_one():
    assert degradation({0: 1.0, 1: 3.0}, higher=False) == 2.0
    assert degradation({0: 1.0, 1: 3.0}, higher=True) == -2.0


def test_an_undefined_score_is_left_out_and_counted(tmp_path):
    plan = plan_for("motion", severities=(1,))
    journal = filled(tmp_path, plan, {"motion": 0.1})
    journal.units["motion", "c0", 1].scores["a"]["dice"] = math.nan
    journal.units["motion", "c0", 1].scores["b"]["dice"] = math.nan
    from segexp.stress.summary import summarized
    from tests.stress.made import FACTS

    found = summarized(journal, plan, "dice", FACTS, [0], 1.0)["corruptions"]["motion"]
    assert found["undefined"] == [1]
    assert found["scores"]["dice"] == pytest.approx([(0.65 + 0.75) / 2])


def test_the_typical_case_has_the_median_score_and_the_table_a_row_per_copy_and_class(tmp_path):
    plan = plan_for("motion", severities=(2,))
    journal = filled(tmp_path, plan, {"motion": 0.1})
    assert typical_case(journal, plan, "dice") == "c1"
    rows = rows_of(journal, plan)
    assert len(rows) == 2 * (3 + 3)
    assert rows[-2] == {
        "corruption": "motion",
        "severity": 2,
        "case": "c2",
        "class": "a",
        "strength": 0.2,
        "reached": 30.0,
        "dice": pytest.approx(0.5),
    }
