"""Pictures of a prediction without truth: the image, and the image with classes or regions in colour."""

import numpy as np

from segexp.analysis.figures import COLOURS

GAP = 2  # pixels between the panels
LEAST, MOST = 256, 1600  # pixels of the longer side: others are enlarged or thinned out by a whole factor
STRENGTH = 0.55  # of the colour


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
    gray = _gray(image[:, ::thin, ::thin])
    tinted = gray.astype(np.float32)
    for index, here in enumerate(layers[:, ::thin, ::thin]):
        tinted[here] = (1 - STRENGTH) * gray[here] + STRENGTH * COLOURS[index % len(COLOURS)]
    panels = [panel.repeat(enlarged, axis=0).repeat(enlarged, axis=1) for panel in (gray, tinted.astype(np.uint8))]
    gap = np.full((len(panels[0]), GAP, 3), 255, np.uint8)
    return np.concatenate([panels[0], gap, panels[1]], axis=1)


def _gray(image: np.ndarray) -> np.ndarray:
    """Scale each channel of image (C, H, W) between its 0.5 and 99.5 percentiles: (H, W, 3) uint8."""
    shown = np.asarray(image[:3] if len(image) == 3 else np.repeat(image[:1], 3, axis=0), np.float32)
    low, high = np.percentile(shown, (0.5, 99.5), axis=(1, 2), keepdims=True)
    scaled = np.clip((shown - low) / np.maximum(high - low, 1e-6), 0, 1)
    return (np.moveaxis(scaled, 0, -1) * 255).astype(np.uint8)
