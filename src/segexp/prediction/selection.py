"""Which unlabeled images to label next: those of which the network is unsure, and that are unlike each other."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segexp.errors import require_at_least, require_between


@dataclass(frozen=True)
class Pick:
    """An image that was chosen.

    Attributes:
        index: Number of the image.
        worth: What decided: (1 - diversity) * uncertainty + diversity * distance, both scaled to [0, 1].
        distance: Distance to the nearest image that was chosen before or is labeled, see ``select``; nan of the first.
        nearest: Number of that image; None of the first, and where it is a labeled one.
    """

    index: int
    worth: float
    distance: float
    nearest: int | None


def select(
    uncertainty: Sequence[float],
    features: np.ndarray,
    count: int,
    diversity: float = 0.5,
    labeled: np.ndarray | None = None,
) -> list[Pick]:
    """Choose images one after the other, each by its uncertainty and its distance to those chosen before.

    With ``diversity=1`` these are the centers of the greedy k-center algorithm, from the most uncertain image on; with
    0 the most uncertain images. Distances are Euclidean, after each feature was scaled to a standard deviation of 1 and
    divided by the square root of their number; at each step the farthest image counts 1. Of equal ones the first wins.

    Args:
        uncertainty: Uncertainty of each of the n images, any scale.
        features: (n, d) features of the images.
        count: Number of images to choose, at least 1; more than n gives n.
        diversity: Weight of the distance against the uncertainty, 0 to 1.
        labeled: (m, d) features of images that are labeled already: what is chosen shall be far from these, too.

    Raises:
        ValueError: An argument is out of its range.

    Source: Gonzalez 1985 (k-center, farthest first); Sener and Savarese 2018 (arXiv:1708.00489) for labeling.
    """
    require_at_least("count", count, 1, integer=True)
    require_between("diversity", diversity, 0, 1, "0 looks at the uncertainty alone, 1 at the distance")
    known = np.zeros((0, features.shape[1])) if labeled is None else labeled
    places = _scaled(np.concatenate([features, known]))
    points, centers = places[: len(features)], places[len(features) :]
    unsure = _to_unit(np.asarray(uncertainty, float))
    distance = np.full(len(points), np.inf)
    nearest: list[int | None] = [None] * len(points)
    for center in centers:
        distance = np.minimum(distance, _distances(points, center))
    left, picks = np.ones(len(points), bool), []
    for _ in range(min(count, len(points))):
        far = _relative(distance, left)
        worth = np.where(left, (1 - diversity) * unsure + diversity * far, -np.inf)
        if np.isinf(distance).all():  # the first, without any labeled one: by its uncertainty alone
            worth = unsure
        best = int(np.argmax(worth))
        here = float(distance[best])
        picks.append(Pick(best, float(worth[best]), here if np.isfinite(here) else np.nan, nearest[best]))
        left[best] = False
        new = _distances(points, points[best])
        for index in np.flatnonzero(new < distance):
            nearest[index] = best
        distance = np.minimum(distance, new)
    return picks


def _scaled(features: np.ndarray) -> np.ndarray:
    """Scale each feature to a standard deviation of 1; constant ones say nothing."""
    std = features.std(0)
    varying = std > 1e-9 * np.abs(features).max(0, initial=0.0)
    if not varying.any():
        return np.zeros((len(features), 1))
    kept = features[:, varying]
    scaled: np.ndarray = (kept - kept.mean(0)) / std[varying] / np.sqrt(varying.sum())
    return scaled


def _distances(points: np.ndarray, center: np.ndarray) -> np.ndarray:
    distances: np.ndarray = np.sqrt(((points - center) ** 2).sum(1))
    return distances


def _to_unit(values: np.ndarray) -> np.ndarray:
    """Scale to [0, 1]; equal values to 0."""
    spread = np.ptp(values)
    return (values - values.min()) / spread if spread > 0 else np.zeros_like(values)


def _relative(distance: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Distances as fractions of the largest one of those left."""
    largest = distance[left].max(initial=0.0)
    if not np.isfinite(largest) or largest == 0:
        return np.zeros_like(distance)
    return np.asarray(distance / largest)
