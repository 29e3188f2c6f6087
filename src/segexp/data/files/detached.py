"""Headers of MetaImage and NRRD, which may name the files that hold the voxels, and whether these are whole.

A header may come from a stranger, and the file that it names is read as an image: it must lie beside the header.
SimpleITK looks neither at checksums of compressed voxels nor at what follows voxels: that is done here.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

READERS = {".mhd": "MetaImageIO", ".mha": "MetaImageIO", ".nhdr": "NrrdImageIO", ".nrrd": "NrrdImageIO"}  # SimpleITK's
_HEADER = 1 << 20  # bytes of a header at most
_CHUNK = 1 << 20
_MOST_FILES = 10_000
_META = re.compile(rb"^[ \t]*elementdatafile[ \t]*[=:][ \t]*(.*?)[ \t\r]*$", re.MULTILINE | re.IGNORECASE)
_NRRD = re.compile(rb"^[ \t]*data[ \t]*file[ \t]*:=?[ \t]*(.*?)[ \t\r]*$", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Header:
    """What a header says of the place of its voxels.

    Attributes:
        text: The header, without voxels.
        end: Number of bytes before voxels that follow the header.
        files: Files that it names; empty where the voxels follow the header.
    """

    text: bytes
    end: int
    files: tuple[Path, ...]

    def value(self, *names: str) -> str:
        """Value of the first field under one of these names, in lower case; empty if there is none."""
        pattern = rb"^[ \t]*(?:" + "|".join(names).encode() + rb")[ \t]*[=:]+[ \t]*(.*?)[ \t\r]*$"
        found = re.search(pattern, self.text, re.MULTILINE | re.IGNORECASE)
        return found[1].decode("utf-8", "replace").lower() if found else ""


def read_header(path: Path) -> Header:
    """Read the header of a file.

    Args:
        path: .mhd, .mha, .nhdr or .nrrd.

    Raises:
        ValueError: A file that it names is not there, or not a regular one in the folder of the header or below it; the
            header names files in more than one place. Names header and file.
    """
    with path.open("rb") as file:
        start = file.read(_HEADER)
    is_nrrd = READERS[path.suffix.lower()] == "NrrdImageIO"
    blank = re.search(rb"\r?\n\r?\n", start) if is_nrrd else None
    text, end = (start[: blank.start()], blank.end()) if blank else (start, len(start))
    found = list((_NRRD if is_nrrd else _META).finditer(text))
    # Of MetaImage this is the last line of the header: voxels follow, and may look like anything.
    named = found if is_nrrd else found[:1]
    if len(named) > 1:
        raise ValueError(f"{path} names its data files {len(named)} times: correct the header")
    if named and not is_nrrd:
        end = named[0].end() + 1
    if not named or named[0][1].upper() == b"LOCAL":
        return Header(text[:end], end, ())
    names = _names(named[0][1], text[named[0].end() :], path)
    return Header(text[:end], end, tuple(_beside(path, name) for name in names))


def detached_files(path: Path) -> tuple[Path, ...]:
    """Files that a header names, see ``read_header``; none where the voxels follow the header."""
    return read_header(path).files


def require_whole(path: Path, size: int) -> None:
    """Refuse voxels that fail the checksum of their compression, are cut short, or are followed by more.

    Voxels as text have no known size, and those after a number of lines or bytes that the header says to skip.

    Args:
        path: .mhd, .mha, .nhdr or .nrrd.
        size: Bytes that the voxels take in memory.

    Raises:
        ValueError: Says what is wrong, not in which file.
    """
    header = read_header(path)
    encoding = header.value("encoding")
    if encoding in ("ascii", "hex", "text", "txt") or header.value("binarydata") in ("false", "0"):
        return
    parts = [(file, 0) for file in header.files] or [(path, header.end)]
    if encoding in ("gz", "gzip") or header.value("compresseddata") in ("true", "1"):
        found = sum(_inflated(file, start) for file, start in parts)
    else:
        found = sum(file.stat().st_size - start for file, start in parts)
    skips = header.value("line ?skip", "byte ?skip", "headersize") not in ("", "0")
    if found < size or (found > size and not skips):
        raise ValueError(f"its voxels take {size} bytes by the header, but {found} are there")


def _inflated(path: Path, start: int) -> int:
    """Count the bytes of a stream of zlib or gzip, whose checksum is compared on the way."""
    engine, count = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32), 0
    with path.open("rb") as file:
        file.seek(start)
        while not engine.eof:
            data = engine.unconsumed_tail or file.read(_CHUNK)
            if not data:
                raise ValueError("its compressed voxels are cut short")
            count += len(engine.decompress(data, _CHUNK))
        rest = len(engine.unused_data) + len(file.read())
    if rest:
        raise ValueError(f"{rest} bytes follow its compressed voxels")
    return count


def _names(value: bytes, following: bytes, path: Path) -> Iterator[str]:
    """Names that a value stands for: itself, a list that follows, or a pattern with numbers."""
    text = value.decode("utf-8", "replace")
    if re.match(r"LIST\b", text, re.IGNORECASE):
        if not following.endswith(b"\n"):  # SimpleITK would lose the last name, and read voxels from the header
            raise ValueError(f"{path} lists its data files without a line break at the end: add one")
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
