"""CRC-32 in eight hexadecimal digits: of bytes, of plain values and of files."""

import json
import zlib
from pathlib import Path
from typing import Any

_PIECE = 1 << 20  # bytes of a file that are read at a time


def crc_of(content: bytes) -> str:
    """CRC-32 of bytes."""
    return f"{zlib.crc32(content):08x}"


def crc_of_plain(value: Any) -> str:
    """CRC-32 of what ``json`` takes; the order of keys does not matter."""
    return crc_of(json.dumps(value, sort_keys=True).encode())


def crc_of_file(path: Path) -> str:
    """CRC-32 of the content of a file, which may be larger than the memory."""
    value = 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            value = zlib.crc32(piece, value)
    return f"{value:08x}"
