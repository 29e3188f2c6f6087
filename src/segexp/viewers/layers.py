"""A case as layers of napari: image, truth, prediction, error, probabilities, uncertainty; plain tuples, no napari.

A layer is (array, arguments, type), what napari calls layer data: ``napari.layers.Layer.create(*layer)``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from segexp.data.case import IGNORED
from segexp.data.files.segments import Segment
from segexp.pictures.figures import ERRORS, PERCENTILES, errors, grays
from segexp.pictures.sheets import UNLABELED

Layer = tuple[np.ndarray, dict[str, Any], str]
UNCERTAINTY = {"entropy": ("entropy", 1.0), "std": ("standard deviation", 0.5)}  # layer, and the largest possible value
MOST_PIXELS = 1_000_000  # of which the contrast is measured


@dataclass(frozen=True, eq=False)
class View:
    """What is shown of a case.

    Attributes:
        title: What the case is called.
        image: (C, *S) in any scale.
        spacing: Size of a pixel per axis.
        unit: Unit of the spacing, "mm" or "px".
        segments: Foreground classes by their values in labels and truth; or regions, in order.
        labels: (*S) of values, or (R, *S) bool of regions.
        truth: (*S) of values, or (R, *S) of regions, 255 = not labeled; None = not known.
        probabilities: (K, *S) of the classes, background first, or of the regions; None = not kept.
        uncertainty: Maps (*S) of how sure the networks are, by keys of ``UNCERTAINTY``, as far as they are kept.
    """

    title: str
    image: np.ndarray
    spacing: Sequence[float]
    unit: str
    segments: Sequence[Segment]
    labels: np.ndarray
    truth: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    uncertainty: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def regions(self) -> bool:
        """Whether labels and truth are regions that may overlap."""
        return self.labels.ndim == self.image.ndim


def layers_of(view: View) -> list[Layer]:
    """Make layers of a case, the lowest first; image and prediction are visible."""
    layers = image_layers(view.image)
    layers += uncertainty_layers(view) + probability_layers(view)
    if view.truth is not None:
        layers += label_layers("truth", view.truth, view.segments, view.regions, visible=False)
    layers += label_layers("prediction", view.labels, view.segments, view.regions)
    if view.truth is not None:
        layers.append(_error_layer(view))
    return [(data, arguments | place(view.spacing, view.unit), kind) for data, arguments, kind in layers]


def place(spacing: Sequence[float], unit: str) -> dict[str, Any]:
    """Arguments of a layer that tell the size of its pixels."""
    return {"scale": tuple(spacing)} | ({"units": (unit,) * len(spacing)} if unit != "px" else {})


def image_layers(image: np.ndarray) -> list[Layer]:
    """Show (C, *S): three channels of a flat image as RGB, else each channel as a layer, the first one visible."""
    if image.ndim == 3 and len(image) == 3:
        colors = np.moveaxis(image, 0, -1) if image.dtype == np.uint8 else grays(image)
        return [(colors, {"name": "image", "rgb": True}, "image")]
    names = ["image"] if len(image) == 1 else [f"image, channel {number}" for number in range(len(image))]
    return [
        (
            channel,
            {"name": name, "colormap": "gray", "contrast_limits": contrast(channel), "visible": number == 0},
            "image",
        )
        for number, (name, channel) in enumerate(zip(names, image, strict=True))
    ]


def contrast(values: np.ndarray) -> tuple[float, float]:
    """Intensities that become black and white: percentiles of at most about a million pixels."""
    step = max(1, round((values.size / MOST_PIXELS) ** (1 / values.ndim)))
    low, high = np.percentile(values[(slice(None, None, step),) * values.ndim].astype(np.float32), PERCENTILES)
    return float(low), float(high if high > low else low + 1)


def label_layers(
    name: str, labels: np.ndarray, segments: Sequence[Segment], regions: bool, visible: bool = True
) -> list[Layer]:
    """Show labels (*S) by the values of the segments; or ``regions`` (R, *S), which overlap, as a layer each."""
    if not regions:
        return [_labels(name, labels, segments, visible)]
    return [
        _labels(f"{name}: {segment.name}", _ones(region, segment.value), [segment], visible)
        for region, segment in zip(labels, segments, strict=True)
    ]


def _ones(region: np.ndarray, value: int) -> np.ndarray:
    """Labels of a region: its value inside, 255 where the truth is not labeled."""
    if region.dtype == bool:
        return region * np.uint8(value)
    return np.where(region == IGNORED, IGNORED, region * value).astype(np.uint8)


def _labels(name: str, labels: np.ndarray, segments: Sequence[Segment], visible: bool) -> Layer:
    """Name and color labels (*S); of a truth with pixels that are not labeled these, too."""
    known = {segment.value for segment in segments}
    if IGNORED not in known and name.startswith("truth") and (labels == IGNORED).any():
        segments = [*segments, Segment("not labeled", IGNORED, _color(UNLABELED))]
    colors: dict[int | None, Any] = {None: "transparent", 0: "transparent"}
    colors |= {one.value: tuple(part / 255 for part in one.color) for one in segments}
    features = {"index": [one.value for one in segments], "class": [one.name for one in segments]}
    arguments = {"name": name, "colormap": colors, "features": features, "opacity": 0.55, "visible": visible}
    return labels if labels.dtype != bool else labels.astype(np.uint8), arguments, "labels"


def _error_layer(view: View) -> Layer:
    """Show what was missed, invented or confused in the colors of all pictures."""
    assert view.truth is not None, "there is an error where there is a truth"
    if view.regions:
        kinds = errors(view.truth == 1, view.labels, view.truth != IGNORED)
    else:
        values = np.reshape([one.value for one in view.segments], (-1, *[1] * view.truth.ndim))
        kinds = errors(view.truth == values, view.labels == values, (view.truth != IGNORED)[None])
    segments = [Segment(name, kind, _color(color)) for kind, (name, color) in enumerate(ERRORS.items(), start=1)]
    return _labels("error", kinds, segments, visible=False)


def probability_layers(view: View) -> list[Layer]:
    """Show the probability of each segment in its color, the more transparent the less probable."""
    if view.probabilities is None:
        return []
    layers: list[Layer] = []
    for segment, probs in zip(view.segments, view.probabilities[-len(view.segments) :], strict=True):
        color = [part / 255 for part in segment.color]
        arguments = {
            "name": f"probability: {segment.name}",
            "colormap": np.array([[*color, 0.0], [*color, 1.0]]),
            "contrast_limits": (0.0, 1.0),
            "visible": False,
        }
        layers.append((np.asarray(probs, np.float32), arguments, "image"))
    return layers


def uncertainty_layers(view: View) -> list[Layer]:
    """Show where the networks are unsure, on one scale for all cases: black where they are certain, or agree."""
    layers: list[Layer] = []
    for kind, (name, most) in UNCERTAINTY.items():
        if kind in view.uncertainty:
            arguments = {
                "name": name,
                "colormap": "inferno",
                "contrast_limits": (0.0, most),
                "blending": "additive",
                "visible": False,
            }
            layers.append((np.asarray(view.uncertainty[kind], np.float32), arguments, "image"))
    return layers


def _color(color: np.ndarray) -> tuple[int, int, int]:
    red, green, blue = map(int, color)
    return red, green, blue
