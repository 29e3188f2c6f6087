"""Hostile packages: a header or a JSON file that lies, and a run folder that would have commands run something."""

import json
import os
import struct
from pathlib import Path

import pytest
import torch

from segexp.checkpoints.checkpoint import Model, open_model
from segexp.checkpoints.export import Facts, export
from segexp.checkpoints.package import json_beside
from segexp.commands.export import export as export_command
from segexp.data.cache.hashes import hash_file
from segexp.models import UNet
from segexp.runs.folder import RunFolder
from segexp.runs.runs import find_runs
from tests.safety.corpus import checkpoint, model_description, nested, saved
from tests.safety.test_checkpoints import refused, run_folder


@pytest.fixture
def package(tmp_path) -> Path:
    torch.manual_seed(0)
    model = Model(UNet(base_channels=2, depth=1).eval(), model_description())
    export(model, tmp_path / "model.safetensors", "safetensors", Facts([None, [1, 2, 3]]), [])
    return tmp_path / "model.safetensors"


def told(package: Path, /, **changes) -> Path:
    """Change the JSON file of a package, and leave out its checksum, as a stranger may."""
    path = json_beside(package)
    content = json.loads(path.read_text())
    content.pop("crc32", None)
    for key, value in changes.items():
        place, last = (content["description"], key[13:]) if key.startswith("description__") else (content, key)
        place[last] = value
    path.write_text(json.dumps(content))
    return package


def header(package: Path, entries: dict | bytes, length: int | None = None, data: bytes = b"") -> Path:
    """Write a safetensors file by hand, its hash into the JSON file."""
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    package.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return told(package, weights_sha256=hash_file(package))


def tensor(shape: list, begin: int, end: int, dtype: str = "F32") -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_the_package_starts_as_a_good_one(package):
    assert open_model(package).description.label_values == [0, 255]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"_target_": "os.system"}, "_target_"),
        ({"verified": {"_target_": "os.system"}}, "_target_"),
        ({"description___target_": "os.system"}, "_target_"),
        ({"description__network": "os.system"}, "its network is of 'os.system', which is no class"),
        ({"description__model": {"base_channels": 1024, "depth": 4}}, "asks for a tensor"),
        ({"description": None}, "description=None must be"),
        ({"surprise": 1}, "'surprise' is no key"),
        ({"format": "pickle"}, "format='pickle' must be one of"),
        ({"format": "onnx"}, "format=onnx does not belong to model.safetensors"),
        ({"package": 2}, "package=2 must be"),
        ({"package": True}, "package=True must be"),
        ({"weights_sha256": "0" * 64}, "has the SHA-256"),
        ({"weights_sha256": "x" * 64}, "hexadecimal"),
        ({"weights_sha256": None}, "hexadecimal"),
        ({"parameters": -1}, "parameters=-1 must be"),
        ({"colors": [[0, 0, 256]]}, "colors="),
        ({"colors": [[[]]]}, "colors="),
        ({"scores": {"split": "train"}}, "must be there"),
        ({"data_fingerprint": "../../x"}, "data_fingerprint="),
        ({"segexp_version": "\x1b]0;title\x07"}, "printable"),
        ({"colors": nested(100)}, "levels"),
        ({"segexp_version": "9" * 10**6}, "segexp_version="),
    ],
    ids=lambda value: str(value)[:60],
)
def test_the_json_file_is_checked_key_by_key(package, changes, words):
    refused(told(package, **changes), words)


@pytest.mark.parametrize(
    ("find", "put", "words"),
    [
        ('"package": 1', '"package": NaN', "is not finite"),
        ('"package": 1', '"package": -Infinity', "is not finite"),
        ('"threshold": 0.4', '"threshold": 1e309', "is not finite"),
        ('"package": 1', '"package": ' + "9" * 5000, "cannot be read as JSON"),
        ('"package": 1', '"package": ' + "[" * 100_000, "cannot be read as JSON"),
        ('"package": 1', '"package": 1, "package": 1', "a key stands there twice"),
        ('"package": 1', '"package": 1, "more": "' + "x" * (9 << 20) + '"', "8388608 at most"),
        ('"package": 1', '"package": \ud800'.encode("utf-16-le", "surrogatepass").decode("latin1"), "cannot be read"),
        ('{"', "[", "cannot be read as JSON"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_json_that_is_none_or_too_much_is_refused(package, find, put, words):
    path = json_beside(package)
    text = json.dumps(json.loads(path.read_text()))
    path.write_text(text.replace(find, put, 1), encoding="latin1")
    refused(package, words)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: header(p, {}, length=2**60), "has a header of"),
        (lambda p: header(p, {}, length=0), "has a header of 0 bytes"),
        (lambda p: header(p, b" " * (5 << 20)), "has a header of"),
        (lambda p: header(p, b"[" * 10_000), "cannot be read as safetensors"),
        (lambda p: header(p, {"a": tensor([2**40, 2**40], 0, 4)}, data=b"0000"), "cannot be read as safetensors"),
        (lambda p: header(p, {"a": tensor([2**40], 0, 2**42)}, data=b"0000"), "cannot be read as safetensors"),
        (lambda p: header(p, {n: tensor([1], 0, 4) for n in "ab"}, data=b"0000"), "cannot be read as safetensors"),
        (lambda p: header(p, {"a": tensor([1], 4, 0)}, data=b"0000"), "cannot be read as safetensors"),
        (lambda p: header(p, {"a": tensor([-1], 0, 4)}, data=b"0000"), "cannot be read as safetensors"),
        (lambda p: header(p, {"a": tensor([1], 0, 4, "os.system")}, data=b"0000"), "cannot be read as safetensors"),
        (lambda p: header(p, {"a": tensor([4], 0, 4, "U8")}, data=b"0000"), "the file has"),
        (lambda p: header(p, {"../../a": tensor([1], 0, 4)}, data=b"0000"), "the description asks for a tensor"),
        (lambda p: header(p, {"__metadata__": {"_target_": "os.system"}}), "the file has none"),
    ],
)
def test_headers_that_lie_are_refused(package, make, words):
    refused(make(package), words)


def test_a_large_network_of_a_small_file_takes_no_memory(package):
    with torch.device("meta"):
        network = UNet(base_channels=1024, depth=4)
    assert sum(p.numel() for p in network.parameters()) > 5e9
    refused(told(package, description__model=network.config), "the description asks for a tensor")


def test_links_and_missing_halves(package, tmp_path):
    inside = tmp_path / "given"
    inside.mkdir()
    (inside / "model.safetensors").write_bytes(package.read_bytes())
    with pytest.raises(FileNotFoundError, match=r"model.safetensors.json: there is no such file"):
        open_model(inside / "model.safetensors")
    (inside / "model.safetensors.json").symlink_to(json_beside(package))
    refused(inside / "model.safetensors", "is a link that leads out of")
    package.unlink()
    os.mkfifo(package)
    refused(package, "must be a regular file")


def test_two_packages_are_not_mixed(package, tmp_path):
    other = tmp_path / "other.safetensors"
    torch.manual_seed(1)
    export(Model(UNet(base_channels=2, depth=1).eval(), model_description()), other, "safetensors", Facts([None]), [])
    json_beside(package).write_bytes(json_beside(other).read_bytes())
    refused(package, "has the SHA-256")


# Run folders


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "canary"
    yield path
    assert not path.exists()


def hostile_record(canary: Path) -> dict:
    call = {"_target_": "os.system", "command": f"touch {canary}"}
    source = {"_target_": "os.system", "command": f"touch {canary}", "size": [10**6, 10**6], "cells": call}
    return {
        "status": "done",
        "choices": {"data": "synthetic"},
        "config": {"_target_": "os.system", "data": {"_target_": "os.system", "source": source}, "model": call},
        "data_fingerprint": "0" * 64,
        "overrides": [f"model={{_target_: os.system, command: touch {canary}}}"],
    }


def test_export_builds_nothing_that_a_run_names(tmp_path, canary, capsys):
    run = run_folder(tmp_path / "run")
    (run / "run.json").write_text(json.dumps(hostile_record(canary)))
    (run / "config.yaml").write_text(f"!!python/object/apply:os.system ['touch {canary}']\n")
    saved(run / "checkpoints" / "best.ckpt", checkpoint())
    export_command([f"run={run}"])
    assert "4 real patches" in capsys.readouterr().out  # of our own synthetic data, at their own size
    assert open_model(run / "model.safetensors").description == model_description()


@pytest.mark.parametrize("option", ["../../etc/passwd", "os.system", "synthetic\n", 7, ["synthetic"], None])
def test_export_takes_data_sets_by_exact_name(tmp_path, canary, capsys, option):
    run = run_folder(tmp_path / "run")
    (run / "run.json").write_text(json.dumps(hostile_record(canary) | {"choices": {"data": option}}))
    saved(run / "checkpoints" / "best.ckpt", checkpoint())
    export_command([f"run={run}"])
    assert "is none of our data sets" in capsys.readouterr().out


@pytest.mark.parametrize(
    "content", ['{"headline": 1}', "[]", '{"headline": {"split": "../.."}}', '{"a": NaN}', "[" * 10**5]
)
def test_results_that_are_none_are_named(tmp_path, content):
    run = run_folder(tmp_path / "run")
    (run / "results.json").write_text(content)
    saved(run / "checkpoints" / "best.ckpt", checkpoint())
    with pytest.raises(ValueError, match=r"results.json"):
        export_command([f"run={run}"])
    assert not list(run.glob("*.safetensors"))


def test_reading_a_run_to_compare_it_runs_nothing(tmp_path, canary):
    run = run_folder(tmp_path / "run")
    (run / "run.json").write_text(json.dumps(hostile_record(canary)))
    (found,) = find_runs([str(run)])
    assert found.config["model._target_"] == "os.system"  # a text like any other
    assert found.choices == {"data": "synthetic"}


@pytest.mark.parametrize("tag", ["object/apply:os.system", "object/new:os.system", "name:os.system", "module:os"])
def test_yaml_tags_of_python_are_refused(tmp_path, canary, tag):
    run = run_folder(tmp_path / "run")
    (run / "config.yaml").write_text(f"trainer: !!python/{tag} ['touch {canary}']\n")
    with pytest.raises(ValueError, match="could not determine a constructor"):
        RunFolder(run).config()
