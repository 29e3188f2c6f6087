"""Messages of refused values name argument, value and rule."""

from functools import partial
from math import inf, nan
from pathlib import Path

import pytest

from segexp.errors import first_line, name_of, require_at_least, require_between, require_choice, type_name


def test_a_choice_that_is_not_there_names_the_nearest():
    require_choice("norm", "batch", ["batch", "none"])
    with pytest.raises(ValueError, match=r"norm='bach' is not one of \['batch', 'none'\] \(did you mean 'batch'\?\)"):
        require_choice("norm", "bach", ["batch", "none"])


@pytest.mark.parametrize("value", [0, -1, nan, True, None, "3"])
def test_at_least(value):
    require_at_least("depth", 1, 1)
    with pytest.raises(ValueError, match=f"depth={value!r} must be a number of at least 1"):
        require_at_least("depth", value, 1)


def test_at_least_of_integers():
    with pytest.raises(ValueError, match=r"depth=1.5 must be an integer of at least 1"):
        require_at_least("depth", 1.5, 1, integer=True)


@pytest.mark.parametrize(
    ("open_at", "low_allowed", "high_allowed"),
    [("", True, True), ("low", False, True), ("high", True, False), ("both", False, False)],
)
def test_bounds_are_open_where_said(open_at, low_allowed, high_allowed):
    for value, allowed in ((0, low_allowed), (1.0, high_allowed), (0.5, True), (-0.1, False), (1.1, False)):
        if allowed:
            require_between("overlap", value, 0, 1, open_at=open_at)
        else:
            with pytest.raises(ValueError, match=f"overlap={value} must be a number"):
                require_between("overlap", value, 0, 1, open_at=open_at)


@pytest.mark.parametrize("value", [nan, inf, True, None, "0.5"])
def test_what_is_no_number_is_not_between(value):
    with pytest.raises(ValueError, match=f"p={value!r} must be a (finite )?number of at least 0 and at most 1"):
        require_between("p", value, 0, 1)


def test_the_reason_is_told():
    message = r"overlap=1 must be a number of at least 0 and below 1: it is a fraction of the tile"
    with pytest.raises(ValueError, match=message):
        require_between("overlap", 1, 0, 1, "it is a fraction of the tile", open_at="high")


@pytest.mark.parametrize(
    ("value", "full", "short"),
    [
        (1, "int", "int"),
        (Path("a"), "pathlib.PosixPath", "PosixPath"),
        (len, None, "len"),
        (partial(int, base=2), None, "int"),
    ],
)
def test_names_for_messages(value, full, short):
    assert name_of(value) == short
    assert full is None or type_name(value) == full


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (KeyError(), "KeyError:"),
        (ValueError("  one\ntwo"), "ValueError: one"),
        (ValueError("a" * 200), f"ValueError: {'a' * 160}"),
    ],
)
def test_of_an_error_of_others_the_first_line_is_told(error, line):
    assert first_line(error) == line
