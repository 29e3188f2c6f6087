import hashlib
import json

import pytest
import torch
from safetensors import safe_open

from segexp.checkpoints.checkpoint import Model, open_model
from segexp.checkpoints.export import Facts, export
from segexp.checkpoints.package import Package, json_beside, read_package
from segexp.models import UNet
from tests.safety.corpus import model_description

SCORES = {
    "split": "test",
    "metric": "dice",
    "value": 0.9,
    "note": "whole cases",
    "metrics": {"dice": 0.9, "hd95": None},
}


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("package") / "model.safetensors"
    model = Model(UNet(base_channels=2, depth=1).eval(), model_description(class_names=["ground", "noyau ✓"]))
    export(model, path, "safetensors", Facts([None, [86, 180, 233]], SCORES, "0" * 64), [])
    return path, model


def test_the_weights_are_plain_safetensors(package):
    path, model = package
    with safe_open(path, framework="pt") as file:
        names = set(file.keys())
        assert names == set(model.network.state_dict())
        assert all(torch.equal(file.get_tensor(name), model.network.state_dict()[name]) for name in names)


def test_the_json_file_tells_how_to_use_them(package):
    path, model = package
    content = json.loads((path.parent / "model.safetensors.json").read_text(encoding="utf-8"))
    assert content["weights_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert content["description"] == model.description.to_plain()
    assert content["scores"] == SCORES
    assert content["colors"] == [None, [86, 180, 233]]
    assert content["parameters"] == sum(p.numel() for p in model.network.parameters())
    assert content["verified"]["largest_deviation"] == 0
    del content["crc32"]
    assert read_package(path) == Package.from_plain(content, "the package")


def test_a_digit_that_has_changed_is_told(package):
    path = json_beside(package[0])
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"value": 0.9', '"value": 0.8'), encoding="utf-8")
    with pytest.raises(ValueError, match=r"safetensors.json was changed or damaged .* remove its key crc32"):
        read_package(package[0])
    path.write_text(text, encoding="utf-8")


def test_it_opens_elsewhere_as_it_was(package, tmp_path):
    path, model = package
    for file in (path, json_beside(path)):
        (tmp_path / file.name.replace("model", "renamed")).write_bytes(file.read_bytes())
    again = open_model(tmp_path / "renamed.safetensors")
    assert again.description == model.description
    image = torch.randn(1, 1, 13, 21)
    with torch.no_grad():
        assert torch.equal(again.network(image), model.network(image))


def test_half_a_content_is_not_written(package, tmp_path):
    _, model = package
    with pytest.raises(ValueError, match=r"scores: metric=None must be"):
        export(model, tmp_path / "a.safetensors", "safetensors", Facts([None], SCORES | {"metric": None}), [])
    assert not list(tmp_path.iterdir())
