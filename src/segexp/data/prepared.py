"""A case made ready before training: what is measured on it once, its truth and the size of its pixels."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from segexp.data.case import IGNORED, Case
from segexp.data.intensity.rules import Intensity, IntensityRule
from segexp.data.regions import Regions, region_target

WeightMap = Callable[[np.ndarray], np.ndarray]
MOST_COORDS = 2000  # foreground pixels remembered per case and class


@dataclass(frozen=True)
class Prepared:
    """A case made ready: arrays as the network sees them, and what was measured on them.

    Attributes:
        case: Case at the spacing of the network.
        original: Case before resampling, in which it is scored; the same object where nothing was resampled.
        intensity: Scaling of its intensities.
        weight: Weight map (*S) float32 of ``case``, or None.
        foreground_coords: Coordinates (n, axes) of some pixels of each foreground class that the case has.
    """

    case: Case
    original: Case
    intensity: Intensity
    weight: np.ndarray | None = None
    foreground_coords: tuple[np.ndarray, ...] = ()


def prepare(
    case: Case,
    rule: IntensityRule,
    weight_map: WeightMap | None = None,
    original: Case | None = None,
    find_foreground: bool = False,
    intensity: Intensity | None = None,
) -> Prepared:
    """Measure a case once, before training.

    Args:
        case: Case at the spacing of the network.
        rule: Rule of its intensities.
        weight_map: Weight map of a mask; None = none.
        original: Case before resampling; None = nothing was resampled.
        find_foreground: Whether coordinates of foreground pixels are collected.
        intensity: Scaling of its intensities, where it is known; None = measured here.

    Raises:
        ValueError: The image is not finite; names the case and its files.
    """
    intensity = intensity or intensity_of_case(case, rule)
    weight = None if weight_map is None else weight_map(target_of(case))
    coords = foreground_coords(target_of(case)) if find_foreground else ()
    return Prepared(case, original or case, intensity, weight, coords)


def intensity_of_case(case: Case, rule: IntensityRule) -> Intensity:
    """Measure the scaling of a case's intensities.

    Raises:
        ValueError: The image is not finite; names the case and its files.
    """
    with _naming(case):
        return rule.of(case.image, case.valid)


def corrected(case: Case, rule: IntensityRule) -> Case:
    """Correct the pixels of a case at the spacing of the network, where its rule does so.

    Raises:
        ValueError: They cannot be corrected; names the case and its files.
    """
    with _naming(case):
        return rule.correct(case)


@contextmanager
def _naming(case: Case) -> Iterator[None]:
    """Name the case and its files in what a rule refuses."""
    try:
        yield
    except ValueError as error:
        files = ", ".join(str(f) for f in case.files)
        raise ValueError(f"case {case.name} ({files}): {error}") from error


def target_of(case: Case) -> np.ndarray:
    """Truth of a case that must have one.

    Raises:
        ValueError: The case is unlabeled.
    """
    if case.target is None:
        raise ValueError(f"case {case.name} has no truth: it can be predicted, but neither trained on nor scored")
    return case.target


def spacing_of(case: Case, unit: str) -> torch.Tensor:
    """Size of a pixel (axes) float64 in ``unit``: 1 along each axis in "px"."""
    spacing = torch.tensor(case.spacing, dtype=torch.float64)
    return torch.ones_like(spacing) if unit == "px" else spacing


def instance_tensor(case: Case) -> torch.Tensor | None:
    """Numbers of the objects of a case (*S) int32; None where they are not numbered."""
    return None if case.instances is None else torch.from_numpy(case.instances.astype(np.int32))


def foreground_coords(target: np.ndarray) -> tuple[np.ndarray, ...]:
    """Collect per foreground class of (*S) at most ``MOST_COORDS`` evenly strided coordinates (n, axes)."""
    coords = []
    for label in np.unique(target[(target > 0) & (target < IGNORED)]):
        positions = np.flatnonzero(target == label)
        strided = np.linspace(0, len(positions) - 1, min(len(positions), MOST_COORDS)).astype(int)
        coords.append(np.stack(np.unravel_index(positions[strided], target.shape), axis=1))
    return tuple(coords)


def target_tensor(labels: np.ndarray, regions: Regions | None) -> torch.Tensor:
    """Make what a network is compared with of class indices (*S): (*S) int64, or (R, *S) of overlapping regions."""
    return torch.from_numpy(labels.astype(np.int64) if regions is None else region_target(labels, regions))
