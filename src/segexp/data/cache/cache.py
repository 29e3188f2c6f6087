"""Decoded cases on disk, once per node, shared by all its processes through the system's page cache.

The arrays of a case are .npy files that are mapped into memory: pages come from the disk when they are touched, once
for all workers and processes, and leave again when memory is short.

    cases/<key>/0.npy, 1.npy, …   the arrays
    cases/<key>/case.json         everything else, sizes and CRC-32 of the arrays, and its own CRC-32
    hashes/<key>                  SHA-256 of a source file, so that a second start need not read it
    measured/<key>.json           what was measured on the cases of a data set
"""

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from segexp import __version__
from segexp.data.cache.hashes import FileHashes, hash_code, hash_module, hash_plain, library_versions
from segexp.data.cache.measured import Measured
from segexp.data.cache.plain import to_json
from segexp.data.cache.stored import FORMAT, in_memory, is_stored_case, opened, write_case
from segexp.data.case import Case, Entry
from segexp.errors import require_at_least
from segexp.foreign import one_line
from segexp.writing import hidden_folder, move

_log = logging.getLogger(__name__)


class CaseCache:
    """Cases that this or another process has decoded before.

    A case is taken from the cache if its name, the contents and names of its files, the settings, segexp's decoding
    code and the versions of the libraries that decode are the same. When an object of this class first opens a case,
    its checksums are compared; what is incomplete or damaged is made anew, with a warning. Where cases cannot be stored
    (folder not writable, disk full), they stay in the memory of the process, with one warning.

    Args:
        folder: Folder of the cache, made if missing; may be deleted at any time. None = decode each time, into memory.
        limit_gb: Limit of what ``trim`` leaves, in 10⁹ bytes, at least 0.

    Raises:
        ValueError: ``limit_gb`` is out of its range.
    """

    def __init__(self, folder: str | Path | None, limit_gb: float = 100.0) -> None:
        require_at_least("limit_gb", limit_gb, 0)
        self._folder = None if folder is None else Path(folder) / "cases"
        self._hashes = None if folder is None else FileHashes(Path(folder) / "hashes")
        self._limit = limit_gb * 1e9
        self._used: set[Path] = set()
        self._warned = False

    def case(self, entry: Entry, settings: Mapping[str, Any], decode: Callable[[], Case]) -> tuple[Case, str]:
        """Return a case, with arrays that cannot be written to, and the digest of its data.

        Args:
            entry: Entry of the case; its files may be folders, such as that of a DICOM series.
            settings: Settings that decide how it is decoded, see ``settings_of``; plain values.
            decode: Decoder of the case; called if it is not in the cache.

        Returns:
            The case; the SHA-256 of names, dtypes, shapes and bytes of image, target, valid, others and
            instances: equal data, equal digest, cached or not.

        Raises:
            FileNotFoundError: A file of the entry cannot be read.
            ValueError: A setting or a fact of the case is not a plain value.
        """
        if self._folder is None or self._hashes is None:
            return in_memory(decode())
        # The place of a case is named by everything that decides its arrays.
        files = [[path.name, self._hashes.of(path)] for path in entry.files]
        plain = to_json(settings, f"settings of case {entry.name}")
        place = self._folder / hash_plain([*_code(), plain, entry.name, files])
        stored = opened(place, checked=place in self._used)
        if stored is None:
            if is_stored_case(place):
                _log.warning(f"case {one_line(entry.name)} is damaged in the cache ({place}): it is decoded again")
            stored = self._stored(place, decode())
        self._used.add(place)
        with suppress(OSError):
            os.utime(place)  # trim sees that it is in use
        return stored

    def measured(self, settings: Mapping[str, Any]) -> Measured:
        """What was measured on the cases of a data set; kept until segexp's code for data changes.

        Args:
            settings: Settings that tell the data set from others, see ``settings_of``.
        """
        if self._folder is None:
            return Measured(None)
        name = hash_plain([*_code(), to_json(settings, "settings of the data set")])
        return Measured(self._folder.with_name("measured") / f"{name}.json")

    def trim(self) -> None:
        """Remove the cases that were not used for longest, as far as all together exceed the limit.

        Cases that this object has returned stay, and whatever else lies in the folder. What another process has open,
        it can still read (POSIX).
        """
        cases = []
        for place in self._folder.iterdir() if self._folder and self._folder.is_dir() else []:
            with suppress(OSError):  # removed by another process
                if is_stored_case(place):
                    size = sum(file.stat().st_size for file in place.iterdir())
                    cases.append((place.stat().st_mtime, size, place))
        total = 0
        for _, size, place in sorted(cases, reverse=True):
            total += size
            if total > self._limit and place not in self._used:
                _remove(place)

    def _stored(self, place: Path, case: Case) -> tuple[Case, str]:
        """Write a case beside its place, then rename; who comes second finds the place taken and drops his copy."""
        failure = None
        with hidden_folder(place.parent) as own:
            try:
                own.mkdir(parents=True, exist_ok=True)
                write_case(own, case)
                if not opened(place):
                    if is_stored_case(place):
                        _remove(place)  # damaged
                    move(own, place)
            except OSError as error:
                failure = error
        stored = opened(place)
        if failure and not stored and not self._warned:
            self._warned = True
            _log.warning(
                f"decoded cases cannot be kept in {place.parent.parent} ({failure}): each process holds its own in "
                "memory; set paths.cache_dir or SEGEXP_CACHE_DIR to a writable folder with room"
            )
        return stored or in_memory(case)


def settings_of(source: object) -> dict[str, Any]:
    """Return, for JSON, what decides how a source decodes: its class, the code of its modules, its public attributes.

    Raises:
        ValueError: A public attribute is no plain value, see ``plain.to_json``.
    """
    kind = type(source)
    public = {name: value for name, value in vars(source).items() if not name.startswith("_")}
    return {
        "class": f"{kind.__module__}.{kind.__qualname__}",
        "class_code": _code_of(kind),
        **{name: to_json(value, f"{kind.__name__}.{name}") for name, value in public.items()},
    }


def digest_of(description: Mapping[str, Any]) -> str:
    """Digest of a description.

    Raises:
        ValueError: A value is not plain, see ``plain.to_json``.
    """
    return hash_plain(to_json(description, "description"))


def _code_of(kind: type) -> list[str]:
    return [hash_module(base.__module__) for base in kind.__mro__]


def _code() -> list[Any]:
    """What decides how cases are decoded and measured, beside the settings."""
    return [FORMAT, __version__, hash_code(), library_versions()]


def _remove(place: Path) -> None:
    """Remove a case at once from the sight of other processes."""
    with hidden_folder(place.parent) as removed, suppress(OSError):  # not there, or removed by another process
        move(place, removed)
