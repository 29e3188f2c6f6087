"""The whole life of networks that are none of ours, from a folder outside of the checkout, by the command line."""

import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from PIL import Image

from segexp.checkpoints import open_model
from segexp.commands.train import train
from segexp.config import compose
from tests.conftest import HERE, SMALL, write_pairs

MODULE = """
from torch import nn

class Three(nn.Sequential):
    def __init__(self, inputs, outputs, width=4):
        super().__init__(nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, outputs, 3, padding=1))

class Both(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(inputs, outputs, 3, padding=1), nn.Conv2d(inputs, outputs, 2, 2)

    def forward(self, image):
        return {"out": self.fine(image), "low": self.coarse(image)}
"""
FACTS = "{inputs}: ${{data.channels}}\n{outputs}: ${{data.labels.num_classes}}\n"
MODELS = {
    "three": "_target_: three_lines_net.Three\n" + FACTS.format(inputs="inputs", outputs="outputs"),
    "both": "_target_: segexp.models.Select\ndeep: [low]\nnetwork:\n  _target_: three_lines_net.Both\n"
    "  inputs: ${data.channels}\n  outputs: ${data.labels.num_classes}\n",
    "basic": "_target_: monai.networks.nets.BasicUNet\nspatial_dims: 2\nfeatures: [4, 4, 8, 8, 8, 4]\n"
    + FACTS.format(inputs="in_channels", outputs="out_channels"),
    "smp": "_target_: segmentation_models_pytorch.Unet\nencoder_name: resnet18\nencoder_weights: null\n"
    + FACTS.format(inputs="in_channels", outputs="classes"),
}
WORDS = [word for word in SMALL if not word.startswith("model.")] + [word for word in HERE if "name=" not in word]
needs_smp = pytest.mark.skipif(not find_spec("segmentation_models_pytorch"), reason="SMP is not installed")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A folder of a user's own, with images."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "three_lines_net.py").write_text(MODULE)
    (folder / "mine" / "model").mkdir(parents=True)
    for name, text in MODELS.items():
        (folder / "mine" / "model" / f"{name}.yaml").write_text(text)
    write_pairs(folder, 1, 37, 51)
    return folder


@pytest.fixture
def segexp(answer, monkeypatch):
    """Run a command in an empty folder; return what it printed."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*words: str, status: int = 0) -> str:
        found, out, error = answer(*words)
        assert found == status, out + error
        return out + error

    return run


def trained(project: Path, name: str, *words: str) -> Path:
    folder = project / "outputs" / name
    if not folder.exists():
        train(compose([*WORDS, "name=own", f"model={name}", *words], run_dir=folder, config_dir=project / "mine"))
    return folder


BASIC = pytest.param("basic", marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "name", ["three", pytest.param("both", marks=pytest.mark.slow), BASIC, pytest.param("smp", marks=needs_smp)]
)
def test_a_network_of_any_class_is_trained_scored_used_and_exported(project, segexp, name):
    run = trained(project, name, "trainer.max_epochs=1")
    record = json.loads((run / "run.json").read_text())
    assert record["status"] == "done"
    assert record["config_dirs"] == [str(project / "mine")]
    assert "the same figures as at the end of the training, to the last bit" in segexp("evaluate", f"run={run}")
    masks = project / f"masks_{name}"
    assert "1 predicted" in segexp("predict", f"run={run}", f"input={project / 'images'}", f"output={masks}")
    with Image.open(masks / "scan_0.png") as mask:
        assert mask.size == (51, 37)
    for form in ("safetensors",) if name == "basic" else ("safetensors", "torch_export"):
        assert "on 4 real patches" in segexp("export", f"run={run}", f"format={form}")
    both = f"run={run},{run / 'model.safetensors'}"
    segexp("predict", both, f"input={project / 'images'}", f"output={masks}", "overwrite=true", "uncertainty=true")
    model, exported = open_model(run), open_model(run / "model.safetensors")
    image = torch.randn(1, 1, 19, 33)
    with torch.no_grad():
        assert torch.equal(model.network(image), exported.network(image))


def test_weights_have_the_names_of_the_module(project):
    run = trained(project, "three", "trainer.max_epochs=1")
    weights = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert list(weights) == ["network.0.weight", "network.0.bias", "network.2.weight", "network.2.bias"]


def test_a_run_is_resumed_with_its_own_files_and_says_where_they_are_gone(project, segexp):
    run = trained(project, "three", "trainer.max_epochs=1")
    segexp("train", f"resume={run}", "trainer.max_epochs=2")
    (project / "mine").rename(project / "moved")
    try:
        for command in (("evaluate", f"run={run}"), ("train", f"resume={run}", "trainer.max_epochs=3")):
            assert "mine, where there is no folder now" in segexp(*command, status=1)
        segexp("evaluate", f"run={run}", f"--config-dir={project / 'moved'}", "split=val")
    finally:
        (project / "moved").rename(project / "mine")


def test_a_strangers_network_is_built_only_if_the_user_vouches_for_it(project, segexp, monkeypatch, tmp_path):
    run = trained(project, "three", "trainer.max_epochs=1")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another user"))
    words = ("predict", f"run={run}", f"input={project / 'images'}", f"output={tmp_path / 'masks'}")
    assert "its network is of 'three_lines_net.Three', which is no class" in segexp(*words, status=1)
    for vouching in (f"--config-dir={project / 'mine'}", "--trust"):
        assert "1 predicted" in segexp(*words, "overwrite=true", vouching)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=custom"], "model._target_ must be given"),
        (["model._target_=monai.networks.nets.BasicUNet"], "takes no num_classes, .*Begin with model=custom"),
        (
            ["model=custom", "model._target_=monai.networks.nets.UNet"],
            "needs spatial_dims, in_channels, (?!.*Begin with).*Add its own",
        ),
        (
            ["model=custom", "model._target_=torch.nn.Identity"],
            "Identity gives 1 channels, .* have 2 classes",
        ),
        (["model=custom", "model._target_=torch.tensor", "+model.data=1"], "Tensor is no torch.nn.Module"),
    ],
)
def test_what_cannot_be_trained_is_told_before_data_are_read(segexp, monkeypatch, words, message):
    monkeypatch.setattr("segexp.data.DataModule.setup", lambda *_: pytest.fail("the data are read"))
    found = segexp("train", *WORDS, *words, status=1)
    assert re.search(message, found), found


def test_a_file_that_is_hidden_by_ours_is_refused(project, segexp):
    own = project / "mine" / "model" / "unet.yaml"
    own.write_text(MODELS["three"])
    try:
        found = segexp("train", "--config-dir", str(project / "mine"), "model=unet", *WORDS, status=1)
        assert "model/unet.yaml is hidden by segexp's own option model=unet" in found
    finally:
        own.unlink()
