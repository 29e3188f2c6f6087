"""Contact sheets: of pictures below one another, and of training patches with the outlines of their masks."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps
from skimage.segmentation import find_boundaries

from segexp.pictures.figures import COLORS, HEADER, PERCENTILES, enlarged, three_channels, title, to_uint8

UNLABELED = np.array([120, 120, 120])
LEAST = 192  # pixels: smaller patches are enlarged by a whole factor
GAP = 2  # pixels
MOST_WIDTH = 1600  # pixels of a picture on a sheet; wider ones are made smaller there
SPACE = 6  # pixels between pictures


def sheet(strips: Sequence[tuple[str, np.ndarray]]) -> np.ndarray:
    """Put pictures (H, W, 3) of any sizes below one another, each under its text: (H', W', 3) uint8."""
    parts = []
    for text, picture in strips:
        narrowed = ImageOps.contain(Image.fromarray(picture), (MOST_WIDTH, len(picture)), Image.Resampling.BOX)
        parts.append((text, np.asarray(narrowed)))
    width = max(picture.shape[1] for _, picture in parts)
    rows = []
    for text, picture in parts:
        wide = np.full((len(picture) + SPACE, width, 3), 255, np.uint8)
        wide[: len(picture), : picture.shape[1]] = picture
        rows += [title(text, width), wide]
    return np.concatenate(rows)


def draw_sheet(rows: Sequence[Sequence[tuple[np.ndarray, np.ndarray]]], titles: Sequence[str]) -> np.ndarray:
    """Draw rows of patches; of a volume the middle slice, the second axis upwards.

    Args:
        rows: Per patch its pairs (image, mask), one per title. Image (C, *S): three channels are taken as RGB, else the
            middle one is shown; all panels of a row share the gray scale of the first, so that changes of brightness
            show. Mask (*S): class indices, 255 = not labeled (gray outlines).
        titles: One per column.

    Returns:
        (H, W, 3) uint8.
    """
    drawn = [[_panel(*_plane(*pair), np.percentile(row[0][0], PERCENTILES)) for pair in row] for row in rows]
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
    """Pick what is shown: image (3, H, W), mask (H, W)."""
    if mask.ndim == 3:
        middle = mask.shape[0] // 2
        image, mask = image[:, middle, ::-1], mask[middle, ::-1]
    return three_channels(image, len(image) // 2), mask


def _panel(image: np.ndarray, mask: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Draw image (3, H, W) with the inner outlines of the classes above 0 in their colors."""
    factor = -(-LEAST // min(mask.shape))
    panel = enlarged(to_uint8(image, bounds), factor)
    mask = enlarged(mask, factor)
    outline = find_boundaries(mask, mode="inner", background=0)
    for label in np.unique(mask[outline]):
        color = UNLABELED if label == 255 else COLORS[(label - 1) % len(COLORS)]
        panel[outline & (mask == label)] = color
    return panel
