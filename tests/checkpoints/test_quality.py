"""quality.json: what a run keeps, and what is refused of a stranger's."""

import json

import pytest

from segexp.checkpoints.quality import keep_calibration, kept_calibrations
from segexp.runs.folder import RunFolder
from tests.prediction.test_quality import cases, fitted


def test_the_newest_comes_first_and_takes_the_place_of_its_like(tmp_path):
    run = RunFolder(tmp_path)
    assert kept_calibrations(run) == []
    for views in ([], ["flip_x"], ["flip_y"], ["half_turn"], ["transpose"], ["half_turn"]):
        keep_calibration(run, fitted(*cases(), views=views))
    assert [one["views"] for one in kept_calibrations(run)] == [["half_turn"], ["transpose"], ["flip_y"], ["flip_x"]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"measure": "os.system"}, "measure='os.system' must be one of"),
        ({"slope": -1.0}, "slope=-1.0 must be a number from 0"),
        ({"scores": [0.5]}, "certainties and scores must be as many"),
        ({"certainties": [float("nan")]}, "is not finite"),
        ({"_target_": "os.system"}, "_target_"),
        ({"more": 1}, "'more' is no key"),
    ],
)
def test_what_is_no_calibration_is_refused(tmp_path, change, message):
    run = RunFolder(tmp_path, foreign=True)
    (tmp_path / "quality.json").write_text(json.dumps([fitted(*cases()) | change]))
    with pytest.raises(ValueError, match=message) as error:
        kept_calibrations(run)
    assert "quality.json" in str(error.value)
    assert str(error.value).endswith("remove the file, and segexp evaluate quality=true learns it anew")


def test_what_is_no_list_is_refused(tmp_path):
    for content in ("{}", json.dumps([fitted(*cases())] * 5)):
        (tmp_path / "quality.json").write_text(content)
        with pytest.raises(ValueError, match=r"quality\.json must be a list of 4 calibrations at most"):
            kept_calibrations(RunFolder(tmp_path))
