"""Plugin of napari: predicts an open image layer with a trained network."""

from pathlib import Path
from typing import Any

import numpy as np

from segexp.checkpoints.checkpoint import Model
from segexp.errors import times
from segexp.prediction import open_models, segment
from segexp.prediction.legend import legend_of
from segexp.viewers.layers import Layer, View, label_layers, probability_layers

NO_RUN = Path()  # nothing was chosen: a field of a path gives the working directory


def predict_widget() -> Any:
    """Make the widget: an image layer, a run folder or a file, and whether probabilities are wanted; a button.

    Returns:
        Widget of magicgui, which comes with napari. Its function takes the layer, the paths and the wish, and what it
        returns is added to the viewer.
    """
    from magicgui import magicgui
    from napari.layers import Image
    from napari.types import LayerDataTuple

    def predict(image: Any, run: Path, file: Path, probabilities: bool) -> Any:
        return predict_layer(image, chosen_path(run, file), probabilities)

    predict.__annotations__ = {  # napari's types are known here alone
        "image": Image,
        "run": Path,
        "file": Path,
        "probabilities": bool,
        "return": list[LayerDataTuple],
    }
    return magicgui(
        predict,
        call_button="Predict",
        image={"tooltip": "image layer that is predicted"},
        run={"mode": "d", "label": "run folder", "value": NO_RUN},
        file={"label": "or package", "filter": "*.safetensors *.ckpt", "value": NO_RUN, "nullable": False},
        probabilities={"label": "probabilities, too", "value": False},
    )


def chosen_path(run: Path, file: Path) -> Path:
    """Choose the file where one was given, else the run folder.

    Raises:
        ValueError: Neither was given.
    """
    for path in (file, run):
        if path != NO_RUN:
            return path
    raise ValueError("choose the folder of a run, or a .safetensors or .ckpt file")


def predict_layer(layer: Any, run: Path, probabilities: bool = False) -> list[Layer]:
    """Predict an image layer of napari.

    Args:
        layer: ``napari.layers.Image``; its scale is taken as mm where its units say so.
        run: Run folder, checkpoint, or exported .safetensors.
        probabilities: Whether to add the probability of each class or region, too.

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
    maps = segment(models, image, spacing if unit == "mm" else None, probabilities=probabilities)
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
