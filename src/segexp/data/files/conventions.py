"""What stored samples mean, in one place for all formats: turned, inverted, looked up and scaled as viewers show them.

- Orientation (TIFF's tag 274, EXIF) is undone: the first row is the upper one.
- WhiteIsZero is turned round, so that white is high: v becomes 2^bits - 1 - v; signed integers -1 - v; floats the white
  level - v, which is the file's SMaxSampleValue or else its largest value.
- One, two and four bits of gray become 0 … 255; from eight bits on, values stay as they are (12 bits: 0 … 4095).
- A palette is looked up in images; in masks, its indices are the values.
- CMYK, YCbCr and CIELAB become RGB; alpha is dropped, of masks only where it hides nothing.
"""

from dataclasses import dataclass, field

import numpy as np

from segexp.data.case import Stored

LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow and OpenCV weigh red, green and blue
_CR_TO_RED, _CB_TO_BLUE = 2 * (1 - LUMA[0]), 2 * (1 - LUMA[2])


@dataclass(frozen=True)
class Pixels:
    """Pixels as they are shown.

    Attributes:
        array: One axis per letter of ``axes``.
        axes: Any of T, Z, C and others, then Y, X and, of colors, S (red, green, blue).
        stored: How the file has them.
    """

    array: np.ndarray
    axes: str
    stored: Stored = field(default_factory=Stored)


def upright(array: np.ndarray, orientation: int, y: int) -> np.ndarray:
    """Undo an orientation, as a view.

    Args:
        array: Any shape; rows lie along axis ``y``, columns along the next one.
        orientation: 1 to 8, as TIFF and EXIF number them; others count as 1.
        y: Axis of the rows, from 0.
    """
    if orientation in (5, 6, 7, 8):  # the first stored row is shown as a column
        array = np.swapaxes(array, y, y + 1)
    if orientation in (3, 4, 7, 8):
        array = np.flip(array, y)
    if orientation in (2, 3, 6, 7):
        array = np.flip(array, y + 1)
    return array


def turned_round(array: np.ndarray, bits: int, white: float | None = None) -> np.ndarray:
    """Make white high where the file has it as 0.

    Args:
        array: Samples; of fewer bits than their type has, such as 12 in uint16.
        bits: Bits per sample.
        white: White level of floats; None = their largest finite value.
    """
    if array.dtype.kind == "f":
        if white is None:
            white = np.max(array, initial=-np.inf, where=np.isfinite(array))
        return array.dtype.type(white if np.isfinite(white) else 0) - array
    if array.dtype.kind == "u" and bits < 8 * array.dtype.itemsize:
        return array.dtype.type(2**bits - 1) - array
    return np.invert(array)


def full_range(array: np.ndarray, bits: int) -> np.ndarray:
    """Spread gray of fewer than eight bits over 0 … 255; anything else stays."""
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype != np.uint8 or bits >= 8:
        return array
    shades = np.rint(np.arange(2**bits) * 255 / (2**bits - 1)).astype(np.uint8)
    return shades[array]


def require_drawn_in_color(colors: np.ndarray, alpha: np.ndarray) -> None:
    """Refuse a mask whose alpha says something else than its colors: what is transparent must be 0, not all the rest.

    Args:
        colors: (H, W, S).
        alpha: (H, W).

    Raises:
        ValueError: Pixels that are transparent have a color, or alpha alone differs from place to place.
    """
    opaque = 1 if alpha.dtype.kind in "bf" else np.iinfo(alpha.dtype).max
    hidden = alpha < opaque
    if not hidden.any():
        return
    is_flat = (colors == colors[0, 0]).all()
    if colors[hidden].any() or (is_flat and not hidden.all()):
        raise ValueError(
            f"it is transparent in parts (alpha from {alpha.min()} to {alpha.max()}), so that the mask may be in its "
            "colors or in alpha: flatten it to one channel"
        )


def looked_up(indices: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Colors (..., 3) uint8 of indices (...) by a palette (n, 3).

    Raises:
        ValueError: An index is beyond the palette.
    """
    if indices.size and indices.max() >= len(palette):
        raise ValueError(f"it has the index {indices.max()} in a palette of {len(palette)} colors")
    return palette[indices]


def color_names(palette: np.ndarray) -> list[str]:
    """Names such as "#ff0000" of the colors (n, 3) uint8 of a palette, without what only fills it up at its end."""
    names = ["#" + bytes(color).hex() for color in palette.astype(np.uint8)]
    while len(names) > 1 and names[-1] == names[-2]:
        names.pop()
    return names


def rgb_from_cmyk(array: np.ndarray) -> np.ndarray:
    """(..., 4) to (..., 3) of the same unsigned type, without a profile: (1 - ink) * (1 - black)."""
    white = np.iinfo(array.dtype).max
    light = (white - array).astype(np.float64)
    return np.rint(light[..., :3] * light[..., 3:] / white).astype(array.dtype)


def rgb_from_ycbcr(array: np.ndarray) -> np.ndarray:
    """(..., 3) of full-range ITU-R 601 to (..., 3) of the same unsigned type."""
    white = np.iinfo(array.dtype).max
    luma, blue, red = np.moveaxis(array.astype(np.float64), -1, 0)
    blue, red = blue - (white + 1) / 2, red - (white + 1) / 2
    reds = luma + _CR_TO_RED * red
    blues = luma + _CB_TO_BLUE * blue
    greens = (luma - LUMA[0] * reds - LUMA[2] * blues) / LUMA[1]
    return np.rint(np.clip(np.stack([reds, greens, blues], axis=-1), 0, white)).astype(array.dtype)


def rgb_from_lab(array: np.ndarray, offset: bool) -> np.ndarray:
    """CIELAB of TIFF, (..., W, 3) uint8 or uint16, to (..., W, 3) uint8 of sRGB, by the profiles of Little CMS.

    Args:
        array: L from 0 to the largest value; a and b as two's complement, in steps of 1 (8 bits) or 1/256 (16 bits).
        offset: Whether a and b are stored with 128 added instead (ICC's form).
    """
    from PIL import Image, ImageCms

    samples = array if array.dtype == np.uint8 else (array >> 8).astype(np.uint8)
    if offset:
        samples = samples ^ np.array([0, 128, 128], dtype=np.uint8)
    rows = samples.reshape(-1, *samples.shape[-2:])
    image = Image.frombytes("LAB", rows.shape[1::-1], rows.tobytes())
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    shown = ImageCms.applyTransform(image, ImageCms.buildTransform(lab, srgb, "LAB", "RGB"))
    return np.array(shown).reshape(samples.shape)


def luma(array: np.ndarray) -> np.ndarray:
    """Gray of colors (..., 3), in their type."""
    gray = array @ np.array(LUMA)
    return (np.rint(gray) if array.dtype.kind in "ui" else gray).astype(array.dtype)
