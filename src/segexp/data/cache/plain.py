"""Plain values to JSON and back, with what JSON lacks: tuples, arrays, and mappings whose keys are numbers."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def to_json(value: Any, where: str) -> Any:
    """Turn a plain value into one that ``json`` takes; ``from_json`` turns it back.

    Args:
        value: None, a boolean, number (NumPy's as well), text, path, an array of numbers, or a list, tuple or mapping
            of these; numbers of NumPy come back as Python's, paths as text.
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
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        content = b64encode(np.ascontiguousarray(value).tobytes()).decode()
        return {"array": [value.dtype.str, list(value.shape), content]}
    if isinstance(value, Mapping):
        return {"mapping": [[to_json(key, where), to_json(item, where)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        items = [to_json(item, where) for item in value]
        return items if isinstance(value, list) else {"tuple": items}
    raise ValueError(
        f"{where} holds a {type(value).__name__}: the cache takes plain values only (numbers, text, paths, arrays, "
        "lists and mappings of them); turn it into one, or give an attribute that is no setting a name that starts "
        "with _"
    )


def from_json(value: Any) -> Any:
    """Turn back what ``to_json`` made."""
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "tuple" in value:
        return tuple(from_json(item) for item in value["tuple"])
    if "array" in value:
        dtype, shape, content = value["array"]
        return np.frombuffer(bytearray(b64decode(content)), dtype).reshape(shape)
    return {from_json(key): from_json(item) for key, item in value["mapping"]}
