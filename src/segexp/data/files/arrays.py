"""NumPy files: .npy, and .npz with one array."""

import io
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from segexp.data.case import Stored
from segexp.data.files import conventions
from segexp.data.files.conventions import Pixels
from segexp.errors import some

SUFFIXES = (".npy", ".npz")
MAGICS = (b"\x93NUMPY", b"PK\x03\x04")


def read_array(path: Path, mapped: bool = False) -> Pixels:
    """Read the one array of a file: (H, W), (H, W, 3) of colors, or (N, H, W) of pages.

    Args:
        path: Path to the file.
        mapped: Whether to map a .npy, so that it is read where it is used.

    Raises:
        ValueError: It holds several arrays, pickled objects, or an array of another shape; a checksum is wrong.
    """
    array = _member(path) if _is_archive(path) else _plain(path, mapped)
    if array.dtype.kind not in "buif":
        raise ValueError(f"it holds {array.dtype} values, where real numbers are expected")
    if not mapped:
        array = np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
    axes = _axes(array.shape)
    array = array[..., 0] if array.ndim > 2 and array.shape[-1] == 1 else array
    bits = 1 if array.dtype == bool else 8 * array.dtype.itemsize
    return Pixels(conventions.full_range(array, bits), axes, Stored(format="NumPy", bits=bits, axes=axes))


def _plain(path: Path, mapped: bool) -> np.ndarray:
    with path.open("rb") as file:
        if mapped:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            file.seek(array.offset + array.nbytes)
        else:
            array = np.load(file, allow_pickle=False)
        _require_end(file)
    return array


def _require_end(file: IO[bytes]) -> None:
    if file.read(1):
        raise ValueError("data follow its array, such as a second one")


def _is_archive(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _member(path: Path) -> np.ndarray:
    """Array of a .npz; reading it whole compares the CRC of zip."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if len(names) != 1 or not names[0].endswith(".npy"):
            raise ValueError(f"it holds {some(names)}, where one array is expected: save it alone, as .npy or .npz")
        member = io.BytesIO(archive.read(names[0]))
    array = np.lib.format.read_array(member, allow_pickle=False)
    _require_end(member)
    return array


def _axes(shape: tuple[int, ...]) -> str:
    if len(shape) == 2 or (len(shape) == 3 and shape[-1] == 1):
        return "YX"
    if len(shape) == 3:
        return "YXS" if shape[-1] == 3 else "IYX"
    raise ValueError(f"its shape {shape} is neither (H, W), (H, W, 3) of colors nor (N, H, W) of pages")
