"""An exported model: a file of weights, and beside it a JSON file that says how to use them.

The weights of a package that segexp opens again are safetensors: a header of names, types and sizes, then the numbers.
"""

import json
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypedDict

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from segexp.checkpoints.description import ModelDescription
from segexp.checkpoints.rules import (
    SUFFIXES,
    Rule,
    either,
    maybe,
    named,
    number,
    one_of,
    require_fields,
    several,
    shown,
    text,
    whole,
)
from segexp.crc import crc_of_plain
from segexp.data.cache.hashes import hash_file
from segexp.runs.files import read_json, require_plain_file
from segexp.writing import write_text

CHECKSUM = "crc32"  # key of the JSON file: of all its other keys and values
MOST_HEADER = 4 << 20  # bytes of a safetensors header; a tensor takes about 100
MAPPING = Rule("a mapping", lambda value: type(value) is dict)
SHA256 = Rule(
    "a SHA-256 in 64 hexadecimal digits", lambda value: type(value) is str and bool(re.fullmatch("[0-9a-f]{64}", value))
)
SCORE = maybe(number(-1e30, 1e30))
PACKAGE = {
    "package": one_of(1),  # version of the JSON file
    "format": one_of(*SUFFIXES),
    "weights_sha256": SHA256,
    "parameters": whole(0, 2**50),
    "description": MAPPING,
    "sizes": maybe(named(either(whole(0, 2**31), several(whole(0, 2**31), 2, 3)), 3)),
    "colors": several(maybe(several(whole(0, 255), 3, 3)), 1, 1000),
    "scores": maybe(MAPPING),
    "data_fingerprint": maybe(SHA256),
    "verified": maybe(MAPPING),
    "segexp_version": text(50),
}
SCORES = {"split": one_of("val", "test"), "metric": text(), "value": SCORE, "note": text(1000), "metrics": named(SCORE)}
VERIFIED = {
    "with": text(),
    "real_patches": whole(0, 1000),
    "noise_images": whole(0, 1000),
    "largest_deviation": number(0, 1e30),
    "tolerance": number(0, 1e30),
}


class Scores(TypedDict):
    """Final metrics of the run that a model comes from."""

    split: str
    metric: str
    value: float | None
    note: str
    metrics: dict[str, float | None]


Verification = TypedDict(
    "Verification",
    {"with": str, "real_patches": int, "noise_images": int, "largest_deviation": float, "tolerance": float},
)
"""How the weights were compared with the network: with which program, on how many images, how closely."""


@dataclass(frozen=True)
class Facts:
    """What a JSON file says of the run behind a model.

    Attributes:
        colors: RGB per class or region, None for the background.
        scores: Final metrics of the run, None = unknown.
        data_fingerprint: Fingerprint of the data that the run saw, None = unknown.
    """

    colors: Sequence[Sequence[int] | None]
    scores: Scores | None = None
    data_fingerprint: str | None = None


@dataclass(frozen=True, kw_only=True)
class Package(Facts):
    """Content of the JSON file beside a file of weights.

    Attributes:
        format: Format of the weights, a key of ``SUFFIXES``.
        parameters: Number of parameters.
        description: What predicting needs.
        sizes: Image sizes that the graph takes: ``plus`` more than a multiple of ``multiple_of``, from ``least`` on;
            None = any; with a ``multiple_of`` of 0 this one alone. Lists where axes differ.
        verified: How the weights were compared with the network; None = not at all.
        segexp_version: Version that wrote the package.
    """

    format: str
    parameters: int
    description: ModelDescription
    sizes: dict[str, int | list[int]] | None
    verified: Verification | None
    segexp_version: str

    @classmethod
    def from_plain(cls, plain: Any, where: str) -> Self:
        """Check what a JSON file says, key by key; arguments and errors as ``ModelDescription.from_plain``."""
        described = isinstance(plain, dict) and isinstance(plain.get("description"), dict)
        # The description is checked on its own: in it alone a file may name a class.
        require_fields(plain | {"description": {}} if described else plain, PACKAGE, where)
        for key, rules in (("scores", SCORES), ("verified", VERIFIED)):
            if plain[key] is not None:
                require_fields(plain[key], rules, f"{where}: {key}")
        description = ModelDescription.from_plain(plain["description"], f"{where}: description")
        values = {key: value for key, value in plain.items() if key not in ("package", "weights_sha256")}
        return cls(**(values | {"description": description}))


def json_beside(weights: Path) -> Path:
    """Path of the JSON file that belongs to a file of weights: model.onnx.json to model.onnx."""
    return weights.with_name(f"{weights.name}.json")


def write_package(weights: Path, package: Package) -> None:
    """Write the JSON file of a file of weights, with the hash of those.

    Raises:
        ValueError: It is not what the JSON file of a package must be.
    """
    path = json_beside(weights)
    values = {
        **vars(package),
        "package": 1,
        "description": package.description.to_plain(),
        "weights_sha256": hash_file(weights),
    }
    plain = {key: values[key] for key in PACKAGE}
    Package.from_plain(plain, str(path))
    plain[CHECKSUM] = crc_of_plain(plain)
    write_text(path, json.dumps(plain, indent=2, ensure_ascii=False) + "\n")


def read_package(weights: Path) -> Package:
    """Read the JSON file of a file of weights, and compare the weights with the hash in it.

    Raises:
        FileNotFoundError: One of the two files is missing.
        ValueError: A file is broken, or the two do not belong together; names file and rule.
    """
    require_plain_file(weights)
    path = json_beside(weights)
    plain = read_json(path, weights.parent)
    # Packages of earlier versions have no checksum.
    if isinstance(plain, dict) and CHECKSUM in plain and plain.pop(CHECKSUM) != crc_of_plain(plain):
        raise ValueError(
            f"{path} was changed or damaged since segexp wrote it: export the model again, or, if you changed it "
            f"yourself, remove its key {CHECKSUM}"
        )
    package = Package.from_plain(plain, str(path))
    if SUFFIXES[package.format] != weights.suffix:
        raise ValueError(f"{path}: format={package.format} does not belong to {weights.name}")
    digest = hash_file(weights)
    if digest != plain["weights_sha256"]:
        raise ValueError(f"{weights} has the SHA-256 {digest}, but {path} asks for {plain['weights_sha256']}")
    return package


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file, which takes no more memory than the file has bytes.

    Raises:
        ValueError: The file is broken; names it.
    """
    size = require_plain_file(path)
    with path.open("rb") as file:
        start = file.read(8)
    header: int = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
    if not 0 < header <= min(MOST_HEADER, size - 8):
        raise ValueError(f"{path} has a header of {header} bytes: it must fit the file and {MOST_HEADER} at most")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path} cannot be read as safetensors: {shown(str(error))}") from error
