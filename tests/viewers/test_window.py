"""The window of napari: by its model alone, and, where there is a display, for real: ``xvfb-run make test-slow``."""

import os
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from segexp.data.files.segments import Segment
from segexp.viewers.gallery import Gallery
from segexp.viewers.layers import View
from segexp.viewers.window import MISSING, open_window, show_case

SEGMENTS = [Segment("cell", 7, (86, 180, 233)), Segment("debris", 40, (230, 159, 0))]
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # it takes half a minute to load; its warnings


@pytest.fixture
def napari() -> ModuleType:
    return pytest.importorskip("napari", reason=MISSING)


@pytest.fixture
def gallery() -> Gallery:
    """A photograph of which the truth is known, and a volume with probabilities."""
    rng = np.random.default_rng(0)
    flat = rng.integers(0, 255, (3, 20, 30), dtype=np.uint8)
    truth, labels = rng.choice([0, 7, 40, 255], (20, 30)), rng.choice([0, 7, 40], (20, 30))
    volume = rng.normal(size=(1, 6, 20, 30))
    probs = rng.random((3, 6, 20, 30)).astype(np.float16)
    views = {
        "flat": View("flat", flat, (1.0, 1.0), "px", SEGMENTS, labels.astype(np.uint8), truth.astype(np.int64)),
        "deep": View("deep", volume, (2.5, 1.0, 0.5), "mm", SEGMENTS, probs.argmax(0), None, probs),
    }
    return Gallery("two cases", tuple(views), views.__getitem__)


def require_as_given(viewer: Any, view: View) -> None:
    """Read back data, scale, names and colors from the layers."""
    prediction = viewer.layers["prediction"]
    assert np.array_equal(prediction.data, view.labels)
    assert tuple(prediction.scale) == tuple(view.spacing)
    assert list(prediction.features["class"]) == ["cell", "debris"]
    for segment in SEGMENTS:
        np.testing.assert_allclose(prediction.get_color(segment.value)[:3] * 255, segment.color, atol=1)
    assert prediction.colormap.map(np.array([0]))[0][3] == 0
    assert viewer.text_overlay.text == view.title


def test_layers_are_replaced_by_those_of_the_chosen_case(napari, gallery):
    from napari.components import ViewerModel

    viewer = ViewerModel()
    show_case(viewer, gallery, "flat")
    require_as_given(viewer, gallery.load("flat"))
    assert [layer.name for layer in viewer.layers] == ["image", "truth", "prediction", "error"]
    assert viewer.layers["image"].rgb
    assert list(viewer.layers["error"].features["class"]) == ["missed", "invented", "confused"]
    viewer.layers["prediction"].visible = False
    show_case(viewer, gallery, "deep")
    require_as_given(viewer, gallery.load("deep"))
    assert not viewer.layers["prediction"].visible
    assert [str(unit) for unit in viewer.layers["image"].units] == ["millimeter"] * 3
    np.testing.assert_allclose(viewer.layers["probability: debris"].data, gallery.load("deep").probabilities[2])
    assert [way.value for way in viewer.camera.orientation2d] == ["up", "right"]


@pytest.mark.skipif(not os.environ.get("DISPLAY"), reason="there is no display: xvfb-run makes one")
def test_a_real_window_shows_the_case_that_is_chosen_from_the_list(napari, gallery):
    viewer = open_window(gallery)
    try:
        require_as_given(viewer, gallery.load("flat"))
        shown = viewer.screenshot(canvas_only=True)[..., :3].reshape(-1, 3)
        assert len(np.unique(shown, axis=0)) > 100  # the photograph is drawn
        (box,) = viewer.window.dock_widgets.values()
        box.value = "deep"
        require_as_given(viewer, gallery.load("deep"))
    finally:
        viewer.close()
