import pytest

from segexp.runs.files import write_json
from segexp.runs.folder import RunFolder
from segexp.stress.reference import reference_results, set_against
from tests.stress.made import results_for


def test_errors_relative_to_the_reference_by_hand(tmp_path):
    own = results_for(tmp_path / "a", {"motion": 0.05, "blur": 0.0})
    base = results_for(tmp_path / "b", {"motion": 0.1, "blur": 0.1})
    found = set_against(own, base, "base")
    motion = found["corruptions"]["motion"]
    # Errors: 0.2 without corruption; own 0.225 … 0.325, the reference's 0.25 … 0.45.
    assert motion["corruption_error"] == pytest.approx(1.375 / 1.75)
    assert motion["relative_corruption_error"] == pytest.approx(0.375 / 0.75)
    assert motion["relative_degradation"] == pytest.approx(0.5)
    assert found["corruptions"]["blur"]["relative_corruption_error"] == pytest.approx(0, abs=1e-9)
    assert found["overall"]["corruption_error"] == pytest.approx((1.375 / 1.75 + 1 / 1.75) / 2)
    assert found["reference"] == "base"


def test_a_run_against_itself_has_errors_of_1_where_it_loses_anything(tmp_path):
    own = results_for(tmp_path, {"motion": 0.05, "blur": 0.0})
    found = set_against(own, own, "itself")["corruptions"]
    assert (found["motion"]["corruption_error"], found["motion"]["relative_degradation"]) == (1, 1)
    assert found["blur"]["relative_corruption_error"] is None


def test_other_severities_or_no_stress_test_at_all_are_refused(tmp_path):
    own = results_for(tmp_path / "a", {"motion": 0.05})
    base = results_for(tmp_path / "b", {"motion": 0.05}, severities=(1, 2))
    with pytest.raises(ValueError, match="another severities"):
        set_against(own, base, "base")
    with pytest.raises(FileNotFoundError, match="segexp stress run="):
        reference_results(RunFolder(tmp_path))
    write_json(RunFolder(tmp_path).stress_path, own)
    assert reference_results(RunFolder(tmp_path)) == own
