"""Plugin of napari: predicts an open image layer with a trained network."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from segexp.checkpoints.checkpoint import Model
from segexp.errors import times
from segexp.prediction import open_models, segment
from segexp.prediction.legend import legend_of
from segexp.prediction.segmenter import Progress
from segexp.viewers.layers import Layer, View, label_layers, probability_layers

START, CANCEL, STOPPING = "Predict", "Cancel", "Canceling …"  # what the button says
NO_RUN = Path()  # nothing was chosen: a field of a path gives the working directory


def predict_widget() -> Any:
    """Make the widget: an image layer, a run folder or a file, and whether probabilities are wanted; a button.

    Returns:
        Widget of magicgui, which comes with napari. The button starts a prediction in a thread, whose layers are added
        to the viewer; meanwhile it cancels.
    """
    from magicgui import magicgui
    from napari import Viewer
    from napari.layers import Image

    def predict(viewer: Any, image: Any, run: Path, file: Path, probabilities: bool) -> None:
        work.start_or_cancel(viewer, image, chosen_path(run, file), probabilities)

    predict.__annotations__ = {  # napari's types are known here alone
        "viewer": Viewer,
        "image": Image,
        "run": Path,
        "file": Path,
        "probabilities": bool,
        "return": None,
    }
    widget = magicgui(
        predict,
        call_button=START,
        image={"tooltip": "image layer that is predicted"},
        run={"mode": "d", "label": "run folder", "value": NO_RUN},
        file={"label": "or package", "filter": "*.safetensors *.ckpt", "value": NO_RUN, "nullable": False},
        probabilities={"label": "probabilities, too", "value": False},
    )
    work = Work(widget.call_button)
    return widget


class CanceledError(Exception):
    """Nobody wants the result any more."""


@dataclass
class Work:
    """The prediction of a widget, one at a time, in a thread of its own.

    Args:
        button: Button of the widget, which says what it would do.
    """

    button: Any
    canceled: Event | None = None  # of the prediction that runs

    def start_or_cancel(self, viewer: Any, layer: Any, run: Path, probabilities: bool) -> None:
        """Start a prediction; while one runs, cancel that, which takes until the end of its batch of tiles."""
        from napari.qt.threading import create_worker

        if self.canceled is not None:
            self.canceled.set()
            self.button.text = STOPPING
            return
        self.canceled = Event()
        self.button.text = CANCEL
        source = Source.of(layer)  # as it is now, whatever the user does to it meanwhile
        work = partial(outcome, source, run, probabilities, self.canceled)
        done = partial(self._end, viewer)
        create_worker(work, _progress={"desc": f"predicting {source.name}"}, _connect={"returned": done})

    def _end(self, viewer: Any, found: "Outcome") -> None:
        """Add the layers, or tell why there are none, in the thread of the window."""
        from napari.layers import Layer as NapariLayer
        from napari.utils.notifications import show_error, show_info

        self.canceled = None
        self.button.text = START
        for data, arguments, kind in found.layers:
            viewer.add_layer(NapariLayer.create(data, arguments, kind))
        if isinstance(found.error, CanceledError):
            show_info("the prediction was canceled")
        elif isinstance(found.error, ValueError | OSError):  # foreseen: the sentence says what to do
            show_error(str(found.error))
        elif found.error is not None:
            raise found.error


@dataclass(frozen=True)
class Outcome:
    """What came of a prediction: layers, or an error."""

    layers: list[Layer]
    error: Exception | None = None


def outcome(source: "Source", run: Path, probabilities: bool, canceled: Event) -> Outcome:
    """Predict, and hand an error back instead of raising it, since the thread of the window shall tell it."""

    def go_on(done: int, count: int) -> None:  # noqa: ARG001
        if canceled.is_set():
            raise CanceledError

    try:
        return Outcome(predict_layer(source, run, probabilities, go_on))
    except Exception as error:
        return Outcome([], error)


@dataclass(frozen=True)
class Source:
    """What a prediction needs of an image layer; attributes as of ``napari.layers.Image``."""

    name: str
    data: Any
    rgb: bool
    scale: np.ndarray
    translate: np.ndarray
    units: tuple[Any, ...]

    @classmethod
    def of(cls, layer: Any) -> "Source":
        """Read them off a layer."""
        scale, translate = np.array(layer.scale), np.array(layer.translate)
        return cls(layer.name, layer.data, layer.rgb, scale, translate, tuple(layer.units))


def chosen_path(run: Path, file: Path) -> Path:
    """Choose the file where one was given, else the run folder.

    Raises:
        ValueError: Neither was given.
    """
    for path in (file, run):
        if path != NO_RUN:
            return path
    raise ValueError("choose the folder of a run, or a .safetensors or .ckpt file")


def predict_layer(layer: Any, run: Path, probabilities: bool = False, progress: Progress | None = None) -> list[Layer]:
    """Predict an image layer of napari.

    Args:
        layer: ``napari.layers.Image``; its scale is taken as mm where its units say so.
        run: Run folder, checkpoint, or exported .safetensors.
        probabilities: Whether to add the probability of each class or region, too.
        progress: Called after each batch of tiles; what it raises ends the prediction.

    Returns:
        Layers of labels with names and colors, placed as the image.

    Raises:
        FileNotFoundError: There is no such run or file.
        ValueError: It is broken, or does not go with the image.
    """
    models = open_models(str(run))
    image, spatial = channels_first(layer, models[0])
    spacing = [float(size) for size in layer.scale[spatial]]
    unit = "mm" if all(str(unit) in ("mm", "millimeter") for unit in layer.units[spatial]) else "px"
    maps = segment(models, image, spacing if unit == "mm" else None, progress, probabilities=probabilities)
    description = models[0].description
    legend = legend_of(description)
    view = View(layer.name, image, spacing, unit, legend, maps.labels, probabilities=maps.probabilities)
    layers = probability_layers(view) + label_layers(f"{layer.name}: prediction", view.labels, legend, view.regions)
    where = {
        "scale": tuple(spacing),
        "translate": tuple(layer.translate[spatial]),
        "units": tuple(layer.units[spatial]),
    }
    return [(data, arguments | where, kind) for data, arguments, kind in layers]


def channels_first(layer: Any, model: Model) -> tuple[np.ndarray, slice]:
    """Bring the pixels of a layer to (C, *S), and tell which of its axes are those of space.

    RGB has its channels last. Else the first axis holds them where the network takes several and it has as many.

    Raises:
        ValueError: The layer has not two or three axes of space.
    """
    data = np.asarray(layer.data)
    if layer.rgb:
        image, spatial = np.moveaxis(data[..., :3], -1, 0), slice(None)  # without alpha
    elif model.description.channels > 1 and data.ndim > 2 and len(data) == model.description.channels:
        image, spatial = data, slice(1, None)
    else:
        image, spatial = data[None], slice(None)
    if image.ndim not in (3, 4):
        raise ValueError(f"the layer {layer.name} is {times(data.shape)}: give an image or a volume")
    return image, spatial
