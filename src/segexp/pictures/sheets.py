"""Sheets of training patches before and after augmentation, with the outlines of their masks."""

from collections.abc import Sequence

import numpy as np

from segexp.pictures.figures import COLOURS, HEADER, title

UNLABELLED = np.array([120, 120, 120])
LEAST = 192  # pixels: smaller patches are enlarged by a whole factor
GAP = 2  # pixels


def draw_sheet(rows: Sequence[Sequence[tuple[np.ndarray, np.ndarray]]], titles: Sequence[str]) -> np.ndarray:
    """Draw rows of patches; of a volume the middle slice, the second axis upwards.

    Args:
        rows: Per patch its pairs (image, mask), one per title. Image (C, *S): three channels are taken as RGB, else the
            middle one is shown; all panels of a row share the gray scale of the first, so that changes of brightness
            show. Mask (*S): class indices, 255 = not labelled (gray outlines).
        titles: One per column.

    Returns:
        (H, W, 3) uint8.
    """
    drawn = [[_panel(*_plane(*pair), _scale(row[0][0])) for pair in row] for row in rows]
    height, width = drawn[0][0].shape[:2]
    sheet = np.full((HEADER + len(rows) * (height + GAP), len(titles) * (width + GAP), 3), 255, np.uint8)
    for column, text in enumerate(titles):
        left = column * (width + GAP)
        sheet[:HEADER, left : left + width] = title(text, width)
        for row, panels in enumerate(drawn):
            top = HEADER + row * (height + GAP)
            sheet[top : top + height, left : left + width] = panels[column]
    return sheet


def _plane(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pick what is shown: image (H, W, 3), mask (H, W)."""
    if mask.ndim == 3:
        middle = mask.shape[0] // 2
        image, mask = image[:, middle, ::-1], mask[middle, ::-1]
    shown = image if len(image) == 3 else np.repeat(image[len(image) // 2, None], 3, axis=0)
    return np.moveaxis(shown, 0, -1), mask


def _scale(image: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(image, (0.5, 99.5))
    return float(low), max(float(high - low), 1e-6)


def _panel(image: np.ndarray, mask: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    """Draw image (H, W, 3) with the inner outlines of the classes above 0 in their colours."""
    factor = -(-LEAST // min(mask.shape))
    image, mask = (np.repeat(np.repeat(a, factor, axis=0), factor, axis=1) for a in (image, mask))
    panel = (np.clip((image - scale[0]) / scale[1], 0, 1) * 255).astype(np.uint8)
    outline = _outline(mask)
    for label in np.unique(mask[outline]):
        colour = UNLABELLED if label == 255 else COLOURS[(label - 1) % len(COLOURS)]
        panel[outline & (mask == label)] = colour
    return panel


def _outline(mask: np.ndarray) -> np.ndarray:
    """Mark the pixels of classes above 0 that touch another class by an edge."""
    wide = np.pad(mask, 1, mode="edge")
    neighbours = wide[:-2, 1:-1], wide[2:, 1:-1], wide[1:-1, :-2], wide[1:-1, 2:]
    return (mask > 0) & np.any([mask != n for n in neighbours], axis=0)
