"""Whether plain values have the types that a class, of any library, says of its arguments."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import pytest

from segexp import signatures
from segexp.signatures import ANYTHING, located, parameters, require_types


class Shape(Protocol):
    def area(self) -> float: ...


class Mine:
    def __init__(
        self,
        number: float = 1.0,
        count: int = 1,
        on: bool = False,
        word: str = "",
        place: Path | None = None,
        sizes: Sequence[int] = (),
        mixed: Sequence[int] | Literal["auto"] | None = None,
        weights: Mapping[str, float] | None = None,
        pair: tuple[float, float] = (0, 1),
        lying: int = None,  # type: ignore[assignment]  # noqa: RUF013
        shape: Shape | None = None,
        function: Callable[[int], int] | None = None,
        anything: Any = None,
        names: Iterable[str] = (),
        **more: int,
    ) -> None: ...


def node(**values: object) -> dict:
    return {"_target_": f"{__name__}.Mine", **values}


@pytest.mark.parametrize(
    "values",
    [
        {"number": 2},
        {"count": 3, "on": True, "word": "a", "place": "a/b"},
        {"sizes": [1, 2]},
        {"mixed": "auto"},
        {"mixed": [1]},
        {"mixed": None},
        {"weights": {"a": 1}},
        {"pair": [0.5, 1]},
        {"lying": None},
        {"shape": {"_target_": "a.b"}},
        {"function": {"_target_": "a.b"}, "anything": [1], "unknown": "a"},
        {"names": ["a"]},
    ],
    ids=str,
)
def test_what_the_annotations_take(values):
    require_types("mine", node(**values))


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"number": "a"}, "mine.number='a' must be a number"),
        ({"number": None}, "mine.number=null must be a number"),
        ({"number": True}, "must be a number"),
        ({"count": 1.5}, "must be an integer"),
        ({"on": 1}, "must be true or false"),
        ({"word": ["a"]}, "must be text"),
        ({"place": 3}, "must be a path or null"),
        ({"sizes": 256}, "mine.sizes=256 must be a list […], each an integer"),
        ({"sizes": "a"}, "must be a list […], each an integer"),
        ({"sizes": [1, "a"]}, "must be a list […], each an integer"),
        ({"weights": [1]}, "must be a mapping {…: …} or null"),
        ({"weights": {"a": "b"}}, "mine.weights.a='b' must be a number"),
        ({"lying": "a"}, "must be an integer or null"),
        ({"shape": 3}, "must be null"),
        ({"function": "a"}, "must be null"),
        ({"names": "abc"}, "must be a list […], each text"),
    ],
    ids=str,
)
def test_what_they_do_not_take_is_named_with_key_value_and_rule(monkeypatch, values, rule):
    monkeypatch.setattr(signatures, "OURS", __name__)
    with pytest.raises(ValueError, match="^mine") as told:
        require_types("mine", node(**values))
    assert rule in str(told.value)


@pytest.mark.parametrize(
    ("values", "refused"),
    [
        ({"count": [1, 2], "number": None, "sizes": 3, "word": 4, "shape": "a"}, ""),  # annotations may be too narrow
        ({"count": "a"}, "'a'"),
        ({"count": True}, "True"),
    ],
)
def test_of_other_libraries_text_or_true_in_place_of_a_number_is_refused_alone(values, refused):
    if not refused:
        require_types("mine", node(**values))
        return
    with pytest.raises(ValueError, match=rf"^mine\.count={refused} must be an integer$"):
        require_types("mine", node(**values))


def test_nodes_within_nodes_and_lists_are_looked_at():
    with pytest.raises(ValueError, match=r"^mine\.parts\.0\.count='a' must be an integer$"):
        require_types("mine", {"parts": [node(count="a")]})


@pytest.mark.parametrize("target", ["nowhere.Net", "segexp.models.Nothing", "", "a"])
def test_what_cannot_be_imported_is_left_to_whoever_builds_it(target):
    require_types("mine", {"_target_": target, "count": "a"})
    assert (located(target), parameters(target)) == (None, [])


def test_names_of_arguments():
    assert parameters(f"{__name__}.Mine")[:2] == ["number", "count"]
    assert parameters(f"{__name__}.Mine")[-1] == ANYTHING
    assert "profiler" in parameters("pytorch_lightning.Trainer")
