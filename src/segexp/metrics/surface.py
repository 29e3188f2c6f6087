"""Distances between the surfaces of prediction and truth: HD95, ASSD and normalized surface Dice."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from segexp.errors import require_at_least, require_between, require_choice
from segexp.metrics.info import MetricInfo
from segexp.metrics.per_class import PerClassMetric
from segexp.metrics.results import MetricResult

UNITS = ("mm", "px")
ROUNDING = 1 + 1e-6  # a distance that exceeds a tolerance by less is equal to it; spacings are often float32
CROWDED = 0.2  # fraction of border pixels above which a distance transform is quicker than a search
REACH = 4  # pixels along each axis within which the nearest border is looked for one by one
NEIGHBORS = 128  # pixels that are looked at, at most


class SurfaceScores(PerClassMetric):
    """Distances between surfaces per case and foreground class or region, with the case's spacing.

    The surface of a mask are its border pixels: those with a face neighbor outside the mask or outside the image;
    each counts alike. Distances go from the center of each border pixel of the one mask to the nearest of the other.
    A class that neither truth nor prediction has is undefined (nan); one that only one of them has scores the length
    of the image's diagonal as distance, and 0 as surface Dice. Pixels that do not count belong to neither mask. Other
    arguments and errors as ``PerClassMetric``.

    Args:
        unit: Unit of the spacing, the tolerances and the distances: "mm" or "px".
        tolerances: Distances up to which a border pixel counts as found by the surface Dice, one or more, in ``unit``.
        percentile: Percentile of the distances that the Hausdorff distance takes, above 0 and up to 100 (the maximum).
        class_tolerances: Tolerance of each foreground class, or region, by its name, in ``unit``: a further surface
            Dice, ``nsd_mm`` or ``nsd_px``, with each at its own. None = no such score.

    Raises:
        ValueError: There is no tolerance, a value is out of its range, or ``class_tolerances`` has other names than
            the classes or regions.

    Source: Huttenlocher et al. 1993 (Hausdorff distance), Heimann et al. 2009 (ASSD), Nikolov et al. 2021 (surface
    Dice), with border pixels in place of surface elements.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        regions: Collection[str] | None = None,
        unit: str = "mm",
        tolerances: Sequence[float] = (1.0,),
        percentile: float = 95.0,
        ignore_index: int = 255,
        class_tolerances: Mapping[str, float] | None = None,
    ) -> None:
        require_choice("unit", unit, UNITS)
        require_at_least("number of tolerances", len(tolerances), 1, integer=True)
        for tolerance in [*tolerances, *(class_tolerances or {}).values()]:
            require_at_least("tolerance", tolerance, 0)
        require_between("percentile", percentile, 0, 100, "100 is the maximum, 95 is usual", open_at="low")
        self.names = [
            f"hd{percentile:g}_{unit}",
            f"assd_{unit}",
            *(f"nsd_{tolerance:g}{unit}" for tolerance in tolerances),
            *([] if class_tolerances is None else [f"nsd_{unit}"]),
        ]
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"tolerances={list(tolerances)} repeat themselves: give each once")
        super().__init__(class_names, regions, (len(self.names),), torch.float64, ignore_index)
        if class_tolerances is not None and set(class_tolerances) != set(self.parts):
            raise ValueError(
                f"class_tolerances={dict(class_tolerances)} must have one tolerance for each of {list(self.parts)}"
            )
        self.unit = unit
        self.tolerances = tuple(tolerances)
        self.percentile = percentile
        self.class_tolerances = class_tolerances

    @property
    def info(self) -> dict[str, MetricInfo]:
        """Description of each score."""
        per_case = f"per case and {self.kind} ({self.how}); undefined (neither has it) left out"
        worst = "the length of the image's diagonal where only one of them has it"
        distance = f"in {self.unit} between border pixels of prediction and truth {per_case}, {worst}; {self.averaged}"
        hausdorff = f"larger of the two directed {self.percentile:g}th percentiles of the distances {distance}"
        average = f"mean of the distances of both directions together, {distance}"
        infos = [self.describe(sentence, higher_is_better=False) for sentence in (hausdorff, average)]
        limits = [f"{tolerance:g} {self.unit}" for tolerance in self.tolerances]
        if self.class_tolerances is not None:
            own = ", ".join(f"{name} {tolerance:g}" for name, tolerance in self.class_tolerances.items())
            limits.append(f"a tolerance of its own ({own} {self.unit})")
        for limit in limits:
            within = (
                f"fraction of the border pixels of prediction and truth with the other border within {limit}, "
                f"{per_case}, 0 where only one of them has it; {self.averaged}"
            )
            infos.append(self.describe(within, unit="fraction"))
        return dict(zip(self.names, infos, strict=True))

    def update(self, probs: Tensor, target: Tensor, case_index: Tensor, spacing: Tensor | None = None) -> None:
        """Measure a batch of whole cases, see ``CaseMetric``.

        Raises:
            ValueError: The shapes do not belong together, or distances in mm are asked for without a spacing.
        """
        if spacing is None and self.unit == "mm":
            raise ValueError("spacing=None has no mm: give the size of a pixel per case and axis, or take unit=px")
        super().update(probs, target, case_index, spacing)

    def measure(self, probs: Tensor, target: Tensor, spacing: Tensor) -> Tensor:
        """Measure the distances of each case and part on the CPU, one after the other.

        Arguments as `CaseMetric.measure`, with the spacing in ``unit``; errors as `masks`.

        Returns:
            (B, K, 2 + tolerances) float64: Hausdorff distance, ASSD, surface Dice at each tolerance, and at the
            class' own where there are such.
        """
        pred, truth, _ = self.masks(probs, target)
        tolerances = [self._tolerances(name) for name in self.parts]
        measured = [
            [
                self._scores(p.cpu().numpy(), t.cpu().numpy(), size, own)
                for p, t, own in zip(*of_case, tolerances, strict=True)
            ]
            for of_case, size in zip(zip(pred, truth, strict=True), spacing.cpu().numpy(), strict=True)
        ]
        return torch.tensor(measured, dtype=torch.float64, device=probs.device)

    def score(self, cases: list[int], measured: Tensor) -> MetricResult:
        """Turn measurements (n, K, 2 + tolerances) into rows per case and class."""
        return MetricResult(self.rows(cases, measured, lambda scores: dict(zip(self.names, scores, strict=True))))

    def _tolerances(self, name: str) -> list[float]:
        """Tolerances of a class or region."""
        return [*self.tolerances, *([] if self.class_tolerances is None else [self.class_tolerances[name]])]

    def _scores(
        self, pred: np.ndarray, truth: np.ndarray, spacing: np.ndarray, tolerances: Sequence[float]
    ) -> list[float]:
        present = int(pred.any()) + int(truth.any())
        if present == 0:
            return [np.nan] * len(self.names)
        if present == 1:
            return [float(np.linalg.norm(spacing * pred.shape))] * 2 + [0.0] * len(tolerances)
        directed = surface_distances(pred, truth, spacing)
        both = np.concatenate(directed)
        hausdorff = max(float(np.percentile(distances, self.percentile)) for distances in directed)
        within = [float(np.mean(both <= tolerance * ROUNDING)) for tolerance in tolerances]
        return [hausdorff, float(both.mean()), *within]


def surface_distances(pred: np.ndarray, truth: np.ndarray, spacing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measure from each border pixel of one mask to the nearest border pixel of the other.

    Args:
        pred: (*S) bool, not empty.
        truth: (*S) bool, not empty.
        spacing: (axes) size of a pixel.

    Returns:
        Distances from the border of ``pred`` (n,) and from that of ``truth`` (m,), in the unit of the spacing.
    """
    box = _box(pred | truth)
    start, goal = _border(pred[box]), _border(truth[box])
    return _nearest(start, goal, spacing), _nearest(goal, start, spacing)


def _box(mask: np.ndarray) -> tuple[slice, ...]:
    """Smallest box that holds all of a mask (*S), which is not empty."""
    slices = []
    for _ in range(mask.ndim):
        places = np.flatnonzero(mask.reshape(len(mask), -1).any(axis=1))
        slices.append(slice(int(places[0]), int(places[-1]) + 1))
        mask = np.asarray(mask.any(axis=0))
    return tuple(slices)


def _border(mask: np.ndarray) -> np.ndarray:
    """Mark the pixels of a mask (*S) with a face neighbor outside it; what lies beyond the array is outside."""
    padded = np.pad(mask, 1)
    inner = mask.copy()
    for axis, extent in enumerate(mask.shape):
        for step in (0, 2):  # the neighbors before and after
            window = [slice(1, -1)] * mask.ndim
            window[axis] = slice(step, step + extent)
            inner &= padded[tuple(window)]
    border: np.ndarray = mask & ~inner
    return border


def _nearest(start: np.ndarray, goal: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Distance from each pixel of ``start`` (*S) to the nearest of ``goal``.

    The neighbors of a pixel are looked at one by one, the nearest first: most borders lie within a few pixels of each
    other. What finds nothing there asks a search tree, or a distance transform where it is very many.
    """
    offsets, lengths = _neighbors(spacing)
    wide = np.pad(goal, REACH)
    steps = np.asarray(wide.strides)  # bytes, that is pixels
    places = np.argwhere(start)
    flat, found = (places + REACH) @ steps, wide.reshape(-1)
    distances = np.full(len(places), np.nan)
    open_ = np.arange(len(places))
    for offset, length in zip(offsets @ steps, lengths, strict=True):
        hit = found[flat[open_] + offset]
        distances[open_[hit]] = length
        open_ = open_[~hit]
        if not len(open_):
            return distances
    by = _by_transform if len(open_) + np.count_nonzero(goal) > CROWDED * goal.size else _by_tree
    distances[open_] = by(places[open_], goal, spacing)
    return distances


def _neighbors(spacing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Steps (n, axes) to the pixels around one, itself among them, the nearest first, and their lengths (n,).

    None within the last length is missing.
    """
    axes = len(spacing)
    steps = np.indices((2 * REACH + 1,) * axes).reshape(axes, -1).T - REACH
    lengths = np.linalg.norm(steps * spacing, axis=1)
    order = np.argsort(lengths, kind="stable")
    complete = order[lengths[order] < (REACH + 1) * spacing.min()][:NEIGHBORS]
    return steps[complete], lengths[complete]


def _by_tree(places: np.ndarray, goal: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    from scipy.spatial import KDTree

    # A plain midpoint tree is built faster than a balanced one, and searched faster on a grid.
    tree = KDTree(np.argwhere(goal) * spacing, leafsize=32, compact_nodes=False, balanced_tree=False)
    distances: np.ndarray = tree.query(places * spacing)[0]
    return distances


def _by_transform(places: np.ndarray, goal: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    from scipy.ndimage import distance_transform_edt

    distances: np.ndarray = distance_transform_edt(~goal, sampling=spacing)[tuple(places.T)]
    return distances
