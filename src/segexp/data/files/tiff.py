"""TIFF files: classic and big, strips and tiles, pages and stacks, of ImageJ, OME and scanners of slides.

Tifffile finds the images of a file and, with the codecs of imagecodecs, decodes them; what samples mean stands in
``segexp.data.files.conventions``. A file holds one image or one stack, or is refused; smaller copies of it (levels of a
pyramid, thumbnails, labels of a slide) are left out and named as such.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from segexp.data.case import Stored
from segexp.data.files import conventions, tiff_tags
from segexp.data.files.conventions import Pixels
from segexp.errors import some

MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MOST_PIXELS = 2**30  # of one page that is decoded
_COPIES = {"thumbnail", "label", "macro", "overview", "map"}  # series beside the image of a slide
# Samples of a pixel by PhotometricInterpretation, without extra ones.
_SAMPLES = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3, 9: 3}
_COLORS = {5: "CMYK", 6: "YCbCr", 8: "CIELAB", 9: "CIELAB"}
_JPEG = (6, 7, 34892, 33007)  # codecs that give RGB for YCbCr
_LOSSY = (*_JPEG, 33003, 33004, 33005, 34712)


def read_tiff(path: Path, indices: bool = False, mapped: bool = False) -> Pixels:
    """Read all pages of a TIFF.

    Args:
        path: Path to the file.
        indices: Whether to leave the indices of a palette.
        mapped: Whether to map an uncompressed file whose pixels are stored as they are shown, so that they are read
            where they are used; in the byte order of the file.

    Raises:
        ValueError: It holds several images, or some that cannot be shown.
        Exception: Whatever tifffile raises on damage.
    """
    with tiff_tags.opened(path) as file:
        series, left_out = _image_of(file)
        first = series[0].keyframe
        stored = _stored(first, left_out)
        if len(series) == 1 and (array := _mapped(path, series[0])) is not None:
            array = array if mapped else np.array(array)
            pixels = _shown(array, series[0].axes, first, stored, indices)
        else:
            pixels = _decoded(series, stored, indices)
    pixels.stored["axes"] = pixels.axes
    return pixels


def _decoded(series: Sequence[Any], stored: Stored, indices: bool) -> Pixels:
    """Pixels of all pages, each by its own tags."""
    pages = [page for one in series for page in one.pages]
    if len(pages) * series[0].keyframe.size != sum(one.size for one in series):  # one page stands for all
        return _shown(series[0].asarray(), series[0].axes, series[0].keyframe, stored, indices)
    pages = [page.aspage() for page in sorted(pages, key=lambda page: page.index)]
    return _joined([_page(page, pages[0], stored, indices) for page in pages], series)


def tiff_facts(path: Path) -> Stored:
    """Tell how a TIFF stores its pixels, from its tags alone."""
    with tiff_tags.opened(path) as file:
        series, left_out = _image_of(file)
        page = series[0].keyframe
        stored = _stored(page, left_out)
        leading = series[0].axes if len(series) == 1 else "I" + page.axes
        samples = "S" if _SAMPLES.get(tiff_tags.photometric(page), 1) > 1 else ""
        stored["axes"] = "".join(axis for axis in leading if axis not in "SYX") + "YX" + samples
    return stored


def _image_of(file: tifffile.TiffFile) -> tuple[list[Any], list[str]]:
    """Series that make up the one image or stack of a file, and words for what else it holds."""
    _require_alone(file)
    copies: list[Any] = []
    images: list[Any] = []
    for series in file.series:
        page = series.keyframe
        is_copy = page.is_reduced or page.is_mask or series.name.lower() in _COPIES
        (copies if is_copy and len(file.series) > 1 else images).append(series)
    images = images or [copies.pop(0)]
    kinds = {(one.keyframe.shape, one.keyframe.dtype) for one in images}
    nested = len(images) > 1 and any(
        isinstance(page, tifffile.TiffPage) and page.is_subifd for one in images for page in one.pages
    )
    if len(images) > 1 and (len(kinds) > 1 or nested or images[0].kind not in ("generic", "uniform")):
        names = [f"{one.name or 'image'} {'×'.join(map(str, one.shape))} ({one.axes})" for one in images]
        raise ValueError(f"its pages are not images of one size and type: there are {len(images)} kinds: {some(names)}")
    left_out = []
    smaller = sum(len(one.levels) - 1 for one in images)
    if smaller:
        left_out.append(f"{smaller} smaller {'copy' if smaller == 1 else 'copies'} (levels of a pyramid)")
    left_out += [f"{one.name or 'a copy or mask'} {'×'.join(map(str, one.shape))}" for one in copies]
    return images, left_out


def _require_alone(file: tifffile.TiffFile) -> None:
    """Refuse metadata that spread the image over several files, of which this one would be a part."""
    names = set(re.findall(r'FileName="([^"]+)"', file.ome_metadata or ""))
    if len(names) > 1:
        raise ValueError(f"its OME metadata spread the image over {len(names)} files, such as {some(sorted(names), 2)}")
    if file.is_ome and file.series and file.series[0].kind != "ome":
        raise ValueError("its OME metadata are damaged or those of another file")


def _stored(page: Any, left_out: Sequence[str]) -> Stored:
    photometric = tiff_tags.photometric(page)
    stored = Stored(format="TIFF", bits=tiff_tags.bits(page))
    if tiff_tags.orientation(page) > 1:
        stored["orientation"] = tiff_tags.orientation(page)
    if photometric == 0:
        stored["white_is_zero"] = True
    if photometric in _COLORS:
        stored["color"] = _COLORS[photometric]
    if photometric == 3 and page.colormap is not None:
        stored["palette"] = conventions.color_names(tiff_tags.palette(page))
    if page.compression in _LOSSY:
        stored["lossy"] = True
    if left_out:
        stored["left_out"] = list(left_out)
    return stored


def _mapped(path: Path, series: Any) -> np.ndarray | None:
    """Pixels that lie in the file one after the other as they are shown, as a view into it."""
    page = series.keyframe
    plain = page.is_memmappable and tiff_tags.photometric(page) in (1, 2) and series.dataoffset is not None
    if not plain:
        return None
    # Pages that nobody declared to be frames of one array may differ.
    loose = series.pages if series.kind in ("generic", "uniform") else ()
    if len({tiff_tags.orientation(page), *(tiff_tags.orientation(one.aspage(), page) for one in loose)}) > 1:
        return None
    dtype = page.dtype.newbyteorder(page.parent.byteorder)
    return np.memmap(path, dtype, "r", series.dataoffset, tuple(series.shape))


def _page(page: Any, first: Any, stored: Stored, indices: bool) -> Pixels:
    """One page of its own photometric interpretation, orientation (else that of the first page) and codec."""
    if page.imagewidth * page.imagelength * page.imagedepth > MOST_PIXELS and not page.is_contiguous:
        raise ValueError(
            f"{page.imagewidth} x {page.imagelength} pixels are more than {MOST_PIXELS} and may be a decompression "
            "bomb: such images are read from uncompressed TIFF files, tile by tile"
        )
    empty = sum(not count for count in page.databytecounts)
    if empty or not page.databytecounts:
        raise ValueError(f"{empty or 'all'} of its strips or tiles are not in the file")
    photometric = tiff_tags.photometric(page)
    if photometric == 6 and page.is_subsampled and page.compression not in _JPEG:
        raise ValueError("it holds subsampled YCbCr without JPEG")
    return _shown(page.asarray(), page.axes, page, stored, indices, tiff_tags.orientation(page, first))


def _joined(parts: Sequence[Pixels], series: Sequence[Any]) -> Pixels:
    """Pages put together along the axes of their series."""
    first = parts[0]
    if len({(part.array.shape, part.axes) for part in parts}) > 1:
        raise ValueError("its pages are not images of one size and type, once each is turned upright")
    if len({part.array.dtype for part in parts}) > 1:
        raise ValueError(f"its pages are of several types: {some({part.array.dtype for part in parts})}")
    if len(parts) == 1:
        return first
    inner = series[0].keyframe.axes
    leading = series[0].axes.removesuffix(inner) if len(series) == 1 else "I"
    sizes = series[0].shape[: len(leading)] if len(series) == 1 else (len(parts),)
    if int(np.prod(sizes)) != len(parts):  # axes that tifffile mixed with those of a page
        leading, sizes = "I", (len(parts),)
    array = np.stack([part.array for part in parts]).reshape(*sizes, *first.array.shape)
    return Pixels(array, leading + first.axes, first.stored)


def _shown(
    array: np.ndarray, axes: str, page: Any, stored: Stored, indices: bool, orientation: int | None = None
) -> Pixels:
    """Apply all conventions to samples with the tags of a page; pixels that need none stay a view."""
    array, axes = _samples_last(array, axes)
    photometric = tiff_tags.photometric(page)
    if photometric not in _SAMPLES:
        raise ValueError(f"its colors are stored as {tifffile.PHOTOMETRIC(photometric).name}, which is not supported")
    if array.dtype.kind not in "buif":
        raise ValueError(f"it holds {array.dtype} values, where real numbers are expected")
    if photometric == 3 and "S" in axes:
        raise ValueError("its palette has several indices per pixel")
    array, axes = _without_extra(array, axes, page, stored, indices)
    if not array.dtype.isnative and not isinstance(array, np.memmap):
        array = array.astype(array.dtype.newbyteorder("="))
    if photometric == 0:
        array = conventions.turned_round(array, tiff_tags.bits(page), tiff_tags.white(page))
    if photometric in (0, 1, 2):
        array = conventions.full_range(array, 8 if isinstance(page.bitspersample, tuple) else page.bitspersample)
    elif photometric == 3 and not indices:
        array, axes = conventions.looked_up(array, tiff_tags.palette(page)), axes + "S"
    elif photometric in _COLORS:
        array = _as_rgb(array, photometric, page)
    orientation = tiff_tags.orientation(page) if orientation is None else orientation
    return Pixels(conventions.upright(array, orientation, axes.index("Y")), axes, stored)


def _samples_last(array: np.ndarray, axes: str) -> tuple[np.ndarray, str]:
    if "S" not in axes:
        return array, axes
    return np.moveaxis(array, axes.index("S"), -1), axes.replace("S", "") + "S"


def _without_extra(array: np.ndarray, axes: str, page: Any, stored: Stored, is_mask: bool) -> tuple[np.ndarray, str]:
    """Drop alpha; make other samples beyond those of the color space channels (C)."""
    wanted, kinds = _SAMPLES[tiff_tags.photometric(page)], page.extrasamples
    samples = array.shape[-1] if "S" in axes else 1
    extra = samples - wanted
    if extra < 0:
        raise ValueError(f"it has {samples} samples per pixel where its color space has {wanted}")
    # A fourth sample of which nothing is said is alpha to viewers.
    if extra == 1 and (not kinds or kinds[0] in (1, 2)):
        stored["left_out"] = [*stored.get("left_out", []), "alpha"]
        if is_mask:
            conventions.require_drawn_in_color(array[..., :wanted], array[..., wanted])
        array = array[..., :wanted]
    elif extra:
        return np.moveaxis(array, -1, axes.index("Y")), axes[:-1].replace("YX", "CYX")
    if wanted == 1 and "S" in axes:
        return array[..., 0], axes[:-1]
    return array, axes


def _as_rgb(array: np.ndarray, photometric: int, page: Any) -> np.ndarray:
    if photometric == 6 and page.compression in _JPEG:
        return array
    if array.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"it holds {_COLORS[photometric]} as {array.dtype}, where uint8 or uint16 is expected")
    if photometric == 5:
        return conventions.rgb_from_cmyk(array)
    if photometric == 6:
        return conventions.rgb_from_ycbcr(array)
    return conventions.rgb_from_lab(np.ascontiguousarray(array), offset=photometric == 9)
