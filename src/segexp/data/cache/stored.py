"""A case as files in a folder, each with its size and CRC-32; arrays are mapped into memory when it is opened."""

import hashlib
import json
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from segexp.crc import crc_of_plain
from segexp.data.cache.plain import from_json, to_json
from segexp.data.case import Case

FORMAT = 3
_ARRAYS = ("image", "target", "valid", "others", "instances")  # fields of Case that are kept as .npy files


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


def in_memory(case: Case) -> tuple[Case, str]:
    """Give a case that is in no folder, with arrays that cannot be written to, and its digest."""
    arrays = {name: array.view() for name, array in _arrays(case).items()}
    for array in arrays.values():
        array.flags.writeable = False
    return _with_arrays(case, arrays), _digest(arrays)


def write_case(folder: Path, case: Case) -> None:
    """Write a case into an empty folder."""
    arrays = _arrays(case)
    kept = {name: value for name, value in vars(case).items() if name not in _ARRAYS}
    kept["affine"] = None if case.affine is None else case.affine.tolist()
    facts = {"format": FORMAT, "digest": _digest(arrays), "case": to_json(kept, f"case {case.name}"), "arrays": {}}
    for number, (name, array) in enumerate(arrays.items()):
        path = folder / f"{number}.npy"
        array = np.ascontiguousarray(array)
        np.save(path, array, allow_pickle=False)
        facts["arrays"][name] = [path.stat().st_size, _crc(array), array.dtype.str, array.shape]
    facts["crc32"] = crc_of_plain(facts)
    (folder / "case.json").write_text(json.dumps(facts), encoding="utf-8")


def _crc(array: np.ndarray) -> int:
    return zlib.crc32(array.reshape(-1).view(np.uint8).data)


def opened(folder: Path, checked: bool = False) -> tuple[Case, str] | None:
    """Open a stored case; None if there is none, or parts of it are missing or broken.

    ``checked`` says that the checksums of the arrays were compared before.
    """
    try:
        facts = json.loads((folder / "case.json").read_text(encoding="utf-8"))
        if facts.pop("crc32") != crc_of_plain(facts) or facts["format"] != FORMAT:
            return None
        arrays = {}
        for number, (name, (size, crc, dtype, shape)) in enumerate(facts["arrays"].items()):
            arrays[name] = _mapped(folder / f"{number}.npy", size, np.dtype(dtype), shape)
            if not checked and _crc(arrays[name]) != crc:
                return None
        kept = from_json(facts["case"])
        kept["files"] = tuple(Path(file) for file in kept["files"])
        kept["affine"] = None if kept["affine"] is None else np.array(kept["affine"])
        return _with_arrays(Case(image=arrays["image"], target=None, **kept), arrays), facts["digest"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _mapped(path: Path, size: int, dtype: np.dtype[Any], shape: Sequence[int]) -> np.ndarray:
    """Map the array at the end of an .npy file of ``size`` bytes into memory, read-only.

    Torch maps it, as Python's mmap (``np.load``) keeps a file descriptor per array, and many systems allow 1024.
    """
    start = size - math.prod(shape) * dtype.itemsize
    if path.stat().st_size != size or start < 0:
        raise ValueError(f"{path} is damaged: delete it")
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
