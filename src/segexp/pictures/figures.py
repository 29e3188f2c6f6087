"""Pictures of a case: input, truth, prediction, error, side by side."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from segexp.writing import replacing

# Okabe and Ito 2008: told apart with any color vision; class 0 stays gray.
COLORS = np.array([(86, 180, 233), (230, 159, 0), (0, 158, 115), (204, 121, 167), (240, 228, 66), (213, 94, 0)])
MISSED, INVENTED, CONFUSED = np.array([0, 114, 178]), np.array([213, 94, 0]), np.array([204, 121, 167])
ERRORS = {"missed": MISSED, "invented": INVENTED, "confused": CONFUSED}  # kinds 1, 2 and 3 of ``errors``
TITLES = ("input", "truth", "prediction", "error: blue missed, orange invented, pink confused")
PERCENTILES = (0.5, 99.5)  # of an image, that become black and white
HEADER = 16  # pixels
LEAST = 128  # pixels: narrower cases are enlarged by a whole factor


def save_picture(path: Path, picture: np.ndarray) -> None:
    """Write a picture (H, W, 3) uint8 whole."""
    with replacing(path, sync=False) as part:
        Image.fromarray(picture).save(part)


def draw_case(image: np.ndarray, target: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Draw one case; of a volume its middle slice, the second axis (anterior, of axial slices) upwards.

    Args:
        image: (C, *S) in any scale; three channels are taken as RGB, else the first is shown.
        target: (*S) class indices, or (K, *S) overlapping regions, which are drawn one on top of the other; 255 = not
            labeled.
        probs: (K, *S) probabilities; a region is drawn where its own is above 0.5.

    Returns:
        (f H + 16, 4 f W + 6, 3) uint8, f = 1 unless W is small.
    """
    if probs.ndim == 4:
        middle = probs.shape[1] // 2
        image, target, probs = (a[..., middle, ::-1, :] for a in (image, target, probs))
    truth, pred, known = layers(target, probs)
    gray = grays(image)
    # Pixels that are wrong over a faint image.
    wrong = errors(truth, pred, known)
    error = (0.4 * gray.astype(np.float32) + 120).astype(np.uint8)
    for kind, color in enumerate(ERRORS.values(), start=1):
        error[wrong == kind] = color
    # Narrow cases are enlarged, then the panels stand side by side under their titles.
    factor = -(-LEAST // probs.shape[2])
    panels = [enlarged(panel, factor) for panel in (gray, tinted(gray, truth), tinted(gray, pred), error)]
    height, width = panels[0].shape[:2]
    sheet = np.full((height + HEADER, 4 * width + 6, 3), 255, np.uint8)
    for i, panel in enumerate(panels):
        left = i * (width + 2)
        sheet[HEADER:, left : left + width] = panel
        sheet[:HEADER, left : left + width] = title(TITLES[i], width)
    return sheet


def errors(truth: np.ndarray, pred: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Tell how pixels are wrong.

    Args:
        truth: (R, *S) bool, the pixels of each foreground class or region.
        pred: (R, *S) bool.
        known: (R, *S) or (1, *S) bool, the pixels that are labeled.

    Returns:
        (*S) uint8: 0 right, 1 any class or region was missed, 2 one was invented, 3 both.
    """
    missed, invented = (truth & ~pred & known).any(0), (pred & ~truth & known).any(0)
    return missed.astype(np.uint8) + np.uint8(2) * invented


def class_colors(count: int) -> list[tuple[int, int, int]]:
    """Color of each of so many foreground classes, or regions, wherever they are shown: red, green, blue, 0 to 255."""
    return [(int(red), int(green), int(blue)) for red, green, blue in np.resize(COLORS, (count, 3))]


def layers(target: np.ndarray, probs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth and prediction of each foreground class or region, and what is labeled: (R, H, W) bool.

    Args:
        target: (H, W) class indices, or (K, H, W) overlapping regions; 255 = not labeled.
        probs: (K, H, W) probabilities.
    """
    if target.ndim == probs.ndim:
        return target == 1, probs > 0.5, target != 255
    classes = np.arange(1, len(probs))[:, None, None]
    return target == classes, probs.argmax(0) == classes, target[None] != 255


def three_channels(image: np.ndarray, channel: int = 0) -> np.ndarray:
    """Take image (C, *S) as RGB if it has three channels, else show one of them: (3, *S)."""
    return image if len(image) == 3 else np.repeat(image[channel][None], 3, axis=0)


def to_uint8(image: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Scale image (3, H, W) between a lower and an upper bound, or those of each channel: (H, W, 3) uint8."""
    low, high = bounds
    scaled = np.clip((image - low) / np.maximum(high - low, 1e-6), 0, 1)
    return (np.moveaxis(scaled, 0, -1) * 255).astype(np.uint8)


def grays(image: np.ndarray) -> np.ndarray:
    """Scale each channel of image (C, H, W) between its percentiles: (H, W, 3) uint8."""
    shown = three_channels(image)
    return to_uint8(shown, np.percentile(shown, PERCENTILES, axis=(1, 2), keepdims=True))


def enlarged(picture: np.ndarray, factor: int) -> np.ndarray:
    """Repeat each pixel of (H, W, ...) along both axes."""
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def tinted(gray: np.ndarray, layers: np.ndarray) -> np.ndarray:
    """Color layers (R, H, W) bool over (H, W, 3) uint8; a later one covers an earlier one."""
    colored = gray.astype(np.float32)
    for i, here in enumerate(layers):
        colored[here] = 0.45 * gray[here] + 0.55 * COLORS[i % len(COLORS)]
    return colored.astype(np.uint8)


def title(text: str, width: int) -> np.ndarray:
    """Write the text, or what stands before its colon, where it fits: (16, width, 3) uint8."""
    strip = Image.new("RGB", (width, HEADER), "white")
    draw = ImageDraw.Draw(strip)
    fitting = next((t for t in (text, text.split(":")[0]) if draw.textlength(t) <= width), "")
    draw.text((2, 2), fitting, fill="black")
    return np.asarray(strip)
