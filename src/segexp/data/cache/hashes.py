"""SHA-256 of plain values, of files, and of the code that decodes them."""

import hashlib
import json
import sys
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from segexp.errors import require_regular_file
from segexp.writing import replacing

_LIBRARIES = ("imagecodecs", "nibabel", "numpy", "pillow", "pydicom", "scipy", "simpleitk", "tifffile", "torch")


def hash_plain(value: Any) -> str:
    """Hash what ``json`` takes; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@cache
def hash_code() -> str:
    """Hash the code of segexp.data, whatever of it decodes: all of its Python files."""
    room = Path(__file__).parents[1]
    return hash_plain([[path.relative_to(room).as_posix(), hash_file(path)] for path in sorted(room.rglob("*.py"))])


@cache
def library_versions() -> dict[str, str]:
    """Find the versions of the libraries that decode or resample, by their names on PyPI; "" = not installed."""
    versions = dict.fromkeys(_LIBRARIES, "")
    for name in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


@cache
def hash_module(name: str) -> str:
    """Hash the file of a module; empty for one without a file, such as a notebook."""
    file = getattr(sys.modules.get(name), "__file__", None)
    return hash_file(Path(file)) if file else ""


class FileHashes:
    """Hashes of files, remembered in a folder under their path, size, times and inode.

    The time of the last change of the inode (ctime) counts too: it moves on when a file is rewritten and its time of
    modification set back. A file rewritten within one tick of that clock (some ms) is the one change that goes unseen.

    Args:
        folder: One small file per hash; made if missing. Where it cannot be written, hashes are remembered in memory.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, str] = {}

    def of(self, path: Path) -> str:
        """Hash the content of a file, or the names and contents of all files of a folder.

        Raises:
            FileNotFoundError: It cannot be read.
            ValueError: It is a pipe, device or socket.
        """
        try:
            require_regular_file(path)
            files = {"": path}
            if path.is_dir():
                files = {file.relative_to(path).as_posix(): file for file in sorted(path.rglob("*")) if file.is_file()}
            stats = {name: file.stat() for name, file in files.items()}
            stamps = {name: [s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino] for name, s in stats.items()}
            key = hash_plain([str(path.absolute()), stamps])
            if key not in self._known:
                self._known[key] = self._recalled_or_computed(key, files)
        except OSError as error:
            raise FileNotFoundError(f"{path} cannot be read ({error}): check path and permissions") from error
        return self._known[key]

    def _recalled_or_computed(self, key: str, files: dict[str, Path]) -> str:
        with suppress(OSError, ValueError):
            known = (self._folder / key).read_text(encoding="ascii")
            if len(known) == 64:
                return known
        content = hash_plain({name: hash_file(file) for name, file in files.items()})
        with suppress(OSError):  # the next start hashes again
            self._folder.mkdir(parents=True, exist_ok=True)
            with replacing(self._folder / key, sync=False) as part:
                part.write_text(content, encoding="ascii")
        return content


def hash_file(path: Path) -> str:
    """Hash the content of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
