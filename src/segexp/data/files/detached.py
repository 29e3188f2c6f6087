"""Headers of MetaImage and NRRD, which may name the files that hold the voxels.

A header may come from a stranger, and the file that it names is read as an image: it must lie beside the header.
"""

import re
from collections.abc import Iterator
from pathlib import Path

READERS = {".mhd": "MetaImageIO", ".mha": "MetaImageIO", ".nhdr": "NrrdImageIO", ".nrrd": "NrrdImageIO"}  # SimpleITK's
_HEADER = 1 << 20  # bytes of a header at most
_MOST_FILES = 10_000
_META = re.compile(rb"^[ \t]*elementdatafile[ \t]*[=:][ \t]*(.*?)[ \t\r]*$", re.MULTILINE | re.IGNORECASE)
_NRRD = re.compile(rb"^[ \t]*data[ \t]*file[ \t]*:=?[ \t]*(.*?)[ \t\r]*$", re.MULTILINE | re.IGNORECASE)


def detached_files(path: Path) -> tuple[Path, ...]:
    """Files that a header names; none where the voxels follow the header.

    Args:
        path: .mhd, .mha, .nhdr or .nrrd.

    Raises:
        ValueError: A file is not there, or not a regular one in the folder of the header or below it; the header names
            files in more than one place. Names header and file.
    """
    with path.open("rb") as file:
        start = file.read(_HEADER)
    is_nrrd = READERS[path.suffix.lower()] == "NrrdImageIO"
    header = re.split(rb"\r?\n\r?\n", start, maxsplit=1)[0] if is_nrrd else start
    found = list((_NRRD if is_nrrd else _META).finditer(header))
    # Of MetaImage this is the last line of the header: voxels follow, and may look like anything.
    named = found if is_nrrd else found[:1]
    if len(named) > 1:
        raise ValueError(f"{path} names its data files {len(named)} times: correct the header")
    if not named or named[0][1].upper() == b"LOCAL":
        return ()
    return tuple(_beside(path, name) for name in _names(named[0][1], header[named[0].end() :], path))


def _names(value: bytes, following: bytes, path: Path) -> Iterator[str]:
    """Names that a value stands for: itself, a list that follows, or a pattern with numbers."""
    text = value.decode("utf-8", "replace")
    if re.match(r"LIST\b", text, re.IGNORECASE):
        yield from (line.strip() for line in following.decode("utf-8", "replace").splitlines() if line.strip())
        return
    pattern = re.fullmatch(r"(\S*%0?\d*d\S*)\s+(\d{1,6})\s+(\d{1,6})\s+([1-9]\d{0,5})(?:\s+\d)?", text)
    if pattern is None:
        yield text
        return
    first, last, step = (int(number) for number in pattern.groups()[1:])
    numbers = range(first, last + 1, step)
    if len(numbers) > _MOST_FILES or pattern[1].count("%") != 1:
        raise ValueError(f"{path} names its data files by {text!r}: {_MOST_FILES} at most, by one number")
    yield from (pattern[1] % number for number in numbers)


def _beside(path: Path, name: str) -> Path:
    """Path of a file that a header names, if it is a regular one beside or below the header."""
    target = path.parent / name
    inside = bool(name) and not Path(name).is_absolute() and ".." not in Path(name).parts
    if not inside or not target.resolve().is_relative_to(path.parent.resolve()):
        raise ValueError(
            f"{path} names the data file {name!r}, which lies elsewhere: only files in the folder of the header, or "
            "below it, are read; put a copy there and correct the header"
        )
    if not target.is_file():
        raise ValueError(
            f"{path} names the data file {name!r}, which is no regular file there: put it beside the header"
        )
    return target
