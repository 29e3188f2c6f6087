from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypedDict

import pytest

from segexp.runs.record import Record
from segexp.runs.results import Results
from segexp.runs.shape import PARTIAL, require_shape
from tests.safety.corpus import nested


class Inner(TypedDict):
    """Both keys must be there."""

    number: float
    names: list[str]


class Outer(TypedDict, total=False):
    """No key must be there."""

    kind: Literal["a", "b"]
    inner: Inner
    loose: Annotated[Inner, PARTIAL]
    either: int | dict[str, int] | None
    many: Mapping[str, Sequence[bool]]
    anything: Any


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"kind": "a", "inner": {"number": 1, "names": []}, "unknown": object},
        {"loose": {"number": 1.5}, "either": None, "many": {"x": [True]}, "anything": [{}]},
        {"either": {"x": 1}, "inner": {"number": float("nan"), "names": ["x"]}},
    ],
)
def test_values_of_the_type_pass(value):
    require_shape(value, Outer, "file")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], r"^file=\[\] must be dict"),
        ({"kind": "c"}, r"^file: kind='c' must be Literal\['a', 'b'\]"),
        ({"kind": []}, r"^file: kind=\[\] must be Literal"),
        ({"inner": {"number": 1}}, "^file: inner lacks names"),
        ({"inner": {"number": "1", "names": []}}, "^file: inner: number='1' must be float"),
        ({"inner": {"number": True, "names": []}}, "^file: inner: number=True must be float"),
        ({"inner": {"number": 10**400, "names": []}}, "^file: inner: number=10+ must be float"),
        ({"inner": {"number": float("inf"), "names": []}}, "^file: inner: number=inf must be float"),
        ({"inner": {"number": 1, "names": {}}}, r"^file: inner: names={} must be list\[str\]"),
        ({"inner": {"number": 1, "names": ["x", 3]}}, "^file: inner: names: 1=3 must be str"),
        ({"either": {"x": "1"}}, "^file: either: x='1' must be int"),
        ({"many": {"\x1b": [1]}}, r"^file: many: \\u001b: 0=1 must be bool"),
        ({"loose": {"number": "x"}}, "^file: loose: number='x' must be float"),
    ],
)
def test_other_values_are_named_with_file_and_key(value, words):
    with pytest.raises(ValueError, match=words):
        require_shape(value, Outer, "file")


def test_what_is_nested_without_end_is_refused():
    with pytest.raises(ValueError, match="more than 40 levels"):
        require_shape({"a": nested(100)}, dict[str, NESTED], "file")


NESTED = list[list[list[Any]]]
for _ in range(50):
    NESTED = list[NESTED]  # type: ignore[misc, valid-type]


def test_the_contracts_of_a_run_can_be_checked():
    require_shape({"status": "done", "config": {"seed": 1}, "git": None, "choices": {"a": None}}, Record, "run.json")
    for record in ({"config": {"seed": []}}, {"machine": {"threads": "x"}}, {"resumed": 3}, {"git": {"commit": 1}}):
        with pytest.raises(ValueError, match=r"^run\.json: \w+"):
            require_shape(record, Record, "run.json")
    with pytest.raises(ValueError, match=r"^results\.json: headline lacks"):
        require_shape({"headline": {"split": "val"}}, Results, "results.json")
