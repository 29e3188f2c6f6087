"""Overlapping regions: what the network learns where one pixel may belong to several targets.

Source: the regions of BraTS (whole tumor ⊇ tumor core ⊇ enhancing tumor), Menze et al. 2015.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from segexp.data.case import IGNORED

Regions = Mapping[str, Sequence[int]]


def region_target(labels: np.ndarray, regions: Regions) -> np.ndarray:
    """Turn class indices (*S) uint8, 255 = not labeled, into one target per region.

    Returns:
        (R, *S) int64: 1 in the region, 0 outside, 255 where not labeled.
    """
    table = np.zeros((len(regions), IGNORED + 1), np.int64)
    for row, classes in zip(table, regions.values(), strict=True):
        row[list(classes)] = 1
    table[:, IGNORED] = IGNORED
    return table[:, labels]


def require_regions(regions: object, class_names: Sequence[str]) -> None:
    """Refuse, by a ValueError, what is neither None nor a mapping from names to foreground classes, at least one each.

    ``class_names`` has one name per class, background first.
    """
    if regions is None:
        return
    if not isinstance(regions, Mapping) or not regions:
        raise ValueError(
            f"data.labels.regions={regions!r} must give names their classes, such as "
            "{tissue: [1, 2], organelle: [2]}, or be null"
        )
    for name, classes in regions.items():
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"data.labels.regions has a region called {name!r}: give it a name of letters")
        where = f"data.labels.regions.{name}={classes!r}"
        if not isinstance(classes, Sequence) or isinstance(classes, str) or not classes:
            raise ValueError(f"{where} must list the classes of the region, such as [1, 2]")
        for label in classes:
            if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < len(class_names):
                named = ", ".join(f"{i} {known}" for i, known in enumerate(class_names))
                raise ValueError(f"{where}: there is no class {label!r}; give indices of {named}")
        if 0 in classes:
            raise ValueError(f"{where} holds class 0, the background, which lies in no region: leave it out")
        if len(set(classes)) < len(classes):
            raise ValueError(f"{where} names a class twice: once is enough")


def pixel_counts(labels: np.ndarray, num_classes: int, regions: Regions | None) -> np.ndarray:
    """Count the pixels of class indices (*S): (K, 2) int64, inside each class or region and labeled for it."""
    if regions is None:
        inside = np.bincount(labels[labels != IGNORED].ravel(), minlength=num_classes)
        return np.stack([inside, np.full(num_classes, inside.sum())], axis=1)
    target = region_target(labels, regions).reshape(len(regions), -1)
    return np.stack([(target == 1).sum(1), (target != IGNORED).sum(1)], axis=1)
