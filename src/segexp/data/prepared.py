"""A case made ready before training: what is measured on it once, its truth and the size of its pixels."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from segexp.data.case import IGNORED, Case
from segexp.data.intensity.rules import Intensity, IntensityRule
from segexp.data.regions import Regions, region_target

WeightMap = Callable[[np.ndarray], np.ndarray]
SPOTS = 2000  # foreground positions remembered per case and class


@dataclass(frozen=True)
class Prepared:
    """A case made ready: arrays as the network sees them, and what was measured on them.

    Attributes:
        case: At the spacing of the network.
        own: The case in its own geometry, in which it is scored; the same object where nothing was resampled.
        intensity: From gray values to the network's.
        weight: Weight map (*S) float32 of ``case``, or None.
        spots: Per class that the case has, background left out: (n, axes) positions of some of its pixels.
    """

    case: Case
    own: Case
    intensity: Intensity
    weight: np.ndarray | None = None
    spots: tuple[np.ndarray, ...] = ()


def prepare(
    case: Case,
    rule: IntensityRule,
    weight_map: WeightMap | None = None,
    own: Case | None = None,
    find_spots: bool = False,
) -> Prepared:
    """Measure a case once, before training; ``own`` is the case before it was resampled.

    Raises:
        ValueError: The image is not finite; names the case and its files.
    """
    try:
        intensity = rule.of(case.image, case.valid)
    except ValueError as error:
        files = ", ".join(str(f) for f in case.files)
        raise ValueError(f"case {case.name} ({files}): {error}") from error
    weight = None if weight_map is None else weight_map(target_of(case))
    return Prepared(case, own or case, intensity, weight, foreground_spots(target_of(case)) if find_spots else ())


def target_of(case: Case) -> np.ndarray:
    """Truth of a case that must have one.

    Raises:
        ValueError: The case is unlabelled.
    """
    if case.target is None:
        raise ValueError(f"case {case.name} has no truth: it can be predicted, but neither trained on nor scored")
    return case.target


def spacing_of(case: Case, unit: str) -> torch.Tensor:
    """Size of a pixel (axes) float64 in ``unit``: 1 along each axis in "px"."""
    spacing = torch.tensor(case.spacing, dtype=torch.float64)
    return torch.ones_like(spacing) if unit == "px" else spacing


def foreground_spots(target: np.ndarray) -> tuple[np.ndarray, ...]:
    """Collect per foreground class of (*S) at most ``SPOTS`` evenly strided positions (n, axes)."""
    spots = []
    for label in np.unique(target[(target > 0) & (target < IGNORED)]):
        found = np.flatnonzero(target == label)
        some = found[np.linspace(0, len(found) - 1, min(len(found), SPOTS)).astype(int)]
        spots.append(np.stack(np.unravel_index(some, target.shape), axis=1))
    return tuple(spots)


def target_tensor(labels: np.ndarray, regions: Regions | None) -> torch.Tensor:
    """Make what a network is compared with of class indices (*S): (*S) int64, or (R, *S) of overlapping regions."""
    return torch.from_numpy(labels.astype(np.int64) if regions is None else region_target(labels, regions))
