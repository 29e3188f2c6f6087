"""What is read, and what is refused for which reason, as tables."""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.formats import others, tiff
from benchmarks.formats.tiff import Property
from segexp.data.files.images import read_pages

BEGIN, END = "<!-- benchmarks.formats -->\n", "<!-- end of benchmarks.formats -->"
JPEG = 12  # largest difference that its compression makes here


def outcome(path: Path, kept: Property, pages: int = 1, tolerance: float = 0) -> str:
    """Read a file: "read" where the pixels are those of the property, "WRONG" where they are not, else the reason."""
    channels = 3 if kept.shown.ndim == 3 else 1
    try:
        found = read_pages(path, channels)
    except ValueError as error:
        reason = re.search(r"cannot be read \((.*)\): check that", str(error))
        return f"refused: {reason[1] if reason else error}"
    wanted = np.moveaxis(kept.shown, -1, 0) if channels == 3 else kept.shown[None]
    wanted = wanted if pages == 1 else np.stack([wanted] * pages, axis=1)
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        return f"WRONG: {found.dtype} {found.shape}"
    apart = np.abs(found.astype(np.float64) - wanted).max()
    return "read" if apart <= max(tolerance, kept.tolerance) else f"WRONG: by {apart:g}"


def of_tiff(name: str, kept: Property, codec: str, folder: Path) -> list[str]:
    """What becomes of all files of a property and a codec."""
    tolerance = JPEG if codec == "JPEG" else 0
    return [outcome(path, kept, pages, tolerance) for _, path, pages in tiff.files(name, kept, codec, folder)]


def of_others(name: str, kept: Property, format_name: str, folder: Path) -> list[str]:
    """What becomes of all files of a property in another format."""
    tolerance = JPEG if format_name == "JPEG" else 0
    return [outcome(path, kept, 1, tolerance) for path in others.files(name, kept, format_name, folder)]


def tables() -> str:
    """Both tables, with the refusals in words below them."""
    return _table(others.properties(), list(others.FORMATS), of_others) + _table(
        tiff.properties(), list(tiff.CODECS), of_tiff
    )


def _table(
    properties: dict[str, Property], columns: list[str], found: Callable[[str, Property, str, Path], list[str]]
) -> str:
    reasons: list[str] = []
    lines = [f"| | {' | '.join(columns)} |", f"| --- |{' --- |' * len(columns)}"]
    with tempfile.TemporaryDirectory() as folder:
        for name, kept in properties.items():
            cells = [_cell(found(name, kept, column, Path(folder)), reasons) for column in columns]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    notes = [f"{number}. {reason}" for number, reason in enumerate(reasons, 1)]
    return "\n".join(["", *lines, "", *([*notes, ""] if notes else [])])


def _cell(outcomes: list[str], reasons: list[str]) -> str:
    """Number of files that were read, or the number of the reason below."""
    if not outcomes:
        return "–"
    words = []
    for kind in sorted(set(outcomes)):
        if kind == "read":
            words.append(f"read {outcomes.count(kind)}")
            continue
        if kind not in reasons:
            reasons.append(kind)
        words.append(f"{kind.partition(':')[0]} ({reasons.index(kind) + 1})")
    return ", ".join(words)
