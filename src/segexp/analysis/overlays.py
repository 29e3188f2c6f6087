"""Pictures of a prediction without truth: the image, and the image with classes or regions in colour."""

import numpy as np

from segexp.analysis.figures import grays, tinted

GAP = 2  # pixels between the panels
LEAST, MOST = 256, 1600  # pixels of the longer side: others are enlarged or thinned out by a whole factor


def draw_overlay(image: np.ndarray, layers: np.ndarray) -> np.ndarray:
    """Draw image and overlay side by side; of a volume the slice with the most foreground.

    Args:
        image: (C, *S) in any scale; three channels are taken as RGB, else the first is shown.
        layers: (R, *S) bool, each foreground class or region; a later one covers an earlier one.

    Returns:
        (h, 2 w + 2, 3) uint8; of a volume the second axis (anterior, of axial slices) upwards.
    """
    if image.ndim == 4:
        chosen = int(np.count_nonzero(layers, axis=(0, 2, 3)).argmax()) if layers.any() else layers.shape[1] // 2
        image, layers = image[:, chosen, ::-1], layers[:, chosen, ::-1]
    longer = max(image.shape[1:])
    thin, enlarged = -(-longer // MOST), max(1, LEAST // longer)
    gray = grays(np.asarray(image[:, ::thin, ::thin], np.float32))
    both = (gray, tinted(gray, layers[:, ::thin, ::thin]))
    panels = [panel.repeat(enlarged, axis=0).repeat(enlarged, axis=1) for panel in both]
    gap = np.full((len(panels[0]), GAP, 3), 255, np.uint8)
    return np.concatenate([panels[0], gap, panels[1]], axis=1)
