"""``segexp export`` on a real run."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from segexp.build import build_data
from segexp.checkpoints.checkpoint import open_model
from segexp.checkpoints.rules import SUFFIXES
from segexp.commands.export import export
from segexp.inference import TiledPredictor
from tests.conftest import trained

onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("run"), "trainer.max_epochs=1", "callbacks.ema.enabled=true")


def test_a_run_becomes_a_package_with_its_scores(run, capsys):
    export([f"run={run}"])
    said = capsys.readouterr().out
    assert "wrote " in said
    assert "4 real patches and 3 images of noise: largest deviation 0 " in said
    content = json.loads((run / "model.safetensors.json").read_text())
    results, record = (json.loads((run / f"{name}.json").read_text()) for name in ("results", "run"))
    assert content["scores"]["value"] == results["headline"]["value"]
    assert content["scores"]["metrics"] == results["test"]
    assert content["data_fingerprint"] == record["data_fingerprint"]
    assert content["colors"] == [None, [86, 180, 233]]
    again, original = open_model(run / "model.safetensors"), open_model(run)
    assert again.description == original.description
    for name, tensor in original.network.state_dict().items():
        assert torch.equal(tensor, again.network.state_dict()[name])


@pytest.mark.slow
def test_a_package_becomes_onnx(run, tmp_path, capsys):
    export([f"run={run}", f"output={tmp_path / 'net.safetensors'}"])
    export([f"run={tmp_path / 'net.safetensors'}", "format=onnx"])
    said = capsys.readouterr().out
    assert "image sizes: 8, 12, 16, … px per axis" in said
    assert "no real patches: there is no run folder that names its data" in said
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{name}{more}" for name in ("net.safetensors", "model.onnx") for more in ("", ".json")
    }
    assert json.loads((tmp_path / "model.onnx.json").read_text())["scores"] is not None


def five_lines() -> dict[str, str]:
    """The programs of the page, by the word before them."""
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
    part = page.split("## Use it from Python in five lines")[1].split("\n## ")[0]
    return dict(re.findall(r"^(\S+), with .*?\n```python\n(.*?)```", part, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize(
    ("form", "name"),
    [("safetensors", "safetensors"), pytest.param("onnx", "ONNX", marks=pytest.mark.slow), ("torch_export", ".pt2")],
)
def test_the_five_lines_of_the_page_run_as_they_stand(run, tmp_path, monkeypatch, form, name):
    """On an image that one tile covers, each gives the mask of the network itself."""
    export([f"run={run}", f"format={form}", f"output={tmp_path / 'model'}{SUFFIXES[form]}", "verify=false"])
    monkeypatch.chdir(tmp_path)
    image = np.random.default_rng(0).normal(100, 30, (32, 32)).astype(np.float32)
    found = {"image": image}
    exec(five_lines()[name], found)
    with torch.no_grad():
        wanted = open_model(run).network(torch.from_numpy((image - image.mean()) / image.std())[None, None])
    assert (np.asarray(found["mask"]) == wanted[0].argmax(0).numpy()).mean() > 0.999


def test_scores_are_those_of_the_best_epoch_alone(run, tmp_path):
    export([f"run={run / 'checkpoints' / 'last.ckpt'}", f"output={tmp_path / 'a.safetensors'}", "verify=false"])
    content = json.loads((tmp_path / "a.safetensors.json").read_text())
    assert content["scores"] is None
    assert content["data_fingerprint"] is not None
    assert content["verified"] is None


@pytest.mark.parametrize(
    ("inside", "why"),
    [(True, "images is not a folder"), (False, "where a run may give a plain name, or a path of its own")],
)
def test_data_that_are_not_here_or_that_a_stranger_names_are_done_without(run, tmp_path, capsys, inside, why):
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    for name in ("checkpoints/best.ckpt", "results.json"):
        (folder / name).write_bytes((run / name).read_bytes())
    record = json.loads((run / "run.json").read_text())
    none = (folder if inside else tmp_path) / "none"
    record["choices"]["data"] = "folder"
    record["config"]["data"]["source"] = {kind: str(none / kind) for kind in ("images", "masks")}
    record["signature"] = None
    (folder / "run.json").write_text(json.dumps(record))
    export([f"run={folder}"])
    said = capsys.readouterr().out
    assert "0 real patches and 3 images of noise" in said
    assert "no real patches: the data of the run cannot be read here" in said
    assert why in said


def test_wrong_words_get_a_sentence(run, tmp_path):
    with pytest.raises(ValueError, match="run=<value> must be given"):
        export([])
    with pytest.raises(ValueError, match="fromat: no such key .did you mean 'format'"):
        export([f"run={run}", "fromat=onnx"])
    with pytest.raises(ValueError, match="format='onxx' is not one of"):
        export([f"run={run}", "format=onxx"])
    with pytest.raises(ValueError, match=r"must end in .onnx"):
        export([f"run={run}", "format=onnx", f"output={tmp_path / 'a.txt'}"])
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        export([f"run={tmp_path}"])


@pytest.mark.slow
def test_onnx_gives_the_same_mask_on_every_held_out_case(run, tmp_path, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    export([f"run={run}", "format=onnx", f"output={tmp_path / 'model.onnx'}"])
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    name = session.get_inputs()[0].name

    def graph(tiles: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(session.run(None, {name: tiles.contiguous().numpy()})[0])

    config = json.loads((run / "run.json").read_text())["config"]
    data = build_data(config)
    data.setup()
    network, cases = open_model(run).network, 0
    for batch in data.test_dataloader():
        ours, theirs = (TiledPredictor(tile=32)(one, batch["image"]) for one in (network, graph))
        assert torch.equal(ours.argmax(1), theirs.argmax(1))
        cases += 1
    assert cases == len(data.split.test) > 0
