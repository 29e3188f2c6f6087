import json
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from segexp.checkpoints.checkpoint import Model, open_model
from segexp.checkpoints.export import Facts, deviation, export
from segexp.checkpoints.rules import SUFFIXES
from segexp.config import compose, config_dir
from segexp.models import UNet
from segexp.models.sizes import along_axes
from tests.conftest import modes
from tests.safety.corpus import model_description

onnxruntime = pytest.importorskip("onnxruntime")

OPTIONS = sorted(
    path.stem for path in (config_dir() / "model").glob("*.yaml") if path.stem not in ("unet_pretrained", "custom")
)
TINY = {"base_channels": 2, "max_channels": None, "depth": 1, "fc_channels": 4}
DEEPER = {
    "unet_plus_plus": {"depth": 2},
    "unet_deep_supervision": {"depth": 2, "deep_supervision": 1},
    "unet_anisotropic": {"depth": 3},
}


QUICK = ("unet",)  # the graphs of the other networks take a minute


def but_slow(options: Iterable[str]) -> list:
    return [option if option in QUICK else pytest.param(option, marks=pytest.mark.slow) for option in options]


def make(option: str, **changes) -> Model:
    """A variant of conf/model, tiny, its norms fitted to other values than they start with."""
    three = option in ("unet_3d", "unet_anisotropic")
    node = OmegaConf.to_container(
        compose(
            [f"model={option}", *["data.geometry.spatial_dims=3", "data.sampling.patch_size=[8,8,8]"] * three]
        ).model,
        resolve=True,
    )
    small = {key: value for key, value in (TINY | DEEPER.get(option, {}) | changes).items() if key in node}
    torch.manual_seed(0)
    network = instantiate(node | small, _convert_="all")
    dims = network.config["spatial_dims"]
    with torch.no_grad():
        network(3 + 2 * torch.randn(2, 1, *[64 if "fcn" in option else 20] * dims))
    sides = [16] * dims
    name, config = type(network).__name__, network.config
    facts = {"network": name, "model": config, "spatial_dims": dims, "patch_size": sides, "inference__tile": sides}
    return Model(network.eval(), model_description(**facts))


def even_sizes(model: Model) -> tuple:
    return along_axes(model.network.even_sizes, model.description.spatial_dims)


def other_image(model: Model) -> torch.Tensor:
    """An image of a size and batch that no comparison of the export has seen."""
    sides = [sizes.at_least(n) for sizes, n in zip(even_sizes(model), (41, 29, 23), strict=False)]
    return 2 + torch.randn(3, model.description.in_channels, *sides)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_network_comes_back_from_safetensors(tmp_path, option):
    model = make(option)
    export(model, tmp_path / "a.safetensors", "safetensors", Facts([None]), [])
    again, image = open_model(tmp_path / "a.safetensors"), other_image(model)
    with torch.no_grad():
        assert torch.equal(again.network(image), model.network(image))


@pytest.mark.slow
@pytest.mark.parametrize("option", [option for option in OPTIONS if not option.endswith("_tiny")])
def test_every_network_is_the_same_in_onnxruntime(tmp_path, option):
    model = make(option)
    sides = [sizes.at_least(16) for sizes in even_sizes(model)]
    patch = torch.rand(model.description.in_channels, *sides)
    found = export(model, tmp_path / "a.onnx", "onnx", Facts([None]), [patch])
    assert (found["real_patches"], found["noise_images"]) == (1, 3)
    assert found["largest_deviation"] <= found["tolerance"] == 1e-4
    assert tells_no_folder(tmp_path / "a.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx", providers=["CPUExecutionProvider"])
    image = other_image(model)
    (logits,) = session.run(None, {"image": image.numpy()})
    with torch.no_grad():
        wanted = model.network(image).numpy()
    np.testing.assert_allclose(logits, wanted, atol=1e-4 * max(1, abs(wanted).max()))
    if model.network.config["norm"] != "none" or option == "fcn8s":
        assert (logits.argmax(1) == wanted.argmax(1)).mean() > 0.999


@pytest.mark.parametrize("option", but_slow(["unet", "unet_2015", "unet_3d", "unet_anisotropic", "fcn8s"]))
def test_networks_are_the_same_in_torch_export(tmp_path, option):
    model = make(option)
    found = export(model, tmp_path / "a.pt2", "torch_export", Facts([None]), [])
    again, image = torch.export.load(tmp_path / "a.pt2").module(), other_image(model)
    with torch.no_grad():
        assert deviation(again(image), model.network(image)) < 1e-5
        with pytest.raises(AssertionError, match="Guard failed"):
            again(image[..., :-1])
    assert found["with"] == f"torch {torch.__version__}"
    assert tells_no_folder(tmp_path / "a.pt2")
    told = json.loads((tmp_path / "a.pt2.json").read_text())["sizes"]["least"]
    assert along_axes(told, model.description.spatial_dims) == tuple(sizes.least for sizes in even_sizes(model))


def tells_no_folder(path: Path) -> bool:
    """Whether a file says nothing of where segexp lies on this machine."""
    return str(Path(sys.modules["segexp"].__file__).parents[2]).encode() not in path.read_bytes()


class Restless(UNet):
    """A network that never gives the same twice."""

    def forward(self, image, every_head=False):
        return super().forward(image, every_head) + torch.rand_like(image)


@pytest.mark.parametrize("form", ["safetensors", "torch_export"])
def test_a_file_that_does_not_agree_is_not_left(tmp_path, form):
    model = Model(Restless(base_channels=2, depth=1).eval(), model_description())
    path = tmp_path / f"a{SUFFIXES[form]}"
    path.write_text("what was there before")
    with pytest.raises(ValueError, match=f"the {form} file differs from the network by .* nothing was left"):
        export(model, path, form, Facts([None]), [])
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "what was there before"


def test_a_network_that_gives_no_numbers_is_not_left(tmp_path):
    network = UNet(base_channels=2, depth=1).eval()
    network.head[0].bias.data.fill_(float("nan"))
    with pytest.raises(ValueError, match="differs from the network by inf"):
        export(Model(network, model_description()), tmp_path / "a.safetensors", "safetensors", Facts([None]), [])
    assert not list(tmp_path.iterdir())


def test_deviation_by_hand():
    one = torch.tensor([0.0, 1.0, 2.0])
    assert deviation(one, torch.tensor([0.0, 1.5, 1.0])) == 1.0
    assert deviation(one, one[:2]) == float("inf")
    assert deviation(one, torch.tensor([0.0, 1.0, float("nan")])) == float("inf")


@pytest.mark.slow
def test_the_json_file_gives_the_sizes_of_a_graph(tmp_path):
    """Figure 1 of the paper: 572 = 188 + 24 · 16."""
    network = UNet(base_channels=2, depth=4, padding="valid", alignment="crop", norm="none").eval()
    export(Model(network, model_description()), tmp_path / "a.pt2", "torch_export", Facts([None]), [], verify=False)
    assert json.loads((tmp_path / "a.pt2.json").read_text())["sizes"] == {"least": 188, "multiple_of": 16, "plus": 12}


@pytest.mark.slow
def test_the_json_file_gives_the_sizes_of_each_axis_where_they_differ(tmp_path):
    levels = {"kernels": [[1, 3], 3, 3], "strides": [[1, 2], 2], "channels": [2, 3, 4]}
    network = UNet(depth=2, padding="valid", alignment="crop", norm="none", **levels).eval()
    model = Model(network, model_description(model=network.config))
    export(model, tmp_path / "a.pt2", "torch_export", Facts([None]), [])
    package = json.loads((tmp_path / "a.pt2.json").read_text())
    assert package["sizes"] == {"least": [18, 44], "multiple_of": [2, 4], "plus": [0, 0]}
    export(model, tmp_path / "a.safetensors", "safetensors", Facts([None]), [])
    again = open_model(tmp_path / "a.safetensors").network
    assert again.config == network.config
    image = torch.randn(1, 1, 22, 48)
    with torch.no_grad():
        assert torch.equal(again(image), network(image))
        assert network(image).shape[2:] == (6, 8)
        torch.testing.assert_close(torch.export.load(tmp_path / "a.pt2").module()(image), network(image))


@pytest.mark.parametrize(("form", "suffix"), [("safetensors", "safetensors"), ("torch_export", "pt2")])
def test_files_have_the_mode_that_umask_gives(tmp_path, umask, form, suffix):
    export(make("unet_tiny"), tmp_path / f"a.{suffix}", form, Facts([None]), [], verify=False)
    assert modes(tmp_path) == {f"a.{suffix}": 0o640, f"a.{suffix}.json": 0o640}


def test_without_a_comparison_the_json_file_says_so(tmp_path):
    assert export(make("unet"), tmp_path / "a.safetensors", "safetensors", Facts([None]), [], verify=False) is None
    assert json.loads((tmp_path / "a.safetensors.json").read_text())["verified"] is None


def test_wrong_formats_suffixes_and_missing_packages_get_a_sentence(tmp_path, monkeypatch):
    model = make("unet")
    with pytest.raises(ValueError, match="format='onxx' is not one of .* .did you mean 'onnx'"):
        export(model, tmp_path / "a.onnx", "onxx", Facts([None]), [])
    with pytest.raises(ValueError, match=r"a.pth must end in .onnx for format=onnx"):
        export(model, tmp_path / "a.pth", "onnx", Facts([None]), [])
    monkeypatch.setitem(sys.modules, "onnxscript", None)  # as if it were not installed
    with pytest.raises(ImportError, match=r"pip install 'segexp\[onnx\]'"):
        export(model, tmp_path / "a.onnx", "onnx", Facts([None]), [])
    assert not list(tmp_path.iterdir())
