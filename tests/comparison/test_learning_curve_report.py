import json

import pytest
from PIL import Image

from segexp.comparison.learning_curve_report import as_json, rows, sentences, sheets, write_report
from segexp.comparison.tables import terminal
from tests.comparison.test_learning_curve import curves_of, write_curve
from tests.conftest import table


def test_the_files_hold_what_was_found(tmp_path):
    found = curves_of(write_curve(tmp_path / "runs"))
    content, csv, picture = write_report(found, tmp_path / "out")
    read = json.loads(content.read_text())
    assert read == json.loads(json.dumps(as_json(found)))
    (curve,) = read["curves"]
    assert [point["cases"] for point in curve["measured"]] == [20, 40, 80, 140, 200]
    assert curve["law"]["c"]["low"] <= curve["law"]["c"]["value"] <= curve["law"]["c"]["high"]
    assert curve["expected"][1]["gain"]["value"] == found.curves[0].expected[1].gain.value
    lines = table(csv)
    assert [line["kind"] for line in lines] == ["measured"] * 5 + ["expected"] * 2
    assert float(lines[-1]["gain_low"]) == found.curves[0].expected[1].gain.low
    with Image.open(picture) as image:
        assert image.size == (696, 428)


def test_sentences_tell_the_gain_in_points(tmp_path):
    found = curves_of(write_curve(tmp_path))
    law, _, twice, *_ = sentences(found.curves[0], found)
    assert law.startswith("dice = 0.")
    gain = 100 * found.curves[0].expected[1].gain.value
    assert twice.startswith(f"2 times the cases (400) are expected to bring {gain:.2f} points (95 % interval ")
    (sheet,) = sheets(found)
    assert len(sheet.rows) == 7
    assert "expected to bring" in terminal([sheet]).replace("\n", " ")


def test_a_law_that_rests_on_the_fewest_cases_is_told(tmp_path):
    flat = curves_of(write_curve(tmp_path / "flat", a=0.8, b=20.0, c=2.5, noise=0.003))
    steady = curves_of(write_curve(tmp_path / "steady"))
    told = "Without the trainings with 20 cases there is no trend: the law rests on them."
    assert told in sentences(flat.curves[0], flat)
    assert told not in sentences(steady.curves[0], steady)


def test_a_refusal_says_why_and_leaves_the_points(tmp_path):
    found = curves_of(write_curve(tmp_path, b=0.0))
    assert sentences(found.curves[0], found) == [f"nothing is said of more cases: {found.curves[0].refusal}."]
    assert len(rows(found)) == 5
    assert as_json(found)["curves"][0]["law"] is None
    _, _, picture = write_report(found, tmp_path / "out")
    assert picture.is_file()


def test_an_interval_wider_than_all_gains_is_said_to_say_little(tmp_path):
    found = curves_of(write_curve(tmp_path, c=0.3, seeds=(0, 1), b=0.05, noise=0.002))
    curve = found.curves[0]
    if curve.law is None:
        pytest.fail(curve.refusal)
    score = curve.expected[1].score
    values = [point.interval.value for point in curve.points]
    little = score.high - score.low > max(values) - min(values)
    assert little
    assert sentences(curve, found)[-1].endswith("it says little.")
