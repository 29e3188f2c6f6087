"""Images and masks that a CSV file lists."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from segexp.data.case import Case, Entry
from segexp.data.files.volumes import opened_files
from segexp.data.sources.pairs import PairReader, image_stem, natural_order
from segexp.errors import did_you_mean, some

REQUIRED = ("image", "mask")
COLUMNS = (*REQUIRED, "group", "split", "stratum", "name")
SPLITS = ("", "train", "val", "test")


class Manifest(PairReader):
    """One case per row of a CSV file with a header; UTF-8, separated by commas, semicolons or tabs.

    Columns: ``image`` and ``mask``, paths relative to the CSV file (of a DICOM series its folder), and if wanted
    ``group`` (patient: stays in one split), ``split`` (train, val or test), ``stratum`` (kind of case, which
    splits keep in proportion) and ``name`` (else the stem of the image). Blanks around values are dropped.

    Args:
        csv: Path to the CSV file; the other arguments are those of ``Folder``.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        csv: str | Path,
        values: Mapping[int, int] | None = None,
        channels: int = 1,
        mask_tolerance: int = 0,
        spacing: Sequence[float] | None = None,
    ) -> None:
        super().__init__(values, channels, mask_tolerance, spacing)
        self.csv = Path(csv)

    def prepare(self) -> None:
        """Check the rows, and that all files are there; the pixels are checked when read.

        Raises:
            FileNotFoundError: The CSV file, images or masks are missing.
            ValueError: The CSV file cannot be used.
        """
        paths = [path for row in self._rows.values() for path in self._paths(row)]
        missing = [path for path in paths if not path.exists()]
        if missing:
            raise FileNotFoundError(f"{self.csv} lists files that are not there: {some(missing)}: correct the paths")

    def entries(self) -> list[Entry]:
        """Return one case per row, in natural order of their names."""
        self.prepare()
        rows = sorted(self._rows.values(), key=lambda row: natural_order(row["name"]))
        return [
            Entry(row["name"], opened_files(self._paths(row)), row["group"], row["stratum"], row["split"])
            for row in rows
        ]

    def read(self, name: str) -> Case:
        """Read one pair: image (C, H, W) or (C, D, H, W), target (*S) uint8."""
        if name not in self._rows:
            raise ValueError(f"{self.csv} has no case {name!r}{did_you_mean(name, self._rows)}")
        return self.read_pair(name, *self._paths(self._rows[name]))

    def _paths(self, row: Mapping[str, str]) -> tuple[Path, Path]:
        return self.csv.parent / row["image"], self.csv.parent / row["mask"]

    @cached_property
    def _rows(self) -> dict[str, dict[str, str]]:
        """Rows by the name of their case, "" where a column is left out."""
        rows = _read_csv(self.csv)
        for row in rows:
            row["name"] = row["name"] or image_stem(self.csv.parent / row["image"]) or Path(row["image"]).name
        for column in ("name", "image"):
            twice = [value for value, count in Counter(row[column] for row in rows).items() if count > 1]
            if twice:
                raise ValueError(
                    f"{self.csv} has {some(twice)} more than once as {column}: keep one row of each, or tell them "
                    "apart in a column name"
                )
        return {row["name"]: row for row in rows}


def _read_csv(path: Path) -> list[dict[str, str]]:
    """Read the rows, with all of ``COLUMNS``; refuses columns and splits that are not known, and missing values."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: set data.source.csv to a CSV file")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not in UTF-8 ({error.reason}): save it again as CSV in UTF-8") from error
    separator = max(",;\t", key=text.partition("\n")[0].count)
    table = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=separator != "\t")
    header, *lines = list(table) or [[]]
    columns = [column.strip() for column in header]
    _require_columns(path, columns)
    cells = {number: [cell.strip() for cell in line] for number, line in enumerate(lines, 2) if any(line)}
    uneven = [number for number, line in cells.items() if len(line) != len(columns)]
    if uneven or not cells:
        reason = f"lines {some(uneven)} with other than {len(columns)} values" if uneven else "no line below its header"
        raise ValueError(f"{path} has {reason}: correct it, with quotes around values that hold the separator")
    rows = {n: dict.fromkeys(COLUMNS, "") | dict(zip(columns, line, strict=True)) for n, line in cells.items()}
    empty = [number for number, row in rows.items() if not row["image"] or not row["mask"]]
    if empty:
        raise ValueError(f"{path} has lines without image or mask ({some(empty)}): fill them in, or remove them")
    splits = sorted({row["split"] for row in rows.values()} - set(SPLITS))
    if splits:
        raise ValueError(f"{path} has split {some(splits)}: it must be train, val or test, or empty")
    return list(rows.values())


def _require_columns(path: Path, columns: Sequence[str]) -> None:
    """Refuse unknown columns too, since a misspelt group would let a patient leak from one split to another."""
    lacking = [column for column in REQUIRED if column not in columns]
    strange = [f"{column!r}{did_you_mean(column, COLUMNS)}" for column in columns if column not in COLUMNS]
    twice = [column for column, count in Counter(columns).items() if count > 1]
    faults = {"lacks": lacking, "has unknown": strange, "has twice": twice}
    report = "; ".join(f"{fault} {some(names)}" for fault, names in faults.items() if names)
    if report:
        raise ValueError(f"{path}, columns: it {report}; allowed are {', '.join(COLUMNS)}, the first two must be there")
