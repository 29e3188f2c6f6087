"""Whether plain values that were read from a file have the shape that a type describes."""

import math
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from segexp.foreign import printable

PARTIAL = "keys may be missing"  # of an annotated TypedDict: other versions had other keys
LARGEST = 2**63  # of an integer
DEEPEST = 40  # levels
NUMBERS: dict[object, tuple[type, ...]] = {int: (int,), float: (int, float)}


def require_shape(value: Any, hint: Any, where: str, partial: bool = False, level: int = 0) -> None:
    """Refuse a value that is not of a type.

    Args:
        value: Value as JSON or YAML give it.
        hint: Type of plain values: TypedDicts, mappings, lists, unions, literals, texts and numbers. Of a type that is
            annotated with a TypedDict, that one is taken.
        where: File and key, for messages.
        partial: Whether keys of the TypedDicts in it may be missing.
        level: Number of levels above.

    Raises:
        ValueError: Names file, key, value and type.
    """
    origin, parts = get_origin(hint), get_args(hint)
    if level > DEEPEST:
        raise ValueError(f"{where} has more than {DEEPEST} levels")
    if origin in (Annotated, NotRequired):
        told = next((part for part in parts[1:] if is_typeddict(part)), parts[0])
        require_shape(value, told, where, partial or PARTIAL in parts, level)
    elif is_typeddict(hint):
        _require_fields(value, hint, where, partial, level)
    elif origin in (UnionType, Union):
        _require_any(value, parts, where, partial, level)
    elif origin in (dict, Mapping, list, Sequence, tuple):
        is_list = origin in (list, Sequence, tuple)
        _require(isinstance(value, list if is_list else dict), value, hint, where)
        for key, item in enumerate(value) if is_list else value.items():
            require_shape(item, parts[-1], f"{where}: {key}", partial, level + 1)
    elif origin is Literal:
        _require(value in parts, value, hint, where)
    elif hint is not Any:
        _require(_is_one(value, hint), value, hint, where)


def _is_one(value: Any, hint: Any) -> bool:
    """Whether a value is text, a number, true or false, or nothing, as the type says."""
    if hint in (None, NoneType):
        return value is None
    if hint not in NUMBERS:
        return isinstance(value, hint)
    is_number = isinstance(value, NUMBERS[hint]) and not isinstance(value, bool)
    return is_number and (isinstance(value, float) or abs(value) <= LARGEST) and not math.isinf(value)


def _require_fields(value: Any, hint: Any, where: str, partial: bool, level: int) -> None:
    _require(isinstance(value, dict), value, dict, where)
    if not partial:
        missing = sorted(hint.__required_keys__ - value.keys())
        if missing:
            raise ValueError(f"{where} lacks {', '.join(missing)}")
    for key, kind in get_type_hints(hint, include_extras=True).items():
        if key in value:
            require_shape(value[key], kind, f"{where}: {key}", partial, level + 1)


def _require_any(value: Any, hints: Sequence[Any], where: str, partial: bool, level: int) -> None:
    errors = []
    for hint in hints:
        try:
            return require_shape(value, hint, where, partial, level)
        except ValueError as error:
            errors.append(error)
    # The type that goes deepest says best what is wrong.
    raise max(errors, key=lambda error: str(error).partition("=")[0].count(": "))


def _require(holds: bool, value: Any, hint: Any, where: str) -> None:
    if not holds:
        name = getattr(hint, "__name__", "") if not get_args(hint) else str(hint).replace("typing.", "")
        raise ValueError(f"{printable(where)}={printable(repr(value)[:60])} must be {name or hint}")
