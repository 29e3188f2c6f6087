"""JSON and CSV files: one reader and one writer for each; those of a run are checked by their checksums."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from segexp.foreign import from_cell, to_cell
from segexp.runs.checksums import read_checked, write_checked

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
        ValueError: The file is no such JSON, or another than segexp wrote; names file and rule.
    """
    loads = json.loads
    if folder is not None:
        size = require_plain_file(path, folder)
        if size > MOST_JSON:
            raise ValueError(f"{path} has {size} bytes: a JSON file of ours has {MOST_JSON} at most")
        loads = partial(loads, object_pairs_hook=_unique, parse_constant=_finite_float, parse_float=_finite_float)
    content = read_checked(path)
    try:
        return loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}") from error


def write_json(path: Path, content: object) -> None:
    """Write JSON so that a reader never sees half a file; nan becomes null.

    Raises:
        WriteError: It cannot be written.
    """
    write_checked(path, json_text(content).encode("utf-8"))


def json_text(content: object) -> str:
    """Write as JSON; nan becomes null."""
    return json.dumps(_without_nan(content), indent=2, ensure_ascii=False) + "\n"


def read_table(path: Path, columns: Sequence[str] = ()) -> Rows:
    """Read a CSV file as one mapping per row; a file that is not there has no rows.

    Args:
        path: The file.
        columns: Names of columns that it must have.

    Raises:
        ValueError: The file is no such table, or another than segexp wrote; names file and rule.
    """
    if not path.is_file():
        return []
    content = read_checked(path)
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""), strict=True)
        rows: list[dict[Any, Any]] = list(reader)
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read as CSV: {error}") from error
    missing = set(columns) - set(reader.fieldnames or ())
    if missing:
        raise ValueError(f"{path} has no column {min(missing)}: it is not of a run of segexp")
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise ValueError(f"{path}: row {number} has another number of cells than there are columns")
    return [{column: from_cell(cell) for column, cell in row.items()} for row in rows]


def write_table(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write a CSV file so that a reader never sees half of it; a value that a row lacks is left empty.

    Raises:
        WriteError: It cannot be written.
    """
    write_checked(path, table_text(rows).encode("utf-8"))


def table_text(rows: Sequence[Mapping[str, object]]) -> str:
    """Write rows as CSV, one column per key; a value that a row lacks is left empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(column for row in rows for column in row)), restval="")
    writer.writeheader()
    writer.writerows({column: to_cell(cell) for column, cell in row.items()} for row in rows)
    return text.getvalue()


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
