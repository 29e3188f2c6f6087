"""Images, masks and stacks from the files that are no volumes, as arrays.

The content of a file, not its suffix, says how it is read: ``tiff`` for TIFF, ``raster`` for PNG, JPEG and their kin,
``arrays`` for NumPy. What the samples mean is one set of rules for all, see ``conventions``.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from segexp.data.case import FileFacts, Stored
from segexp.data.files import arrays, raster, tiff
from segexp.data.files.conventions import Pixels, luma
from segexp.data.files.mask_values import file_facts, whole_labels
from segexp.errors import naming, require_choice

TIFF_SUFFIXES = (".tif", ".tiff")
SUFFIXES = tuple(sorted((*raster.SUFFIXES, *arrays.SUFFIXES, *TIFF_SUFFIXES)))
_REMEDY = "check that the file is complete and holds one gray or RGB image, or save it again as PNG or TIFF"


def read_image(path: Path, channels: int) -> np.ndarray:
    """Read one image as gray, RGB, or the channels that a file names as such.

    A palette is looked up, alpha is dropped, one bit becomes 0 and 255, gray is repeated into three channels, RGB
    becomes gray by the weights of ITU-R 601; see ``segexp.data.files.conventions`` for all rules.

    Args:
        path: File with one of ``SUFFIXES``.
        channels: 1 for gray, 3 for RGB; any number of a TIFF with channels.

    Returns:
        (C, H, W) in the dtype of the file: 16 bits stay uint16.

    Raises:
        ValueError: The file cannot be read, holds several images, or has not ``channels``.
    """
    if path.suffix.lower() not in TIFF_SUFFIXES:
        require_choice("channels", channels, (1, 3))
    with naming(path, _REMEDY):
        pixels = _decode(path)
        others = _others(pixels)
        if others:
            raise ValueError(_too_many(pixels, others))
        image = _channels_first(pixels, channels, pages=False)
    return np.ascontiguousarray(image, dtype=image.dtype.newbyteorder("="))


def read_pages(path: Path, channels: int, mapped: bool = False) -> np.ndarray:
    """Read one image, or all pages of a stack, as gray, RGB, or the channels that the file names as such.

    Args:
        path: File with one of ``SUFFIXES``.
        channels: 1 for gray, 3 for RGB; any number of a TIFF with channels.
        mapped: Whether pixels that lie in an uncompressed file as they are shown stay there until they are used; the
            array is then a view in any order of bytes.

    Returns:
        (C, H, W) of one image, (C, N, H, W) of a stack, in the dtype of the file.

    Raises:
        ValueError: The file cannot be read, has not ``channels``, or has more axes than these.
    """
    with naming(path, _REMEDY):
        return _channels_first(_decode(path, mapped=mapped), channels, pages=True)


def read_mask(path: Path) -> np.ndarray:
    """Read one mask as the integers in the file.

    Palette indices stay indices (of GIF and BMP, which know no other gray, a gray palette is looked up); one bit
    becomes 0 and 255, as viewers show it; three equal channels are taken as one.

    Args:
        path: File with one of ``SUFFIXES``.

    Returns:
        (H, W) integers, not yet classes: see ``map_values``.

    Raises:
        ValueError: The file cannot be read, holds several images, is in color, or holds fractions.
    """
    with naming(path, _REMEDY):
        pixels = _decode(path, indices=True)
        others = _others(pixels)
        if others:
            raise ValueError(_too_many(pixels, others))
    return _numbers(pixels, path)


def read_stack(path: Path) -> np.ndarray:
    """Read all pages of a gray file.

    Returns:
        (N, H, W) in the dtype of the file.

    Raises:
        ValueError: The file cannot be read, is in color, or its pages differ in size.
    """
    with naming(path, _REMEDY):
        pixels = _decode(path)
        if "S" in pixels.axes or len(pixels.axes) > 3:
            raise ValueError(f"its pages are not gray images of one size and type, but {_sizes(pixels)}")
    return np.ascontiguousarray(pixels.array.reshape(-1, *pixels.array.shape[-2:]))


def channels_of(path: Path) -> int:
    """Number of channels that an image has: 1 gray, also where red, green and blue are equal, 3 RGB, else as named.

    Raises:
        ValueError: The file cannot be read, or holds several images.
    """
    with naming(path, _REMEDY):
        pixels = _decode(path)
        others = _others(pixels)
        if others:
            raise ValueError(_too_many(pixels, others))
    if "C" in pixels.axes:
        return int(pixels.array.shape[pixels.axes.index("C")])
    return 3 if "S" in pixels.axes and (pixels.array != pixels.array[..., :1]).any() else 1


def stored_facts(path: Path) -> Stored:
    """Tell how a file stores its pixels, from its header.

    Raises:
        ValueError: The file cannot be read.
    """
    with naming(path, _REMEDY):
        kind = _kind(path)
        if kind is arrays:
            return arrays.read_array(path, mapped=True).stored
        return tiff.tiff_facts(path) if kind is tiff else raster.raster_facts(path)


def pair_facts(image: np.ndarray, mask: np.ndarray | None, image_path: Path, mask_path: Path | None) -> FileFacts:
    """What the audit wants to know of an image and its mask: ``file_facts``, and how their files store them."""
    facts = file_facts(image, mask)
    facts["image_stored"] = stored_facts(image_path)
    if mask_path is not None:
        facts["mask_stored"] = stored_facts(mask_path)
    return facts


def require_same_size(image: np.ndarray, mask: np.ndarray, image_path: Path, mask_path: Path) -> None:
    """Refuse, by a ValueError, an image (C, H, W) and a mask (H, W) that do not cover each other."""
    if image.shape[1:] != mask.shape:
        raise ValueError(
            f"image {image_path} is {'×'.join(map(str, image.shape[1:]))} pixels high and wide, its mask {mask_path} "
            f"is {'×'.join(map(str, mask.shape))}: crop or resample one of them to the size of the other"
        )


def _kind(path: Path) -> object:
    """Module that reads a file, by its first bytes."""
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(tiff.MAGICS) or (path.suffix.lower() in TIFF_SUFFIXES and not start):
        return tiff
    return arrays if start.startswith(arrays.MAGICS) else raster


def _decode(path: Path, indices: bool = False, mapped: bool = False) -> Pixels:
    """Read whatever a file holds; ``indices`` leaves those of a palette."""
    kind = _kind(path)
    if kind is tiff:
        pixels = tiff.read_tiff(path, indices, mapped)
    elif kind is arrays:
        pixels = arrays.read_array(path, mapped)
    else:
        pixels = raster.read_raster(path, indices)
    if not pixels.array.size:
        raise ValueError(f"it has no pixels ({_sizes(pixels)})")
    if "S" in pixels.axes:  # of images in color, channels are pages that nobody named
        return replace(pixels, axes=pixels.axes.replace("C", "I"))
    return pixels


def _others(pixels: Pixels) -> str:
    """Axes beyond those of one image with channels."""
    return "".join(axis for axis in pixels.axes if axis not in "YXSC")


def _sizes(pixels: Pixels) -> str:
    return f"axes {pixels.axes} of {'×'.join(map(str, pixels.array.shape))}"


def _too_many(pixels: Pixels, others: str) -> str:
    """Say what a file has beyond one image."""
    pages = pixels.array.shape[pixels.axes.index(others[0])]
    if len(others) == 1 and others in "IQ":
        return f"it has {pages} pages where one is expected"
    names = {"Z": "a stack in depth", "T": "a series in time"}
    return f"it has {_sizes(pixels)}, {names.get(others, 'a hyperstack')}, where one image is expected"


def _channels_first(pixels: Pixels, channels: int, pages: bool) -> np.ndarray:
    """(C, H, W), or where ``pages`` are wanted (C, N, H, W) of a stack, with as many channels as are wanted."""
    others, array = _others(pixels), pixels.array
    if len(others) > 1:
        raise ValueError(f"it has {_sizes(pixels)}: save one axis beside channels, rows and columns")
    if "C" in pixels.axes:
        array = np.moveaxis(array, pixels.axes.index("C"), 0)
        if len(array) == channels:
            return array
        # Writers call pages channels where nobody told them what they are.
        if not (pages and channels == 1 and pixels.axes == "CYX"):
            wanted = f"{channels} are" if channels > 1 else "1 is"
            raise ValueError(f"it has {len(array)} channels ({_sizes(pixels)}) where {wanted} expected")
        return array[None]
    if channels not in (1, 3):
        raise ValueError(f"it has no channels ({_sizes(pixels)}), where {channels} are expected")
    if "S" not in pixels.axes:
        return np.broadcast_to(array, (channels, *array.shape))
    return np.moveaxis(array, -1, 0) if channels == 3 else luma(array)[None]


def _numbers(pixels: Pixels, path: Path) -> np.ndarray:
    """Integers of a mask (H, W)."""
    array = pixels.array
    if "C" in pixels.axes:
        raise ValueError(f"mask {path} has channels ({_sizes(pixels)}): save class numbers in one")
    if "S" in pixels.axes:
        if (array != array[..., :1]).any():
            raise ValueError(f"mask {path} is in color (red, green, blue differ): save class numbers in one channel")
        array = array[..., 0]
    return np.ascontiguousarray(whole_labels(array, path))
