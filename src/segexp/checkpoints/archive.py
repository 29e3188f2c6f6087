"""What is checked in a checkpoint before it is read: that it is a plain file, and what its archive holds.

A file of ``torch.save`` is a zip archive: a pickle, and the bytes of each tensor as they are. PyTorch reads it with
``weights_only=True``, whose list of allowed names is longer than what a checkpoint of ours needs, so ours is shorter.
"""

import pickletools
import re
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from segexp.checkpoints.rules import shown
from segexp.runs.files import require_plain_file

MOST_PICKLE = 8 << 20  # bytes; that of a checkpoint with optimizer has about 100 per tensor
MOST_DIRECTORY = 8 << 20  # bytes of the archive's table of contents
LARGEST = (0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)  # numbers of a short record
DESCRIPTORS = (16, 24)  # bytes that may follow a member: its checksum and sizes
MEMBER = re.compile(
    r"([^/\\]+)/(?:(data\.pkl)|byteorder|version|\.format_version|\.storage_alignment|\.data/serialization_id|data/\d+)"
)
OPCODES = re.compile(
    r"PROTO|STOP|MARK|NONE|NEWTRUE|NEWFALSE|BININT[12]?|LONG1|BINFLOAT|BINUNICODE|SHORT_BINSTRING"
    r"|EMPTY_(DICT|LIST|TUPLE|SET)|TUPLE[123]?|APPENDS?|SETITEMS?|(LONG_)?BIN(PUT|GET)|GLOBAL|REDUCE|BUILD|BINPERSID"
)
FOLDER = 0x10  # bit of a member's attributes
NAMES = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_(tensor_v2|parameter)|torch Size"
    r"|torch (Float|Double|Half|BFloat16|Long|Int|Short|Char|Byte|Bool)Storage"
    r"|torch (float|bfloat|int|uint)(8|16|32|64)"
)


def require_there(path: Path) -> None:
    """Refuse a checkpoint that is not there.

    Raises:
        FileNotFoundError: Names the path and the remedy.
    """
    if not path.exists():
        raise FileNotFoundError(f"no checkpoint at {path}: give the folder of a run that has finished an epoch")


def require_checkpoint(path: Path, folder: Path | None = None) -> int:
    """Refuse a file that is anything but an archive of tensors and plain values, without reading it as such.

    Args:
        path: Path to the file.
        folder: Folder that a link must not lead out of; None = it may.

    Returns:
        Its size in bytes; what it holds takes no more memory than that.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is something else, or damaged: each part must have its CRC-32; names file and rule.
    """
    size = require_plain_file(path, folder)
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            raise ValueError(f"{path} must be a zip archive, as torch.save writes it since PyTorch 1.6")
        start = _require_one_directory(file, path, size)
        try:
            with zipfile.ZipFile(file) as archive:
                member = _require_members(archive, path, size)
                _require_end_to_end(file, archive.infolist(), start, path)
                damaged = archive.testzip()  # torch.load does not compare the checksums
                pickle = archive.read(member)
        except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, UnicodeError, struct.error) as error:
            raise ValueError(f"{path} is a broken archive: {error}") from error
    if damaged:
        raise ValueError(f"{path} is damaged: the CRC-32 of {shown(damaged)} in it is wrong; take a copy of it")
    _require_plain_pickle(pickle, path)
    return size


def _require_one_directory(file: BinaryIO, path: Path, size: int) -> int:
    """Refuse an archive with a large table of contents, or where two programs may find two of them.

    PyTorch writes no comment after the end, goes by the offsets in the last records, and searches backwards; Python
    goes by sizes. Both see one table where all of its records lie end to end at the end of the file.

    Returns:
        Where the table begins.
    """
    file.seek(max(0, size - 98))
    tail = file.read().rjust(98, b"\0")
    record, locator, end = tail[:56], tail[56:76], tail[76:]
    if end[:4] != b"PK\x05\x06" or end[20:] != b"\0\0":
        raise ValueError(f"{path} is a broken archive: it does not end as torch.save ends it")
    disk, own, here, count, length, offset = struct.unpack("<HHHHII", end[4:20])
    stop = size - 22
    if locator[:4] == b"PK\x06\x07":
        stop -= 76
        short = (here, count, length, offset)
        long = struct.unpack("<IQHHIIQQQQ", record)
        # A short number is the same, or the largest where it has no room.
        same = all(one in (two, most) for one, two, most in zip(short, long[6:], LARGEST, strict=True))
        if (
            record[:4] != b"PK\x06\x06"
            or long[1] != 44
            or struct.unpack("<IQI", locator[4:]) != (0, stop, 1)
            or not same
        ):
            raise ValueError(f"{path} is a broken archive: the records at its end contradict one another")
        here, count, length, offset = long[6:]
    if (disk, own) != (0, 0) or here != count or offset + length != stop:
        raise ValueError(f"{path} is a broken archive: its table of contents must lie at its end, and there alone")
    if length > min(MOST_DIRECTORY, size):
        raise ValueError(f"{path} has a table of contents of {length} bytes: {MOST_DIRECTORY} at most are read")
    return int(offset)


def _require_end_to_end(file: BinaryIO, members: Sequence[zipfile.ZipInfo], start: int, path: Path) -> None:
    """Refuse members that are called otherwise in their own place, or bytes between them that belong to none."""
    place = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        file.seek(member.header_offset)
        head = file.read(30)
        name_length, more = struct.unpack("<HH", head[26:30]) if len(head) == 30 else (0, 0)
        name = file.read(name_length)
        gap = member.header_offset - place
        if head[:4] != b"PK\x03\x04" or name != member.orig_filename.encode() or gap not in (0, *DESCRIPTORS):
            raise ValueError(f"{path} is a broken archive: {shown(member.filename)} is another one in its own place")
        place = member.header_offset + 30 + name_length + more + member.file_size
    if start - place not in (0, *DESCRIPTORS):
        raise ValueError(f"{path} is a broken archive: it holds bytes that belong to no member")


def _require_members(archive: zipfile.ZipFile, path: Path, size: int) -> zipfile.ZipInfo:
    """Return the pickle of an archive whose members are those of torch.save and nowhere near a bomb."""
    members = archive.infolist()
    folders, pickles = set(), []
    for member in members:
        match = MEMBER.fullmatch(member.filename)
        if match is None or match[1] == "..":
            code = "code/" in member.filename or member.filename.endswith("constants.pkl")
            what = "TorchScript, which is a program" if code else "no part of a checkpoint"
            raise ValueError(f"{path} holds {shown(member.filename)}: that is {what}")
        compressed = member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size
        # PyTorch takes for a folder, and leaves unread, what has the attribute of one.
        if compressed or member.flag_bits & 1 or member.external_attr & FOLDER:  # encrypted
            raise ValueError(
                f"{path}: {shown(member.filename)} must be stored as it is, a file neither compressed nor encrypted"
            )
        folders.add(match[1])
        if match[2]:
            pickles.append(member)
    if len(folders) != 1 or len({member.filename for member in members}) != len(members):
        raise ValueError(f"{path} must hold one folder, and each name in it once")
    # Uncompressed members can only be larger than the file together where they share its bytes.
    total = sum(member.file_size for member in members)
    if total > size:
        raise ValueError(f"{path} would become {total} bytes, but the file has {size}: its members overlap")
    if len(pickles) != 1 or pickles[0].file_size > MOST_PICKLE:
        raise ValueError(f"{path} must hold one data.pkl of {MOST_PICKLE} bytes at most")
    return pickles[0]


def _require_plain_pickle(pickle: bytes, path: Path) -> None:
    """Go through a pickle without running it; refuse any name or operation that a checkpoint of ours does not need."""
    try:
        for opcode, argument, _ in pickletools.genops(pickle):
            if not OPCODES.fullmatch(opcode.name):
                raise ValueError(f"operation {opcode.name} is none that a checkpoint needs")
            if opcode.name == "GLOBAL" and not NAMES.fullmatch(str(argument)):
                raise ValueError(f"it names {shown(str(argument).replace(' ', '.'))}, which is not run")
    except (ValueError, IndexError, struct.error, UnicodeError) as error:
        raise ValueError(f"{path} cannot be read as a checkpoint of tensors and plain values: {error}") from error
