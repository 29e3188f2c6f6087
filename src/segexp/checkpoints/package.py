"""An exported model: a file of weights, and beside it a JSON file that says how to use them.

The weights of a package that segexp opens again are safetensors: a header of names, types and sizes, then the numbers.
"""

import hashlib
import json
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from segexp.checkpoints.description import ModelDescription
from segexp.checkpoints.rules import (
    Rule,
    maybe,
    named,
    number,
    one_of,
    require_keys,
    require_rules,
    require_small,
    several,
    shown,
    text,
    whole,
)
from segexp.runs.files import read_json, require_plain_file

SUFFIXES = {"safetensors": ".safetensors", "onnx": ".onnx", "torch_export": ".pt2"}
MOST_HEADER = 4 << 20  # bytes of a safetensors header; a tensor takes about 100
DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64}
MAPPING = Rule("a mapping", lambda value: type(value) is dict)
SHA256 = Rule(
    "a SHA-256 in 64 hexadecimal digits", lambda value: type(value) is str and bool(re.fullmatch("[0-9a-f]{64}", value))
)
FIGURE = maybe(number(-1e30, 1e30))
PACKAGE = {  # what stands in the JSON file
    "package": one_of(1),  # of the form of this file
    "format": one_of(*SUFFIXES),
    "weights_sha256": SHA256,
    "parameters": whole(0, 2**50),
    "description": MAPPING,
    "sizes": maybe(named(whole(0, 2**31), 3)),
    "colours": several(maybe(several(whole(0, 255), 3, 3)), 1, 1000),
    "scores": maybe(MAPPING),
    "data_fingerprint": maybe(SHA256),
    "verified": maybe(MAPPING),
    "segexp_version": text(50),
}
SCORES = {
    "split": one_of("val", "test"),
    "metric": text(),
    "value": FIGURE,
    "note": text(1000),
    "figures": named(FIGURE),
}
VERIFIED = {
    "with": text(),
    "real_patches": whole(0, 1000),
    "noise_images": whole(0, 1000),
    "largest_deviation": number(0, 1e30),
    "tolerance": number(0, 1e30),
}


class Shape(NamedTuple):
    """Size and type of a tensor that is not there yet."""

    size: tuple[int, ...]
    dtype: torch.dtype | None  # None = one that no network of ours has


def json_beside(weights: Path) -> Path:
    """Path of the JSON file that belongs to a file of weights: model.onnx.json to model.onnx."""
    return weights.with_name(f"{weights.name}.json")


def sha256(path: Path) -> str:
    """Hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_content(weights: Path, content: Mapping[str, Any]) -> None:
    """Write the JSON file of a file of weights, and the hash of those into it.

    Raises:
        ValueError: It is not what the JSON file of a package must be.
    """
    path = json_beside(weights)
    whole_content = {"package": 1, **content, "weights_sha256": sha256(weights)}
    path.write_text(json.dumps(_checked(whole_content, path), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_content(weights: Path) -> dict[str, Any]:
    """Read the JSON file of a file of weights, key by key, and compare the weights with the hash in it.

    Raises:
        FileNotFoundError: One of the two files is missing.
        ValueError: A file is broken, or the two do not belong together; names file and rule.
    """
    require_plain_file(weights)
    path = json_beside(weights)
    content = _checked(read_json(path, weights.parent), path)
    if SUFFIXES[content["format"]] != weights.suffix:
        raise ValueError(f"{path}: format={content['format']} does not belong to {weights.name}")
    found = sha256(weights)
    if found != content["weights_sha256"]:
        raise ValueError(f"{weights} has the SHA-256 {found}, but {path} asks for {content['weights_sha256']}")
    return content


def _checked(content: Any, path: Path) -> dict[str, Any]:
    where = str(path)
    require_small(content, where)
    require_keys(content, PACKAGE, where)
    require_rules(content, PACKAGE, where)
    for key, rules in (("scores", SCORES), ("verified", VERIFIED)):
        if content[key] is not None:
            require_keys(content[key], rules, f"{where}: {key}")
            require_rules(content[key], rules, f"{where}: {key}")
    ModelDescription.from_plain(content["description"], f"{where}: description")
    return content


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors."""
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)


def tensor_shapes(path: Path) -> dict[str, Shape]:
    """Read the header of a safetensors file: names, sizes and types, no number.

    Raises:
        ValueError: The file is broken; names it.
    """
    size = require_plain_file(path)
    with path.open("rb") as file:
        start = file.read(8)
    header = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
    if not 0 < header <= min(MOST_HEADER, size - 8):
        raise ValueError(f"{path} has a header of {header} bytes: it must fit the file and {MOST_HEADER} at most")
    try:
        with safe_open(path, framework="pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            return {name: Shape(tuple(part.get_shape()), DTYPES.get(part.get_dtype())) for name, part in slices.items()}
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path} cannot be read as safetensors: {shown(str(error))}") from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a safetensors file whose header was looked at."""
    return load_file(path)
