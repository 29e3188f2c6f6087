"""The plugin: its function on layers as napari has them, and, where napari is installed, manifest and widget."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

import segexp.viewers
from segexp.checkpoints.export import export
from segexp.checkpoints.package import Facts
from segexp.prediction import open_models, segment
from segexp.viewers.plugin import (
    CANCEL,
    NO_RUN,
    START,
    STOPPING,
    CanceledError,
    Source,
    channels_first,
    chosen_path,
    outcome,
    predict_layer,
    predict_widget,
)
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


def test_a_prediction_that_is_canceled_ends_after_a_batch_of_tiles(package):
    canceled = Event()
    canceled.set()
    assert isinstance(outcome(Source.of(layer(IMAGE)), package, False, canceled).error, CanceledError)


def test_an_error_is_handed_back_to_the_thread_of_the_window(tmp_path):
    found = outcome(Source.of(layer(IMAGE)), tmp_path / "none.ckpt", False, Event())
    assert found.layers == []
    assert isinstance(found.error, FileNotFoundError)


def test_what_is_done_to_a_layer_meanwhile_changes_no_prediction():
    given = layer(IMAGE)
    source = Source.of(given)
    given.scale *= 2
    given.name = "other"
    assert (source.name, tuple(source.scale)) == ("scan", (0.5, 1.0))


@pytest.fixture
def window() -> Iterator[tuple[Any, Any]]:
    """A real window with an image, and the widget in it."""
    napari, npe2 = (pytest.importorskip(name, reason=MISSING) for name in ("napari", "npe2"))
    plugins = npe2.PluginManager.instance()
    if "segexp" not in [manifest.name for manifest in plugins.iter_manifests()]:
        plugins.register(npe2.PluginManifest.from_file(MANIFEST))
    viewer = napari.Viewer()
    viewer.add_image(IMAGE, name="scan", scale=(2.0, 3.0))
    yield viewer, viewer.window.add_plugin_dock_widget("segexp", "Predict")[1]
    viewer.close()


def press(widget: Any) -> None:
    widget.call_button.changed.emit(True)


def wait_for(widget: Any, seconds: float = 60) -> int:
    """Let the window live until its prediction has ended; return how often it could answer meanwhile."""
    from qtpy.QtWidgets import QApplication

    end, turns = time.monotonic() + seconds, 0
    while widget.call_button.text != START:
        assert time.monotonic() < end, "the prediction does not end"
        QApplication.processEvents()
        time.sleep(0.001)
        turns += 1
    return turns


REAL = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(not os.environ.get("DISPLAY"), reason="there is no display: xvfb-run makes one"),
]


def real(test: Any) -> Any:
    for mark in REAL:
        test = mark(test)
    return test


@real
def test_the_button_adds_the_labels_of_a_package_while_the_window_lives(package, window):
    viewer, widget = window
    widget.file.value = package
    press(widget)
    assert widget.call_button.text == CANCEL
    assert "scan: prediction" not in viewer.layers  # the button returns before the prediction is done
    assert wait_for(widget) > 1
    added = viewer.layers["scan: prediction"]
    assert np.array_equal(added.data, segment(open_models(str(package)), IMAGE[None]).labels)
    assert tuple(added.scale) == (2.0, 3.0)
    assert list(added.features["class"]) == ["membrane"]


@real
def test_the_button_cancels_meanwhile(package, window, monkeypatch):
    viewer, widget = window
    begun, go_on = Event(), Event()

    def slowly(*arguments: Any) -> Any:
        begun.set()
        assert go_on.wait(60)
        return predict_layer(*arguments)

    monkeypatch.setattr("segexp.viewers.plugin.predict_layer", slowly)
    widget.file.value = package
    press(widget)
    assert begun.wait(60)
    press(widget)
    assert widget.call_button.text == STOPPING
    go_on.set()
    wait_for(widget)
    assert [layer.name for layer in viewer.layers] == ["scan"]


@real
def test_an_error_is_shown_in_the_window_and_the_button_works_again(package, window, tmp_path):
    from napari.utils.notifications import notification_manager

    viewer, widget = window
    (tmp_path / "broken.ckpt").write_bytes(b"none")
    widget.file.value = tmp_path / "broken.ckpt"
    press(widget)
    wait_for(widget)
    assert "broken.ckpt" in notification_manager.records[-1].message
    widget.file.value = package
    press(widget)
    wait_for(widget)
    assert "scan: prediction" in viewer.layers
