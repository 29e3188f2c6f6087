"""Values that were measured on cases come back as they were, from one file that is believed only while it is whole."""

import numpy as np
import pytest

from segexp.data.cache import CaseCache, Measured


def refuse():
    raise AssertionError("it is measured again")


VALUES = {
    "low": -0.1,
    "counts": (3, 4),
    "of keys": {0: [1, None]},
    "mean": np.array([[[0.1]], [[np.pi]]], np.float32),
    "edge": np.array([np.nan, np.inf, -0.0]),
    "none": np.zeros((0, 3), np.int64),
}


def require_equal(found):
    assert list(found) == list(VALUES)
    for name, value in VALUES.items():
        assert type(found[name]) is type(value)
        if isinstance(value, np.ndarray):
            assert found[name].dtype == value.dtype
            np.testing.assert_array_equal(found[name], value)
        else:
            assert found[name] == value


def test_values_come_back_as_they_were(tmp_path):
    first = Measured(tmp_path / "new" / "measured.json")
    require_equal(first.of("a", "all", lambda: VALUES))
    require_equal(first.of("a", "all", refuse))
    first.keep()
    second = Measured(tmp_path / "new" / "measured.json")
    require_equal(second.of("a", "all", refuse))
    with pytest.raises(AssertionError):
        second.of("a", "all else", refuse)
    with pytest.raises(AssertionError):
        second.of("b", "all", refuse)


def test_an_array_that_came_back_can_be_changed_without_harm(tmp_path):
    measured = Measured(tmp_path / "measured.json")
    measured.of("a", "values", lambda: np.zeros(2))[:] = 5
    assert measured.of("a", "values", refuse).tolist() == [0, 0]


def test_cases_that_are_no_longer_there_are_let_go(tmp_path):
    for names in ("ab", "bc"):
        measured = Measured(tmp_path / "measured.json")
        assert [measured.of(name, "it", lambda name=name: name) for name in names] == list(names)
        measured.keep()
    measured = Measured(tmp_path / "measured.json")
    assert measured.of("b", "it", refuse) == "b"
    with pytest.raises(AssertionError):
        measured.of("a", "it", refuse)


@pytest.mark.parametrize(
    "damage",
    [lambda text: text.replace("5", "6"), lambda text: text[:-3], lambda text: "", lambda text: "no JSON\n{}"],
)
def test_a_damaged_file_counts_as_none(tmp_path, damage):
    path = tmp_path / "measured.json"
    measured = Measured(path)
    measured.of("a", "it", lambda: 5)
    measured.keep()
    path.write_text(damage(path.read_text()))
    measured = Measured(path)
    assert measured.of("a", "it", lambda: 7) == 7
    measured.keep()
    assert Measured(path).of("a", "it", refuse) == 7


def test_where_nothing_can_be_written_values_are_measured_each_time(tmp_path):
    (tmp_path / "file").write_text("")
    measured = Measured(tmp_path / "file" / "measured.json")
    assert measured.of("a", "it", lambda: 5) == 5
    measured.keep()
    assert CaseCache(None).measured({}).of("a", "it", lambda: 5) == 5


def test_other_settings_or_code_have_a_file_of_their_own(tmp_path, monkeypatch):
    for number, settings in enumerate(({"root": "a"}, {"root": "b"})):
        measured = CaseCache(tmp_path).measured(settings)
        assert measured.of("a", "it", lambda number=number: number) == number
        measured.keep()
    assert CaseCache(tmp_path).measured({"root": "a"}).of("a", "it", refuse) == 0
    monkeypatch.setattr("segexp.data.cache.cache.hash_code", lambda: "other code")
    with pytest.raises(AssertionError):
        CaseCache(tmp_path).measured({"root": "a"}).of("a", "it", refuse)
