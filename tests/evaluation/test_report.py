import csv
import math

import pytest

from segexp.evaluation.report import headline, rows_of_cases
from segexp.metrics import CaseScores, MetricResult, gather
from segexp.runs.files import write_table


def test_cases_have_names_and_all_columns(tmp_path):
    splits = {
        "val": gather([(MetricResult([CaseScores(0, "cell", {"dice": 0.9})]), {})]),
        "test": gather(
            [
                (MetricResult([CaseScores(1, "cell", {"dice": math.nan})]), {}),
                (MetricResult([CaseScores(1, "regions", {"v_rand": 0.7})]), {}),
            ]
        ),
    }
    write_table(tmp_path / "cases.csv", rows_of_cases(splits, {"val": ["a"], "test": ["b", "c"]}))
    with (tmp_path / "cases.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["split"], row["case"], row["class"]) for row in rows] == [
        ("val", "a", "cell"),
        ("test", "c", "cell"),
        ("test", "c", "regions"),
    ]
    assert rows[1]["dice"] == "nan"
    assert rows[2] == {"split": "test", "case": "c", "class": "regions", "dice": "", "v_rand": "0.7"}


@pytest.mark.parametrize(
    ("split", "chose_epoch", "steps", "note"),
    [
        ("test", True, {}, "scored on whole test cases"),
        ("val", True, {}, "scored on whole val cases; these cases also chose the epoch, so this is no test score"),
        ("val", False, {}, "scored on whole val cases"),
        ("train", False, {}, "the network has learned from these cases, so this is no test score"),
        ("test", True, {"min_size": {"size": 30}}, "; after post-processing: "),
    ],
)
def test_the_headline_says_what_its_score_is_worth(split, chose_epoch, steps, note):
    result = gather([(MetricResult([CaseScores(0, "cell", {"dice": 0.9})]), {})])
    found = headline(split, result, "dice", False, 1, chose_epoch, steps)
    assert (found["split"], found["value"], found["higher_is_better"]) == (split, 0.9, False)
    assert note in found["note"]
    if not steps:
        assert found["note"].endswith(note)
    part = headline(split, result, "dice", False, 3, chose_epoch, steps)
    assert part["note"].startswith(f"scored on 1 of 3 whole {split} cases")
