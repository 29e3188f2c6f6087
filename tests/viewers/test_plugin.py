"""The plugin: its function on layers as napari has them, and, where napari is installed, manifest and widget."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

import segexp.viewers
from segexp.checkpoints.export import export
from segexp.checkpoints.package import Facts
from segexp.prediction import open_models, segment
from segexp.viewers.plugin import NO_RUN, channels_first, chosen_path, predict_layer, predict_widget
from segexp.viewers.window import MISSING
from tests.prediction.models import make_model

MANIFEST = Path(segexp.viewers.__file__).parent / "napari.yaml"
IMAGE = np.random.default_rng(0).integers(0, 255, (40, 36), np.uint8)


def layer(data: np.ndarray, rgb: bool = False, unit: str = "pixel") -> Any:
    axes = data.ndim - rgb
    return SimpleNamespace(
        name="scan",
        data=data,
        rgb=rgb,
        scale=np.arange(1, axes + 1) / 2,
        translate=np.arange(axes) * 3.0,
        units=(unit,) * axes,
    )


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("plugin") / "model.safetensors"
    model = make_model(class_names=["ground", "membrane"])
    export(model, path, "safetensors", Facts([None, [1, 2, 3]]), [], verify=False)
    return path


def test_an_image_layer_is_predicted_as_everywhere_and_its_labels_lie_on_it(package):
    probability, labels = predict_layer(layer(IMAGE), package, probabilities=True)
    expected = segment(open_models(str(package)), IMAGE[None], probabilities=True)
    assert np.array_equal(labels[0], expected.labels)
    assert np.array_equal(probability[0], expected.probabilities[1])
    assert labels[1]["name"] == "scan: prediction"
    assert labels[1]["features"] == {"index": [1], "class": ["membrane"]}
    for _, arguments, _ in (probability, labels):
        assert (arguments["scale"], arguments["translate"]) == ((0.5, 1.0), (0.0, 3.0))
        assert arguments["units"] == ("pixel", "pixel")


@pytest.mark.parametrize(
    ("channels", "data", "rgb", "shape", "axes"),
    [
        (1, np.zeros((5, 6)), False, (1, 5, 6), 2),
        (1, np.zeros((4, 5, 6)), False, (1, 4, 5, 6), 3),
        (3, np.zeros((5, 6, 4)), True, (3, 5, 6), 2),
        (2, np.zeros((2, 5, 6)), False, (2, 5, 6), 2),
        (2, np.zeros((2, 4, 5, 6)), False, (2, 4, 5, 6), 3),
    ],
)
def test_channels_come_first(channels, data, rgb, shape, axes):
    image, spatial = channels_first(layer(data, rgb), make_model(channels=channels))
    assert image.shape == shape
    assert len(range(*spatial.indices(data.ndim - rgb))) == axes


def test_a_layer_of_time_points_is_refused():
    with pytest.raises(ValueError, match="the layer scan is 2×4×5×6: give an image or a volume"):
        channels_first(layer(np.zeros((2, 4, 5, 6))), make_model())


def test_a_file_goes_before_a_folder_and_one_of_them_is_needed():
    run, file = Path("outputs/a"), Path("a.safetensors")
    assert chosen_path(run, NO_RUN) == run
    assert chosen_path(run, file) == file
    with pytest.raises(ValueError, match="choose the folder of a run, or a .safetensors or .ckpt file"):
        chosen_path(NO_RUN, NO_RUN)


def test_the_manifest_names_what_is_there():
    """What npe2 says of it is tested below, where it is installed."""
    (command,) = yaml.safe_load(MANIFEST.read_text())["contributions"]["commands"]
    module, name = command["python_name"].split(":")
    assert (module, name) == (predict_widget.__module__, predict_widget.__name__)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_manifest_is_valid():
    npe2 = pytest.importorskip("npe2", reason=MISSING)
    manifest = npe2.PluginManifest.from_file(MANIFEST)
    manifest.validate_imports()
    assert [widget.display_name for widget in manifest.contributions.widgets] == ["Predict"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(not os.environ.get("DISPLAY"), reason="there is no display: xvfb-run makes one")
def test_the_button_adds_the_labels_of_a_package_to_the_window(package):
    napari, npe2 = (pytest.importorskip(name, reason=MISSING) for name in ("napari", "npe2"))
    plugins = npe2.PluginManager.instance()
    if "segexp" not in [manifest.name for manifest in plugins.iter_manifests()]:
        plugins.register(npe2.PluginManifest.from_file(MANIFEST))
    viewer = napari.Viewer()
    try:
        viewer.add_image(IMAGE, name="scan", scale=(2.0, 3.0))
        _, widget = viewer.window.add_plugin_dock_widget("segexp", "Predict")
        widget.file.value = package
        widget.call_button.changed.emit(True)
        added = viewer.layers["scan: prediction"]
        assert np.array_equal(added.data, segment(open_models(str(package)), IMAGE[None]).labels)
        assert tuple(added.scale) == (2.0, 3.0)
        assert list(added.features["class"]) == ["membrane"]
    finally:
        viewer.close()
