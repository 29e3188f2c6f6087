"""Pictures of a prediction without truth: the image, and the image with classes or regions in color."""

from collections.abc import Sequence

import numpy as np

from segexp.pictures.figures import enlarged, grays, tinted

GAP = 2  # pixels between the panels
LEAST, MOST = 256, 1600  # pixels of the longer side: others are enlarged or thinned out by a whole factor


def draw_overlay(image: np.ndarray, labels: np.ndarray, classes: Sequence[int] = ()) -> np.ndarray:
    """Draw image and overlay side by side; of a volume the slice with the most foreground.

    Large volumes may be mapped files: they are looked through slice by slice.

    Args:
        image: (C, *S) in any scale; three channels are taken as RGB, else the first is shown.
        labels: (*S) of classes, or (R, *S) bool of regions; a later one covers an earlier one.
        classes: Labels of the foreground.

    Returns:
        (h, 2 w + 2, 3) uint8; of a volume the second axis (anterior, of axial slices) upwards.
    """
    if image.ndim == 4:
        counts = [int(_layers(labels[..., index, :, :], classes).sum()) for index in range(image.shape[1])]
        chosen = int(np.argmax(counts)) if any(counts) else len(counts) // 2
        image, labels = image[:, chosen, ::-1], labels[..., chosen, ::-1, :]
    longer = max(image.shape[1:])
    thin = -(-longer // MOST)
    gray = grays(np.asarray(image[:, ::thin, ::thin], np.float32))
    overlay = tinted(gray, _layers(labels[..., ::thin, ::thin], classes))
    left, right = (enlarged(panel, max(1, LEAST // longer)) for panel in (gray, overlay))
    gap = np.full((len(left), GAP, 3), 255, np.uint8)
    return np.concatenate([left, gap, right], axis=1)


def _layers(labels: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """Return (R, *S) bool: each foreground class, or the regions as they are."""
    return labels if labels.dtype == bool else labels == np.reshape(classes, (-1, *[1] * labels.ndim))
