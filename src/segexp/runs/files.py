"""JSON and CSV files: one reader and one writer for each."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

MOST_JSON = 8 << 20  # bytes of a file that somebody else may have written
Json = str | float | None | Sequence["Json"] | Mapping[str, "Json"]
Rows = list[dict[str, str]]


def require_plain_file(path: Path, folder: Path | None = None) -> int:
    """Refuse what is no regular file, such as a device, and a link that leads out of ``folder``.

    Returns:
        Size in bytes.

    Raises:
        FileNotFoundError: There is nothing.
        ValueError: It is something else; names path and rule.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    if not path.is_file():
        raise ValueError(f"{path} must be a regular file")
    if folder is not None and not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{path} is a link that leads out of {folder}: put a copy of the file there")
    return path.stat().st_size


def read_json(path: Path, folder: Path | None = None) -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        folder: Folder of somebody else that holds the file: its size is then bounded, its numbers must be finite, no
            key may come twice, and a link must not lead out of the folder. None = the file is our own.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no such JSON; names file and rule.
    """
    loads = json.loads
    if folder is not None:
        size = require_plain_file(path, folder)
        if size > MOST_JSON:
            raise ValueError(f"{path} has {size} bytes: a JSON file of ours has {MOST_JSON} at most")
        loads = partial(loads, object_pairs_hook=_unique, parse_constant=_finite_float, parse_float=_finite_float)
    try:
        return loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}") from error


def write_json(path: Path, content: object) -> None:
    """Write JSON so that a reader never sees half a file; nan becomes null."""
    part = path.with_suffix(".json.part")
    part.write_text(json.dumps(_without_nan(content), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)


def read_table(path: Path) -> Rows:
    """Read a CSV file as one mapping per row; a file that is not there has no rows."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_table(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write a CSV file so that a reader never sees half of it; a value that a row lacks is left empty."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    part = path.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    part.replace(path)


def _unique(pairs: Sequence[tuple[str, Json]]) -> dict[str, Json]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key stands there twice")
    return content


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is not finite")
    return value


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
