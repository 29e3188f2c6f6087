"""Decoded cases on disk, once per node, shared by all its processes through the system's page cache.

The arrays of a case are .npy files that are mapped into memory: pages come from the disk when they are touched, once
for all workers and processes, and leave again when memory is short.

    cases/<key>/0.npy, 1.npy, …   the arrays
    cases/<key>/case.json         everything else, sizes and CRC-32 of the arrays, and its own CRC-32
    hashes/<key>                  SHA-256 of a source file, so that a second start need not read it
"""

import hashlib
import json
import logging
import os
import re
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from segexp import __version__
from segexp.crc import crc_of_plain
from segexp.data.cache.hashes import FileHashes, hash_code, hash_module, hash_plain, library_versions
from segexp.data.cache.plain import from_json, to_json
from segexp.data.case import Case, Entry
from segexp.errors import require_at_least
from segexp.foreign import one_line
from segexp.writing import hidden_folder, move

_FORMAT = 2
_ARRAYS = ("image", "target", "valid", "others", "instances")  # fields of Case that are kept as .npy files

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
            return _in_memory(decode())
        # The place of a case is named by everything that decides its arrays.
        files = [[path.name, self._hashes.of(path)] for path in entry.files]
        plain = to_json(settings, f"settings of case {entry.name}")
        code = [_FORMAT, __version__, hash_code(), library_versions()]
        place = self._folder / hash_plain([*code, plain, entry.name, files])
        stored = _opened(place, checked=place in self._used)
        if stored is None:
            if is_stored_case(place):
                _log.warning(f"case {one_line(entry.name)} is damaged in the cache ({place}): it is decoded again")
            stored = self._stored(place, decode())
        self._used.add(place)
        with suppress(OSError):
            os.utime(place)  # trim sees that it is in use
        return stored

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
                _write(own, case)
                if not _opened(place):
                    if is_stored_case(place):
                        _remove(place)  # damaged
                    move(own, place)
            except OSError as error:
                failure = error
        stored = _opened(place)
        if failure and not stored and not self._warned:
            self._warned = True
            _log.warning(
                f"decoded cases cannot be kept in {place.parent.parent} ({failure}): each process holds its own in "
                "memory; set paths.cache_dir or SEGEXP_CACHE_DIR to a writable folder with room"
            )
        return stored or _in_memory(case)


def settings_of(source: object) -> dict[str, Any]:
    """Return, for JSON, what decides how a source decodes: its class, the code of its modules, its public attributes.

    Raises:
        ValueError: A public attribute is no plain value, see ``plain.to_json``.
    """
    kind = type(source)
    public = {name: value for name, value in vars(source).items() if not name.startswith("_")}
    return {
        "class": f"{kind.__module__}.{kind.__qualname__}",
        "class_code": [hash_module(base.__module__) for base in kind.__mro__],
        **{name: to_json(value, f"{kind.__name__}.{name}") for name, value in public.items()},
    }


def content_digest(case: Case) -> str:
    """SHA-256 of the data of a case, as ``CaseCache.case`` returns it."""
    return _digest(_arrays(case))


def _arrays(case: Case) -> dict[str, np.ndarray]:
    others = {f"others/{name}": array for name, array in case.others.items()}
    arrays = {"image": case.image, "target": case.target, "valid": case.valid, "instances": case.instances, **others}
    return {name: np.asarray(array) for name, array in arrays.items() if array is not None}


def _with_arrays(case: Case, arrays: Mapping[str, np.ndarray]) -> Case:
    others = {name.removeprefix("others/"): array for name, array in arrays.items() if name.startswith("others/")}
    masks = {name: arrays.get(name) for name in ("target", "valid", "instances")}
    return replace(case, image=arrays["image"], others=others, **masks)  # type: ignore[arg-type]


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _in_memory(case: Case) -> tuple[Case, str]:
    arrays = {name: array.view() for name, array in _arrays(case).items()}
    for array in arrays.values():
        array.flags.writeable = False
    return _with_arrays(case, arrays), _digest(arrays)


def _write(folder: Path, case: Case) -> None:
    arrays = _arrays(case)
    kept = {name: value for name, value in vars(case).items() if name not in _ARRAYS}
    kept["affine"] = None if case.affine is None else case.affine.tolist()
    facts = {"format": _FORMAT, "digest": _digest(arrays), "case": to_json(kept, f"case {case.name}"), "arrays": {}}
    for number, (name, array) in enumerate(arrays.items()):
        path = folder / f"{number}.npy"
        array = np.ascontiguousarray(array)
        np.save(path, array, allow_pickle=False)
        facts["arrays"][name] = [path.stat().st_size, _crc(array)]
    facts["crc32"] = crc_of_plain(facts)
    (folder / "case.json").write_text(json.dumps(facts), encoding="utf-8")


def _crc(array: np.ndarray) -> int:
    return zlib.crc32(array.reshape(-1).view(np.uint8).data)


def _opened(folder: Path, checked: bool = False) -> tuple[Case, str] | None:
    """Open a stored case; None if there is none, or parts of it are missing or broken.

    ``checked`` says that the checksums of the arrays were compared before.
    """
    try:
        facts = json.loads((folder / "case.json").read_text(encoding="utf-8"))
        if facts.pop("crc32") != crc_of_plain(facts) or facts["format"] != _FORMAT:
            return None
        arrays = {}
        for number, (name, (size, crc)) in enumerate(facts["arrays"].items()):
            arrays[name] = _mapped(folder / f"{number}.npy", size)
            if not checked and _crc(arrays[name]) != crc:
                return None
        kept = from_json(facts["case"])
        kept["files"] = tuple(Path(file) for file in kept["files"])
        kept["affine"] = None if kept["affine"] is None else np.array(kept["affine"])
        return _with_arrays(Case(image=arrays["image"], target=None, **kept), arrays), facts["digest"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _mapped(path: Path, size: int) -> np.ndarray:
    """Map an .npy file of ``size`` bytes into memory, read-only.

    Torch maps it, as Python's mmap (``np.load``) keeps a file descriptor per array, and many systems allow 1024.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size != size or np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{path} is damaged: delete it")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        start = file.tell()
    try:
        whole = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8).numpy()
    except RuntimeError:  # too many maps for one process (vm.max_map_count)
        whole = np.fromfile(path, dtype=np.uint8)
    whole.flags.writeable = False
    return whole[start:].view(dtype).reshape(shape)


def is_stored_case(place: Path) -> bool:
    """Whether a folder is what this cache has stored, maybe damaged: by its name and the names of all it holds."""
    is_folder = place.is_dir() and not place.is_symlink()
    return (
        is_folder
        and re.fullmatch("[0-9a-f]{64}", place.name) is not None
        and all(re.fullmatch(r"case\.json|[0-9]+\.npy", file.name) and not file.is_dir() for file in place.iterdir())
    )


def _remove(place: Path) -> None:
    """Remove a case at once from the sight of other processes."""
    with hidden_folder(place.parent) as removed, suppress(OSError):  # not there, or removed by another process
        move(place, removed)
