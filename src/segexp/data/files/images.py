"""Images, masks and stacks from PNG, JPEG, TIFF and BMP files, as arrays.

Pixels come as the file stores them: no rescaling, and a rotation noted in EXIF is not applied (masks have none).
Tifffile reads TIFF, Pillow the rest and the TIFFs that tifffile needs codecs for (LZW, JPEG); OpenCV takes what Pillow
would cut to 8 bits (16-bit color). Compressed files of more than 2^30 pixels are refused as decompression bombs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image, ImageFile, ImageSequence

from segexp.data.files.mask_values import whole_labels
from segexp.errors import naming, require_choice

TIFF_SUFFIXES = (".tif", ".tiff")
SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", *TIFF_SUFFIXES)
_FORMATS = ("BMP", "JPEG", "PNG", "TIFF")
_MOST_PIXELS = 2**30  # that Pillow decodes for us; OpenCV has the same limit
_REMEDY = "check that the file is complete and holds one gray or RGB image, or save it again as PNG or TIFF"
_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow and OpenCV weigh red, green and blue


def read_image(path: Path, channels: int) -> np.ndarray:
    """Read one image as gray or RGB.

    A palette is looked up, alpha is dropped, one bit becomes 0 and 255, gray is repeated into three channels, RGB
    becomes gray by the weights of ITU-R 601.

    Args:
        path: PNG, JPEG, TIFF (one page) or BMP.
        channels: 1 for gray, 3 for RGB.

    Returns:
        (C, H, W) in the dtype of the file: 16 bits stay uint16.

    Raises:
        ValueError: ``channels`` is neither 1 nor 3, or the file cannot be read.
    """
    require_choice("channels", channels, (1, 3))
    pixels = _decode(path, indices=False)
    if pixels.ndim == 2:
        return np.repeat(pixels[None], channels, axis=0)
    if channels == 3:
        return np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
    gray = pixels @ np.array(_LUMA)
    return (np.rint(gray) if pixels.dtype.kind in "ui" else gray).astype(pixels.dtype)[None]


def read_mask(path: Path) -> np.ndarray:
    """Read one mask as the integers in the file.

    Palette indices stay indices; one bit becomes 0 and 255, as viewers show it; three equal channels are taken as one.

    Args:
        path: PNG, JPEG, TIFF (one page) or BMP.

    Returns:
        (H, W) integers, not yet classes: see ``map_values``.

    Raises:
        ValueError: The file cannot be read, is in color, or holds fractions.
    """
    pixels = _decode(path, indices=True)
    if pixels.ndim == 3:
        if (pixels != pixels[..., :1]).any():
            raise ValueError(f"mask {path} is in color (red, green, blue differ): save class numbers in one channel")
        pixels = np.ascontiguousarray(pixels[..., 0])
    return whole_labels(pixels, path)


def read_stack(path: Path) -> np.ndarray:
    """Read all pages of a gray TIFF.

    Returns:
        (N, H, W) in the dtype of the file.

    Raises:
        ValueError: The file cannot be read, is in color, or its pages differ in size.
    """
    with naming(path, _REMEDY), tifffile.TiffFile(path) as file:
        if len(file.series) != 1 or "S" in file.series[0].axes:
            raise ValueError("its pages are not gray images of one size and type")
        if _needs_pillow(file.pages.first):
            with _opened(path) as image:
                return np.stack([np.array(page) for page in ImageSequence.Iterator(image)])
        pixels = file.asarray()
    return pixels.reshape(-1, *pixels.shape[-2:])


def page_count(path: Path) -> int:
    """Count the pages of a TIFF; an image in another format has one.

    Raises:
        ValueError: The file cannot be read.
    """
    if path.suffix.lower() not in TIFF_SUFFIXES:
        return 1
    with naming(path, _REMEDY), tifffile.TiffFile(path) as file:
        return len(file.pages)


def map_tiff(path: Path) -> np.ndarray | None:
    """Map the pixels of an uncompressed gray or RGB TIFF into memory, so that they are read where they are used.

    Returns:
        (N, H, W) of gray pages or (1, H, W, 3), in the dtype and byte order of the file; None where the pixels do not
        lie in the file as they are shown.

    Raises:
        ValueError: The file cannot be read.
    """
    shown = (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB)
    with naming(path, _REMEDY), tifffile.TiffFile(path) as file:
        page, series = file.pages.first, file.series[0]
        plain = len(file.series) == 1 and page.is_memmappable and page.photometric in shown
        color = page.photometric == tifffile.PHOTOMETRIC.RGB
        if not plain or series.dataoffset is None or page.shape[2:] != ((3,) if color else ()):
            return None
    return tifffile.memmap(path, mode="r").reshape(-1, *page.shape)


def require_same_size(image: np.ndarray, mask: np.ndarray, image_path: Path, mask_path: Path) -> None:
    """Refuse, by a ValueError, an image (C, H, W) and a mask (H, W) that do not cover each other."""
    if image.shape[1:] != mask.shape:
        raise ValueError(
            f"image {image_path} is {'×'.join(map(str, image.shape[1:]))} pixels high and wide, its mask {mask_path} "
            f"is {'×'.join(map(str, mask.shape))}: crop or resample one of them to the size of the other"
        )


def _decode(path: Path, indices: bool) -> np.ndarray:
    """Read one image: (H, W), or (H, W, 3) for color; ``indices`` leaves the indices of a palette."""
    with naming(path, _REMEDY):
        is_tiff = path.suffix.lower() in TIFF_SUFFIXES
        pixels = _decode_tiff(path, indices) if is_tiff else _decode_pillow(path, indices)
        if pixels.ndim not in (2, 3) or pixels.shape[2:] > (4,):
            raise ValueError(f"shape {pixels.shape} is neither gray nor RGB")
    if pixels.ndim == 3:
        pixels = pixels[..., :3] if pixels.shape[-1] > 2 else pixels[..., 0]
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _decode_tiff(path: Path, indices: bool) -> np.ndarray:
    with tifffile.TiffFile(path) as file:
        if len(file.pages) != 1:
            raise ValueError(f"it has {len(file.pages)} pages where one is expected")
        page = file.pages.first
        if _needs_pillow(page):
            return _decode_pillow(path, indices)
        pixels = np.moveaxis(page.asarray(), 0, -1) if page.axes == "SYX" else page.asarray()
        if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
            return np.invert(pixels)
        if page.colormap is not None and not indices:
            return (np.moveaxis(page.colormap[:, pixels], 0, -1) >> 8).astype(np.uint8)
        return pixels


def _needs_pillow(page: tifffile.TiffPage) -> bool:
    """Whether the page is compressed with what tifffile lacks, or in CMYK, YCbCr or CIELAB."""
    return page.compression not in tifffile.TIFF.DECOMPRESSORS or page.photometric > tifffile.PHOTOMETRIC.PALETTE


def _decode_pillow(path: Path, indices: bool) -> np.ndarray:
    with _opened(path) as image:
        wide = image.mode in ("RGB", "RGBA") and ";16" in str(image.tile)
        image.load()
        if wide:
            pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            if pixels is None:
                raise ValueError("OpenCV cannot decode its 16-bit colors")
            return pixels[..., 2::-1]  # blue, green, red
        if image.mode in ("P", "PA") and not indices:
            return np.array(image.convert("RGBA"))
        return np.array(image.convert("RGB") if image.mode in ("CMYK", "YCbCr", "LAB") else image)


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile.ImageFile]:
    """Open with a limit of our own: Pillow's is below the scan of a slide."""
    kept, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        image = Image.open(path, formats=_FORMATS)
    finally:
        Image.MAX_IMAGE_PIXELS = kept
    with image:
        if image.width * image.height > _MOST_PIXELS:
            raise ValueError(
                f"{image.width} x {image.height} pixels are more than {_MOST_PIXELS} and may be a decompression bomb: "
                "such images are read from uncompressed TIFF files, tile by tile"
            )
        yield image
