"""checksums.json: the CRC-32 of each small file of a run as segexp wrote it, so that damage is seen on reading."""

import json
import re
import time
from pathlib import Path

from segexp.crc import crc_of
from segexp.errors import require_regular_file
from segexp.writing import replacing, write_text

CHECKSUMS = "checksums.json"
LARGEST = 1 << 20  # bytes; a line of it has about 50
TRIES = 3  # readings of a file that is being written


def write_checked(path: Path, content: bytes) -> None:
    """Write a file whole, and note its checksum beside it, in the same folder.

    Raises:
        WriteError: It cannot be written; the file and its checksum are as they were.
    """
    try:
        known = _known(path.parent)
    except ValueError:
        known = {}  # damaged: what is written from now on is checked again
    with replacing(path) as part:
        part.write_bytes(content)
        known[path.name] = [crc_of(content), *_present(path, known.get(path.name, []))]
        write_text(path.with_name(CHECKSUMS), json.dumps(known, indent=1) + "\n")


def _present(path: Path, noted: list[str]) -> list[str]:
    """Checksum of what a process that dies before it has moved the new file leaves behind; allowed, too."""
    if not path.is_file():
        return []
    present = crc_of(path.read_bytes())
    return noted[:1] if noted and present not in noted else [present]  # damage is not made good by writing anew


def read_checked(path: Path) -> bytes:
    """Read a file, and compare it with its checksum where there is one.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not what segexp wrote, or the checksums are damaged; names file, rule and remedy.
    """
    require_regular_file(path)  # a pipe would be waited for
    for attempt in range(TRIES):
        if attempt:
            time.sleep(0.01)  # its owner may have written it twice meanwhile
        content = path.read_bytes()
        allowed = _known(path.parent).get(path.name, [])
        if not allowed or crc_of(content) in allowed:
            return content
    raise ValueError(
        f"{path} was changed or damaged since segexp wrote it: its CRC-32 is {crc_of(content)}, not {allowed[0]}; take "
        f"a copy of it, or, if you changed it yourself, delete {path.with_name(CHECKSUMS)}"
    )


def _known(folder: Path) -> dict[str, list[str]]:
    path = folder / CHECKSUMS
    if not path.exists():
        return {}
    if not path.is_file() or path.stat().st_size > LARGEST:
        raise ValueError(f"{path} must be a regular file of {LARGEST} bytes at most: delete it to read without checks")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or not all(map(_is_sums, content.values())):
        raise ValueError(f"{path} is damaged: delete it, and the files beside it are read without checks")
    return content


def _is_sums(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(re.fullmatch("[0-9a-f]{8}", str(item)) for item in value)
