"""Pictures of a case: input, truth, prediction, error, side by side."""

import numpy as np
from PIL import Image, ImageDraw

# Okabe and Ito 2008: told apart with any colour vision; class 0 stays gray.
COLOURS = np.array([(86, 180, 233), (230, 159, 0), (0, 158, 115), (204, 121, 167), (240, 228, 66), (213, 94, 0)])
MISSED, INVENTED, CONFUSED = np.array([0, 114, 178]), np.array([213, 94, 0]), np.array([204, 121, 167])
TITLES = ("input", "truth", "prediction", "error: blue missed, orange invented, pink confused")
HEADER = 16  # pixels
LEAST = 128  # pixels: narrower cases are enlarged by a whole factor


def draw_case(image: np.ndarray, target: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Draw one case; of a volume its middle slice, the second axis (anterior, of axial slices) upwards.

    Args:
        image: (C, *S) in any scale; three channels are taken as RGB, else the first is shown.
        target: (*S) class indices, or (K, *S) overlapping regions, which are drawn one on top of the other; 255 = not
            labelled.
        probs: (K, *S) probabilities; a region is drawn where its own is above 0.5.

    Returns:
        (f H + 16, 4 f W + 6, 3) uint8, f = 1 unless W is small.
    """
    if probs.ndim == 4:
        middle = probs.shape[1] // 2
        image, target, probs = (a[..., middle, ::-1, :] for a in (image, target, probs))
    truth, pred, known = _layers(target, probs)
    gray = grays(image)
    panels = [gray, tinted(gray, truth), tinted(gray, pred), _error(gray, truth & known, pred & known)]
    factor = -(-LEAST // probs.shape[2])
    panels = [panel.repeat(factor, axis=0).repeat(factor, axis=1) for panel in panels]
    height, width = panels[0].shape[:2]
    sheet = np.full((height + HEADER, 4 * width + 6, 3), 255, np.uint8)
    for i, panel in enumerate(panels):
        left = i * (width + 2)
        sheet[HEADER:, left : left + width] = panel
        sheet[:HEADER, left : left + width] = title(TITLES[i], width)
    return sheet


def _layers(target: np.ndarray, probs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth and prediction of each foreground class or region, and what is labelled: (R, H, W) bool."""
    if target.ndim == probs.ndim:
        return target == 1, probs > 0.5, target != 255
    classes = np.arange(1, len(probs))[:, None, None]
    return target == classes, probs.argmax(0) == classes, target[None] != 255


def grays(image: np.ndarray) -> np.ndarray:
    """Scale each channel of image (C, H, W) between its 0.5 and 99.5 percentiles: (H, W, 3) uint8."""
    shown = image[:3] if image.shape[0] == 3 else np.repeat(image[:1], 3, axis=0)
    low, high = np.percentile(shown, (0.5, 99.5), axis=(1, 2), keepdims=True)
    scaled = np.clip((shown - low) / np.maximum(high - low, 1e-6), 0, 1)
    return (np.moveaxis(scaled, 0, -1) * 255).astype(np.uint8)


def tinted(gray: np.ndarray, layers: np.ndarray) -> np.ndarray:
    """Colour layers (R, H, W) bool over (H, W, 3) uint8; a later one covers an earlier one."""
    coloured = gray.astype(np.float32)
    for i, here in enumerate(layers):
        coloured[here] = 0.45 * gray[here] + 0.55 * COLOURS[i % len(COLOURS)]
    return coloured.astype(np.uint8)


def _error(gray: np.ndarray, truth: np.ndarray, pred: np.ndarray) -> np.ndarray:
    shown = 0.4 * gray.astype(np.float32) + 120
    missed, invented = (truth & ~pred).any(0), (pred & ~truth).any(0)
    shown[missed], shown[invented] = MISSED, INVENTED
    shown[missed & invented] = CONFUSED
    return np.clip(shown, 0, 255).astype(np.uint8)


def title(text: str, width: int) -> np.ndarray:
    """Write the text, or what stands before its colon, where it fits: (16, width, 3) uint8."""
    strip = Image.new("RGB", (width, HEADER), "white")
    draw = ImageDraw.Draw(strip)
    fitting = next((t for t in (text, text.split(":")[0]) if draw.textlength(t) <= width), "")
    draw.text((2, 2), fitting, fill="black")
    return np.asarray(strip)
