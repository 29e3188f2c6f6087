"""Hostile files, made when they are needed: each would touch a canary, take memory, or lead out of its folder."""

import copy
import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from segexp.checkpoints.description import ModelDescription
from segexp.models import UNet

DESCRIPTION: dict[str, Any] = {
    "network": "UNet",
    "model": UNet(base_channels=2, depth=1).config,
    "signature": None,
    "activation": "softmax",
    "class_names": ["background", "object"],
    "label_values": [0, 255],
    "regions": None,
    "channels": 1,
    "spatial_dims": 2,
    "context": 0,
    "slice_axis": 0,
    "spacing": None,
    "distance_unit": "px",
    "patch_size": [16, 16],
    "intensity": {"rule": "PercentileClip", "low": 0.5, "high": 99.5},
    "chosen": {"threshold": 0.4},
    "inference": {
        "tile": [16, 16],
        "overlap": 0.25,
        "border": "auto",
        "blending": "gaussian",
        "batch_size": 4,
        "sigma": 0.125,
        "padding_mode": "reflect",
    },
    "postprocess": None,
    "field_of_view": None,
    "channels_by_suffix": False,
    "reference": None,
    "spacing_unit": "files",
    "symmetries": ["flip_y", "flip_x", "quarter_turn"],
    "quality": [],
    "plan": None,
    "segexp_version": "0.1.0",
}


def description(**changes: Any) -> dict[str, Any]:
    """Copy of a good description; ``a__b`` stands for the key b within a."""
    content = copy.deepcopy(DESCRIPTION)
    for key, value in changes.items():
        *path, last = key.split("__") if not key.startswith("_") else [key]
        place = content
        for word in path:
            place = place[word]
        place[last] = value
    return content


def model_description(**changes: Any) -> ModelDescription:
    """The same as the type that a checkpoint is opened with."""
    return ModelDescription.from_plain(description(**changes), "the corpus")


def checkpoint(told: Any = None, **changes: Any) -> dict[str, Any]:
    """Content of a good checkpoint of a small network."""
    torch.manual_seed(0)
    state = {f"network.{name}": value for name, value in UNet(base_channels=2, depth=1).state_dict().items()}
    return {"state_dict": state, "segexp": description() if told is None else told} | changes


def saved(path: Path, content: Any, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


# Pickles


def _text(word: str) -> bytes:
    return b"X" + struct.pack("<I", len(word.encode())) + word.encode()


def call(name: str, *arguments: str) -> bytes:
    """Pickle that calls a function of texts."""
    module, _, function = name.rpartition(".")
    return b"\x80\x02c" + f"{module}\n{function}\n".encode() + b"(" + b"".join(map(_text, arguments)) + b"tR."


class Reduced:
    """What pickles itself as a call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def pickles(canary: Path) -> dict[str, bytes]:
    """Pickles that would run something, by every way that the format has."""
    import functools
    import os

    shell, python = f"touch {canary}", f"open({str(canary)!r}, 'w').close()"
    found = {
        name: call(name, shell)
        for name in ("os.system", "posix.system", "nt.system", "subprocess.getoutput", "subprocess.Popen", "pty.spawn")
    }
    found |= {
        name: call(name, python) for name in ("builtins.eval", "builtins.exec", "__builtin__.eval", "timeit.timeit")
    }
    found |= {
        "torch.hub.load": call("torch.hub.load", str(canary.parent), "model"),
        "torch.load": call("torch.load", str(canary)),
        "torch.jit.load": call("torch.jit.load", str(canary)),
        "runpy.run_path": call("runpy.run_path", str(canary.parent / "hubconf.py")),
        "importlib.import_module": call("importlib.import_module", "antigravity"),
        "builtins.getattr": call("builtins.getattr", "os", "system"),
        "numpy.load": call("numpy.load", str(canary)),
        "hydra.utils.instantiate": call("hydra.utils.instantiate", "os.system"),
        "torch._utils._rebuild_sparse_tensor": call("torch._utils._rebuild_sparse_tensor", "a"),
        "_codecs.encode": call("_codecs.encode", "a", "latin1"),
        "partial": pickle.dumps(functools.partial(os.system, shell), protocol=2),
        "partial called": pickle.dumps(Reduced(functools.partial(os.system, shell)), protocol=2),
        "copyreg": b"\x80\x02ccopyreg\n_reconstructor\n(csubprocess\nPopen\nc__builtin__\nobject\nNtR.",
        "stack global": pickle.dumps(Reduced(os.system, shell), protocol=4),
        "protocol 0": pickle.dumps(Reduced(os.system, shell), protocol=0),
        "inst": b"(" + f"S'{shell}'\n".encode() + b"ios\nsystem\n.",
        "obj": b"(cos\nsystem\n" + _text(shell) + b"o.",
        "newobj": b"\x80\x02cos\nsystem\n" + _text(shell) + b"\x85\x81.",
        "extension": b"\x80\x02\x82\x01(" + _text(shell) + b"tR.",
        "persistent text": b"Pos.system\n.",
        "names in the middle": b"\x80\x02}" + _text("segexp") + call("os.system", shell)[2:-1] + b"s.",
        "long text that is not there": b"\x80\x02X\xff\xff\xff\xff.",
        "byte array of 4 GB": b"\x80\x05\x96" + struct.pack("<Q", 1 << 32) + b".",
        "memo far away": b"\x80\x02Nr\xff\xff\xff\x7f0.",
        "no end": b"\x80\x02}",
        "empty": b"",
    }
    return found


def archive(path: Path, pickled: bytes, folder: str = "archive") -> Path:
    """Write an archive as torch.save writes it, with any pickle in it."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{folder}/data.pkl", pickled)
        file.writestr(f"{folder}/byteorder", "little")
        file.writestr(f"{folder}/version", "3\n")
    return path


# Archives


def _members(path: Path) -> dict[str, bytes]:
    buffer = io.BytesIO()
    torch.save(checkpoint(), buffer)
    with zipfile.ZipFile(buffer) as file:
        return {name: file.read(name) for name in file.namelist()}


def repacked(path: Path, compression: int = zipfile.ZIP_STORED, **more: bytes) -> Path:
    """Write a good checkpoint anew, with further members."""
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in (_members(path) | more).items():
            file.writestr(name, content)
    return path


def overlapping(path: Path) -> Path:
    """Write an archive whose table of contents names the same bytes many times: a bomb without compression."""
    repacked(path)
    with zipfile.ZipFile(path, "a") as file:
        largest = max(file.filelist, key=lambda member: member.file_size)
        for i in range(1000, 1400):
            twin = copy.copy(largest)
            twin.filename = f"archive/data/{i}"
            file.filelist.append(twin)
        file._didModify = True
    return path


# Numbers and nesting


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def laughing(levels: int = 12) -> Any:
    """Lists that hold one another ten times over: small in a pickle, 10 ** levels values for who walks through."""
    value: Any = [1]
    for _ in range(levels):
        value = [value] * 10
    return value


# Archives that show one table of contents to Python and another to PyTorch


def two_directories(path: Path, how: str) -> Path:
    """Write a checkpoint in whose place PyTorch would open another one, if it opened it."""
    other = saved(path.with_suffix(".other"), checkpoint({"hidden": True})).read_bytes()
    good = saved(path, checkpoint()).read_bytes()
    start = struct.unpack("<I", good[-6:-2])[0]
    body, table, end = good[:start], good[start:-98], bytearray(good[-22:])
    if how == "offset":  # Python looks below the end, PyTorch at the offset that is told
        end[16:20] = other[-6:-2]
        path.write_bytes(other[:-98] + body + table + bytes(end))
    elif how == "locator":  # the end is the same, the record before it lies elsewhere
        record = bytearray(good[-98:-42])
        far = bytearray(other[-98:-42])
        where = len(other) - 98
        path.write_bytes(other + body + table + bytes(record) + struct.pack("<4sIQI", b"PK\x06\x07", 0, where, 1) + end)
        assert far[:4] == b"PK\x06\x06"
    elif how == "name":  # the table calls a member otherwise than its own place does
        path.write_bytes(good.replace(b"/data/0", b"/data/9", 1))
    elif how == "between":  # bytes that belong to no member
        path.write_bytes(other + good)
    return path
