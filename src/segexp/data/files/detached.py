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
_ZLIB_OR_GZIP = zlib.MAX_WBITS | 32
_GZIP_MEMBER = b"\x1f\x8b\x08"
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
    if header.value("compresseddata") in ("true", "1"):
        packed, told = parts[0][0].stat().st_size - parts[0][1], header.value("compresseddatasize")
        # Told nothing, SimpleITK takes the length of the file, and would begin to inflate at the header.
        if told != str(packed) and (told or not header.files):
            raise ValueError(
                f"its compressed voxels take {packed} bytes, by the header CompressedDataSize={told or None}"
            )
        found = _inflated(*parts[0])
    elif encoding in ("gz", "gzip"):
        found = sum(_inflated(file, start) for file, start in parts)
    else:
        found = sum(file.stat().st_size - start for file, start in parts)
    lines, skipped = header.value("line ?skip"), header.value("byte ?skip", "headersize") or "0"
    some_skipped = lines not in ("", "0") or not skipped.isdecimal()  # -1: all before the last bytes
    found -= 0 if some_skipped else int(skipped) * len(parts)
    if found < size or (found > size and not some_skipped):
        raise ValueError(f"its voxels take {size} bytes by the header, but {found} are there")


def _inflated(path: Path, start: int) -> int:
    """Count the bytes of a stream of zlib, or of gzip in any number of members; checksums are compared on the way."""
    engine, count = zlib.decompressobj(wbits=_ZLIB_OR_GZIP), 0
    with path.open("rb") as file:
        file.seek(start)
        data = file.read(_CHUNK)
        while data:
            count += len(engine.decompress(data, _CHUNK))
            data = engine.unconsumed_tail or engine.unused_data or file.read(_CHUNK)
            if engine.eof and data:
                data += file.read(_CHUNK)  # the mark may lie on both sides
                if not data.startswith(_GZIP_MEMBER):
                    raise ValueError("bytes follow its compressed voxels")
                engine = zlib.decompressobj(wbits=_ZLIB_OR_GZIP)
    if not engine.eof:
        raise ValueError("its compressed voxels are cut short")
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
