import csv
import math

from segexp.evaluation.report import rows_of_cases
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
