"""Plain values to JSON and back, with what JSON lacks: tuples, and mappings whose keys are numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def to_json(value: Any, where: str) -> Any:
    """Turn a plain value into one that ``json`` takes; ``from_json`` turns it back.

    Args:
        value: None, a boolean, number (NumPy's as well), text, path, or a list, tuple or mapping of these; numbers of
            NumPy come back as Python's, paths as text.
        where: Name of the value, for the message.

    Raises:
        ValueError: It is something else.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {"mapping": [[to_json(key, where), to_json(item, where)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        items = [to_json(item, where) for item in value]
        return items if isinstance(value, list) else {"tuple": items}
    raise ValueError(
        f"{where} holds a {type(value).__name__}: the cache takes plain values only (numbers, text, paths, lists and "
        "mappings of them); turn it into one, or give an attribute that is no setting a name that starts with _"
    )


def from_json(value: Any) -> Any:
    """Turn back what ``to_json`` made."""
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "tuple" in value:
        return tuple(from_json(item) for item in value["tuple"])
    return {from_json(key): from_json(item) for key, item in value["mapping"]}
