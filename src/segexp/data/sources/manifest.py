"""Images and masks that a CSV file lists."""

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from segexp.data.case import Case, Entry
from segexp.data.sources.masks import Values
from segexp.data.sources.pairs import CaseFiles, PairReader, image_stem, natural_order
from segexp.errors import did_you_mean, some

REQUIRED = ("image", "mask")
OBSERVER = "second_observer"
NUMBERS = "instances"
COLUMNS = (*REQUIRED, "group", "split", "stratum", "name", "field_of_view", OBSERVER, "spacing", NUMBERS)
SPLITS = ("", "train", "val", "test")
_NUMBERED = re.compile(r"(image|mask)_([2-9]|[1-9][0-9])")  # further channels and masks
_NAME = re.compile(r"[^/.\x00-\x1f\x7f][^/\x00-\x1f\x7f]*")
_NUMBER = r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_SPACING = re.compile(rf"{_NUMBER}(?:[ x×]+{_NUMBER})?")


class Manifest(PairReader):
    """One case per row of a CSV file with a header; UTF-8, separated by commas, semicolons or tabs.

    Columns: ``image`` and ``mask``, paths relative to the CSV file (of a DICOM series its folder), and if wanted

    - ``name`` of the case, else the stem of the image; ``group`` (patient: stays in one split), ``split`` (train, val
      or test) and ``stratum`` (kind of case, which splits keep in proportion)
    - ``image_2``, ``image_3`` and so on: files of further channels, in every row or in none; the image is the first
    - ``mask_2`` and so on: further masks, which ``merge_masks`` lays over each other
    - ``field_of_view``: mask of what counts, 0 outside and one other value inside
    - ``second_observer``: mask by a further observer, scored against ``mask`` as the human mark
    - ``instances``: mask that numbers the objects, 0 = none; their classes are those of ``mask``
    - ``spacing``: height and width of a pixel of a 2-D image in mm, "0.5 0.25", or "0.5" for both

    All but ``image`` and ``mask`` may be empty. Blanks around values are dropped.

    Args:
        csv: Path to the CSV file; the other arguments are those of ``Folder``.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        csv: str | Path,
        values: Values | None = None,
        channels: int = 1,
        mask_tolerance: int = 0,
        spacing: Sequence[float] | None = None,
        colors: Values | None = None,
        border_width: int = 0,
        merge_masks: bool = False,
        field_of_view: str | None = None,
        instances: bool = False,
    ) -> None:
        rules = colors, border_width, merge_masks, field_of_view, instances
        super().__init__(values, channels, mask_tolerance, spacing, *rules)
        self.csv = Path(csv)

    def prepare(self) -> None:
        """Check the rows, and that all files are there; the pixels are checked when read.

        Raises:
            FileNotFoundError: The CSV file, images or masks are missing.
            ValueError: The CSV file cannot be used.
        """
        missing = [path for files in self._files.values() for path in files.all if not path.exists()]
        if missing:
            remedy = "write / in place of \\" if any("\\" in str(path) for path in missing) else "correct the paths"
            raise FileNotFoundError(f"{self.csv} lists files that are not there: {some(missing)}: {remedy}")

    def entries(self) -> list[Entry]:
        """Return one case per row, in natural order of their names."""
        self.prepare()
        rows = sorted(self._rows.values(), key=lambda row: natural_order(row["name"]))
        return [
            Entry(row["name"], self._files[row["name"]].opened, row["group"], row["stratum"], row["split"])
            for row in rows
        ]

    def read(self, name: str) -> Case:
        """Read one case: image (C, H, W) or (C, D, H, W), target (*S) uint8."""
        if name not in self._rows:
            raise ValueError(f"{self.csv} has no case {name!r}{did_you_mean(name, self._rows)}")
        return self.read_files(name, self._files[name])

    def files_of_cases(self) -> dict[str, CaseFiles]:
        """Files of each case, by its name."""
        return dict(self._files)

    @cached_property
    def _files(self) -> dict[str, CaseFiles]:
        """Files of each case."""
        return {name: self._case_files(row) for name, row in self._rows.items()}

    def _case_files(self, row: Mapping[str, str]) -> CaseFiles:
        folder = self.csv.parent

        def numbered(column: str) -> tuple[Path, ...]:
            further = sorted((key for key in row if re.fullmatch(rf"{column}_[0-9]+", key)), key=natural_order)
            return tuple(folder / row[key] for key in (column, *further) if row[key])

        return CaseFiles(
            images=numbered("image"),
            masks=numbered("mask"),
            valid=folder / row["field_of_view"] if row["field_of_view"] else None,
            others={OBSERVER: folder / row[OBSERVER]} if row[OBSERVER] else {},
            spacing=self._spacing(row),
            instances=folder / row[NUMBERS] if row[NUMBERS] else None,
        )

    def _spacing(self, row: Mapping[str, str]) -> tuple[float, float] | None:
        if not row["spacing"]:
            return None
        numbers = _SPACING.fullmatch(row["spacing"])
        height, width = (float(number or numbers[1]) for number in numbers.groups()) if numbers else (0.0, 0.0)
        if not height or not width:
            raise ValueError(
                f"{self.csv} has spacing {row['spacing']!r} for case {row['name']}: write height and width of a pixel "
                'in mm, such as "0.5 0.25", or one number for both'
            )
        return height, width

    @cached_property
    def _rows(self) -> dict[str, dict[str, str]]:
        """Rows by the name of their case, "" where a column is left out."""
        rows = _read_csv(self.csv)
        for row in rows:
            row["name"] = row["name"] or image_stem(self.csv.parent / row["image"]) or Path(row["image"]).name
        unfit = [row["name"] for row in rows if not _NAME.fullmatch(row["name"])]
        if unfit:
            raise ValueError(
                f"{self.csv} has the names {some(map(repr, unfit))}: files are named after cases, so names hold no "
                "slash or control character and begin with no dot; give others in a column name"
            )
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
    channels = [column for column in columns if column.startswith("image_")]
    gaps = [number for number, row in rows.items() for column in channels if not row[column]]
    if gaps:
        raise ValueError(f"{path} has lines without {some(channels)} ({some(gaps)}): all cases have the same channels")
    splits = sorted({row["split"] for row in rows.values()} - set(SPLITS))
    if splits:
        raise ValueError(f"{path} has split {some(splits)}: it must be train, val or test, or empty")
    return list(rows.values())


def _require_columns(path: Path, columns: Sequence[str]) -> None:
    """Refuse unknown columns too, since a misspelt group would let a patient leak from one split to another."""
    channels = sum(column.startswith("image_") for column in columns)
    wanted = (*REQUIRED, *(f"image_{number}" for number in range(2, channels + 2)))  # numbered without a gap
    lacking = [column for column in wanted if column not in columns]
    strange = [
        f"{column!r}{did_you_mean(column, COLUMNS)}"
        for column in columns
        if column not in COLUMNS and not _NUMBERED.fullmatch(column)
    ]
    twice = [column for column, count in Counter(columns).items() if count > 1]
    faults = {"lacks": lacking, "has unknown": strange, "has twice": twice}
    report = "; ".join(f"{fault} {some(names)}" for fault, names in faults.items() if names)
    if report:
        raise ValueError(
            f"{path}, columns: it {report}; allowed are {', '.join(COLUMNS)}, the first two "
            "must be there, and image_2, mask_2 and so on"
        )
