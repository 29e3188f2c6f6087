import pytest

from segexp.checkpoints.rules import (
    either,
    maybe,
    named,
    number,
    one_of,
    require_fields,
    require_small,
    several,
    shown,
    text,
    whole,
)


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (whole(1, 3), [1, 3], [0, 4, 2.0, True, "2", None]),
        (number(0, 1), [0, 1, 0.5], [-0.1, 1.1, float("nan"), float("inf"), True, "0"]),
        (text(3), ["a", "abc", "ü"], ["", "abcd", "a\n", "\x1b", 7, None]),
        (one_of("a", None, 2), ["a", None, 2], ["b", 2.0, False]),
        (several(whole(1, 3), 1, 2), [[1], [1, 3]], [[], [1, 2, 3], [0], (1, 2)]),
        (named(whole(1, 3), 1), [{}, {"a": 1}], [{"a": 0}, {"": 1}, {1: 1}, {"a": 1, "b": 1}, []]),
        (maybe(whole(1, 3)), [None, 2], [0, "none"]),
        (either(whole(1, 3), text()), [2, "two"], [0, None]),
    ],
    ids=lambda value: getattr(value, "words", ""),
)
def test_rules(rule, good, bad):
    assert all(map(rule.holds, good))
    assert not any(map(rule.holds, bad))


def test_fields_are_those_of_the_rules():
    rules = {"width": whole(1, 3), "name": text()}
    require_fields({"name": "a", "width": 2}, rules, "a.json")
    for plain, message in (
        ({"name": "a", "widht": 2}, "a.json: 'widht' is no key of this place .did you mean 'width'"),
        ({"name": "a"}, "a.json: width must be there"),
        ({"name": "a", "width": 4}, "a.json: width=4 must be an integer from 1 to 3"),
        ({"name": "a", "width": 2, "_target_": "os.system"}, "may not name what is to be called"),
        (["name", "width"], r"must be a mapping with the keys \['name', 'width'\]"),
    ):
        with pytest.raises(ValueError, match=message):
            require_fields(plain, rules, "a.json")


def test_large_and_deep_values_are_refused_before_anything_goes_through_them():
    require_small({"a": [1] * 1000}, "a.json")
    endless: list = []
    endless.append(endless)
    for value in ([1] * 20_001, endless):
        with pytest.raises(ValueError, match="a.json: more than 20000 values or 8 levels"):
            require_small(value, "a.json")


def test_values_are_cut_short_in_messages():
    assert shown([1, 2]) == "[1, 2]"
    assert len(shown("x" * 10_000)) < 100
    assert shown(object()) == "<object>"
