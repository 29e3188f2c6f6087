"""Pictures of a case: input, truth, prediction, error, side by side."""

import numpy as np
from PIL import Image, ImageDraw

# Okabe and Ito 2008: told apart with any colour vision; class 0 stays gray.
COLOURS = np.array([(86, 180, 233), (230, 159, 0), (0, 158, 115), (204, 121, 167), (240, 228, 66), (213, 94, 0)])
MISSED, INVENTED, CONFUSED = np.array([0, 114, 178]), np.array([213, 94, 0]), np.array([204, 121, 167])
TITLES = ("input", "truth", "prediction", "error: blue missed, orange invented, pink confused")
HEADER = 16  # pixels


def draw_case(image: np.ndarray, target: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Draw one case; of a volume its middle slice.

    Args:
        image: (C, *S) in any scale; three channels are taken as RGB, else the first is shown.
        target: (*S) class indices; 255 = not labelled.
        probs: (K, *S) probabilities.

    Returns:
        (H + 16, 4 W + 6, 3) uint8.
    """
    if target.ndim == 3:
        middle = target.shape[0] // 2
        image, target, probs = image[:, middle], target[middle], probs[:, middle]
    pred = probs.argmax(0)
    gray = _gray(image)
    panels = [gray, _overlay(gray, target), _overlay(gray, pred), _error(gray, target, pred)]
    height, width = target.shape
    sheet = np.full((height + HEADER, 4 * width + 6, 3), 255, np.uint8)
    for i, panel in enumerate(panels):
        left = i * (width + 2)
        sheet[HEADER:, left : left + width] = panel
        sheet[:HEADER, left : left + width] = title(TITLES[i], width)
    return sheet


def _gray(image: np.ndarray) -> np.ndarray:
    """Scale image (C, H, W) to (H, W, 3) uint8 between its 0.5 and 99.5 percentiles."""
    shown = image[:3] if image.shape[0] == 3 else np.repeat(image[:1], 3, axis=0)
    low, high = np.percentile(shown, (0.5, 99.5))
    scaled = np.clip((shown - low) / max(high - low, 1e-6), 0, 1)
    return (np.moveaxis(scaled, 0, -1) * 255).astype(np.uint8)


def _overlay(gray: np.ndarray, labels: np.ndarray) -> np.ndarray:
    tinted = gray.astype(np.float32)
    for label in np.unique(labels[(labels > 0) & (labels < 255)]):
        here = labels == label
        tinted[here] = 0.45 * tinted[here] + 0.55 * COLOURS[(label - 1) % len(COLOURS)]
    return tinted.astype(np.uint8)


def _error(gray: np.ndarray, target: np.ndarray, pred: np.ndarray) -> np.ndarray:
    shown = 0.4 * gray.astype(np.float32) + 120
    wrong = (target != pred) & (target != 255)
    shown[wrong & (pred == 0)] = MISSED
    shown[wrong & (target == 0)] = INVENTED
    shown[wrong & (pred > 0) & (target > 0)] = CONFUSED
    return np.clip(shown, 0, 255).astype(np.uint8)


def title(text: str, width: int) -> np.ndarray:
    """Write the text, or what stands before its colon, where it fits: (16, width, 3) uint8."""
    strip = Image.new("RGB", (width, HEADER), "white")
    draw = ImageDraw.Draw(strip)
    fitting = next((t for t in (text, text.split(":")[0]) if draw.textlength(t) <= width), "")
    draw.text((2, 2), fitting, fill="black")
    return np.asarray(strip)
