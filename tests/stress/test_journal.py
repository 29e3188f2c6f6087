import math

import pytest

from segexp.stress.journal import Journal, Unit, mean_score


def unit(case: str, severity: int = 1, corruption: str = "blur", **scores: float) -> Unit:
    return Unit(
        corruption, case, severity, 0.5, 0.9, 0.1, {"a": scores or {"dice": 0.1 + 0.2}, "b": {"dice": math.nan}}
    )


def test_what_was_noted_comes_back_to_the_last_digit(tmp_path):
    path = tmp_path / "stress" / "journal.jsonl"
    journal = Journal(path)
    journal.note(unit("x"))
    journal.note(unit("y", 2))
    (first, second) = Journal(path).units.values()
    assert first.scores["a"]["dice"] == 0.1 + 0.2
    assert math.isnan(first.scores["b"]["dice"])
    assert (second.key, second.strength, second.reached) == (("blur", "y", 2), 0.5, 0.9)


def test_a_line_that_was_cut_off_costs_its_copy_alone(tmp_path):
    path = tmp_path / "journal.jsonl"
    for case in ("x", "y"):
        Journal(path).note(unit(case))
    whole = path.read_bytes()
    for length in range(len(whole) - 2, len(whole) // 2 + 1, -9):
        path.write_bytes(whole[:length])
        journal = Journal(path)
        assert [key[1] for key in journal.units] == ["x"]
        journal.note(unit("z"))
        assert [key[1] for key in Journal(path).units] == ["x", "z"]


@pytest.mark.parametrize("line", ["[]", "{}", '{"corruption": "blur"}', "\x00\x00", '{"scores": 3}'])
def test_damaged_lines_are_scored_again(tmp_path, line):
    path = tmp_path / "journal.jsonl"
    Journal(path).note(unit("x"))
    path.write_text(path.read_text() + line + "\n")
    assert len(Journal(path).units) == 1


def test_a_score_is_the_mean_over_the_classes_that_are_defined():
    assert mean_score(unit("x", dice=0.5), "dice") == 0.5
    assert math.isnan(mean_score(unit("x", iou=0.5), "dice"))
