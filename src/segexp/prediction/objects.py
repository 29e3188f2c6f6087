"""Measures single objects of a predicted mask: size, place, shape, intensity."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from segexp.checkpoints.description import ModelDescription
from segexp.data.case import Case
from segexp.prediction.inputs import is_stack, pages_of
from segexp.prediction.maps import integer_values

DIGITS = 6  # significant ones
AXES = {2: ("y", "x"), 3: ("z", "y", "x")}
NAMES = {2: ("area", 2), 3: ("volume", 3)}  # what the size of an object is called, and the power of a length


def measure_objects(labels: np.ndarray, case: Case, description: ModelDescription) -> list[dict[str, Any]]:
    """Measure the connected components of every class, or region, of a mask; pixels that share an edge are of one.

    Args:
        labels: (*S) values of the classes as files have them; of overlapping regions (R, *S) bool.
        case: Image (C, *S) with the size of its pixels.
        description: The network's.

    Returns:
        A row per object, in order of the pages of a stack, of the classes, then of their places: class, number, area or
        volume in pixels and in the square or cube of the unit of spacing, center and bounding box in pixels, equivalent
        diameter in the unit, extent (share of the bounding box), whether it touches the edge of the image, and mean,
        lowest and highest intensity of each channel.
    """
    from skimage.measure import label, regionprops

    if is_stack(case):
        pages = enumerate(zip(pages_of(case), np.moveaxis(labels, -3, 0), strict=True))
        return [{"page": n, **row} for n, (page, own) in pages for row in measure_objects(own, page, description)]
    rows = []
    for name, mask in _masks(labels, description).items():
        for number, found in enumerate(regionprops(label(mask, connectivity=1)), start=1):
            rows.append({"class": name, "object": number, **_measures(found, case)})
    return rows


def _masks(labels: np.ndarray, description: ModelDescription) -> Mapping[str, np.ndarray]:
    """Mask (*S) bool of each class but the background, or of each region."""
    if description.regions:
        return dict(zip(description.regions, labels, strict=True))
    values = integer_values(description)
    return {name: labels == value for name, value in list(zip(description.class_names, values, strict=True))[1:]}


def _measures(found: Any, case: Case) -> dict[str, Any]:
    axes = case.image.ndim - 1
    spacing, unit = np.asarray(case.spacing, dtype=float), case.spacing_unit
    name, power = NAMES[axes]
    pixels = len(found.coords)
    size = float(pixels * spacing.prod())
    low, high = found.bbox[:axes], found.bbox[axes:]
    row: dict[str, Any] = {f"{name}_px": pixels}
    if unit != "px":
        row[f"{name}_{unit}{power}"] = _short(size)
    row |= {f"center_{axis}_px": _short(place) for axis, place in zip(AXES[axes], found.centroid, strict=True)}
    row |= {f"first_{axis}_px": int(place) for axis, place in zip(AXES[axes], low, strict=True)}
    row |= {f"last_{axis}_px": int(place) - 1 for axis, place in zip(AXES[axes], high, strict=True)}
    row[f"equivalent_diameter_{unit}"] = _short(_diameter(size, axes))
    row["extent"] = _short(pixels / np.prod(np.subtract(high, low)))
    row["touches_edge"] = bool(min(low) == 0 or any(np.equal(high, case.image.shape[1:])))
    return row | _intensities(case.image[(slice(None), *found.coords.T)])


def _intensities(values: np.ndarray) -> dict[str, float]:
    """Mean, lowest and highest of each channel of the pixels (C, N) of an object."""
    row: dict[str, float] = {}
    for channel, of in enumerate(values):
        ending = f"_{channel}" if len(values) > 1 else ""
        row |= {
            f"intensity_mean{ending}": _short(float(of.mean(dtype=np.float64))),
            f"intensity_min{ending}": _short(float(of.min())),
            f"intensity_max{ending}": _short(float(of.max())),
        }
    return row


def _diameter(size: float, axes: int) -> float:
    """Diameter of the disk of an area, or of the ball of a volume."""
    return float(2 * np.sqrt(size / np.pi)) if axes == 2 else float((6 * size / np.pi) ** (1 / 3))


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
