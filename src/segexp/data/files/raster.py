"""PNG, JPEG, JPEG 2000, GIF, WebP, BMP and PGM, PPM, PBM files: one image each, decoded by Pillow.

Imagecodecs decodes what Pillow would cut to 8 bits or scale: color of 16 bits in PNG, and JPEG 2000. Checksums are
checked where the format has them, which is PNG alone.
"""

import io
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from segexp.data.case import Stored
from segexp.data.files import conventions
from segexp.data.files.conventions import Pixels

SUFFIXES = (".bmp", ".gif", ".j2k", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".webp")
_FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "WEBP")
_MOST_PIXELS = 2**30  # that Pillow decodes for us
_ORIENTATION = 274  # in EXIF
_GRAY_BY_PALETTE = ("GIF", "BMP")  # formats that have gray only as a palette
_GAP = rb"(?:\s|#[^\n]*\n)+"  # between the words of a header of PGM
_STRANGERS = {
    b"version https://git-lfs": "it is a pointer of Git LFS, in place of the file: run git lfs pull",
    b"<!doctype": "it is a web page, perhaps of a download that asked to log in",
    b"<html": "it is a web page, perhaps of a download that asked to log in",
    b"\x1f\x8b": "it is compressed with gzip: a volume such as .nii.gz is no flat image, and others must be unpacked",
}
_ALPHA = ("LA", "PA", "RGBA", "RGBa", "La")


def read_raster(path: Path, indices: bool = False) -> Pixels:
    """Read the one image of a file.

    Args:
        path: Path to the file.
        indices: Whether to leave the indices of a palette.

    Raises:
        ValueError: It holds several images, is damaged, or too large.
        Exception: Whatever Pillow raises on damage.
    """
    data = path.read_bytes()
    if data.startswith(b"\x89PNG"):
        _require_checksums(data)
    with _opened(data) as image:
        stored = _stored(image, data)
        image.load()  # now EXIF behind the pixels is known too
        _note_orientation(image, stored)
        pixels, axes = _samples(image, data, stored, indices)
    stored["axes"] = axes
    shown = conventions.upright(pixels, stored.get("orientation", 1), 0)
    return Pixels(shown, axes, stored)


def raster_facts(path: Path) -> Stored:
    """Tell how a file stores its pixels, without decoding them where the format allows."""
    data = path.read_bytes()
    with _opened(data) as image:
        stored = _stored(image, data)
        _note_orientation(image, stored)
        gray = image.mode in ("1", "L", "LA", "La", "F", "P", "PA") or image.mode.startswith("I")
        stored["axes"] = "YX" if gray else "YXS"
    return stored


@contextmanager
def _opened(data: bytes) -> Iterator[ImageFile.ImageFile]:
    """Open with a limit of our own: Pillow's is below the scan of a slide."""
    kept, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError:
        raise ValueError(_what_it_is(data)) from None
    finally:
        Image.MAX_IMAGE_PIXELS = kept
    with image:
        if image.width * image.height > _MOST_PIXELS:
            raise ValueError(
                f"{image.width} x {image.height} pixels are more than {_MOST_PIXELS} and may be a decompression bomb: "
                "such images are read from uncompressed TIFF files, tile by tile"
            )
        yield image


def _what_it_is(data: bytes) -> str:
    """Say what a file is that is no image, as far as its first bytes tell."""
    if not data:
        return "it is empty"
    if data[128:132] == b"DICM":
        return "it is DICOM: put the files of a series into a folder of their own"
    known = next((words for start, words in _STRANGERS.items() if data.lstrip().lower().startswith(start)), None)
    kinds = ", ".join(("TIFF", "NumPy", *_FORMATS))
    return known or f"it is none of {kinds}, or a kind of these that is not supported, such as JPEG of 12 bits"


def _stored(image: ImageFile.ImageFile, data: bytes) -> Stored:
    frames = getattr(image, "n_frames", 1)
    # Behind a JPEG, cameras put previews and maps of depth (MPO); the first image is the photograph.
    if frames > 1 and image.format != "MPO":
        raise ValueError(f"it has {frames} frames where one is expected")
    name = {"MPO": "JPEG", "PPM": "PNM"}.get(str(image.format), str(image.format))
    stored = Stored(format=name, bits=_bits(image, data))
    left_out = [f"{frames - 1} more images behind the photograph"] if frames > 1 else []
    if image.mode in _ALPHA or "transparency" in image.info:
        left_out.append("alpha")
    if left_out:
        stored["left_out"] = left_out
    if image.mode == "CMYK":
        stored["color"] = "CMYK"
    if name == "JPEG":
        stored["lossy"] = True
    palette = _palette(image)
    if palette is not None:
        stored["palette"] = conventions.color_names(palette)
    return stored


def _bits(image: ImageFile.ImageFile, data: bytes) -> int:
    if image.format == "PNG":
        return data[24]
    if image.format == "PPM":
        return _portable_header(data)[1].bit_length()
    if image.format == "JPEG2000":
        start = data.index(b"\xff\x4f\xff\x51")  # its marker of sizes; the depth of the first component stands in it
        return (data[start + 42] & 127) + 1
    return 1 if image.mode == "1" else 8


def _palette(image: ImageFile.ImageFile) -> np.ndarray | None:
    """Colors (n, 3) uint8, in the order of the indices."""
    if image.mode not in ("P", "PA"):
        return None
    return np.array(image.getpalette(), dtype=np.uint8).reshape(-1, 3)


def _note_orientation(image: ImageFile.ImageFile, stored: Stored) -> None:
    number = image.getexif().get(_ORIENTATION, 1)
    if number in range(2, 9):
        stored["orientation"] = number


def _samples(image: ImageFile.ImageFile, data: bytes, stored: Stored, indices: bool) -> tuple[np.ndarray, str]:
    """Pixels (H, W) or (H, W, 3), and their axes."""
    palette = _palette(image)
    if palette is not None:
        numbers = np.array(image)
        if numbers.ndim == 3:
            numbers = _without_alpha(numbers, 1, indices)[..., 0]
        is_gray = image.format in _GRAY_BY_PALETTE and not np.ptp(palette, axis=1).any()
        if is_gray:
            return conventions.looked_up(numbers, palette)[..., 0], "YX"
        return (numbers, "YX") if indices else (conventions.looked_up(numbers, palette), "YXS")
    pixels = _decoded(image, data, stored)
    pixels = conventions.full_range(pixels, stored["bits"] if stored["format"] == "JPEG2000" else 8)
    if pixels.ndim == 2:
        return pixels, "YX"
    if pixels.shape[-1] in (1, 2):
        return _without_alpha(pixels, 1, indices)[..., 0], "YX"
    return _without_alpha(pixels, 3, indices), "YXS"


def _without_alpha(pixels: np.ndarray, wanted: int, is_mask: bool) -> np.ndarray:
    """Samples (H, W, wanted) of (H, W, wanted) or (H, W, wanted + 1)."""
    if is_mask and pixels.shape[-1] > wanted:
        conventions.require_drawn_in_color(pixels[..., :wanted], pixels[..., wanted])
    return pixels[..., :wanted]


def _decoded(image: ImageFile.ImageFile, data: bytes, stored: Stored) -> np.ndarray:
    if stored["format"] == "JPEG2000":
        import imagecodecs

        return np.asarray(imagecodecs.jpeg2k_decode(data))
    if stored["format"] == "PNG" and stored["bits"] == 16 and image.mode not in ("I;16", "I;16B", "I"):
        import imagecodecs

        return np.asarray(imagecodecs.png_decode(data))
    if stored["format"] == "PNM":
        return _portable(image, data)
    return np.array(image.convert("RGB") if image.mode in ("CMYK", "YCbCr", "LAB") else image)


def _portable(image: ImageFile.ImageFile, data: bytes) -> np.ndarray:
    """PBM, PGM or PPM, whose values above 255 Pillow would scale or cut."""
    offset, most = _portable_header(data)
    bands = 3 if data[1:2] in b"36" else 1
    count = image.width * image.height * bands
    is_text = data[1:2] in b"123"
    size = image.height * -(-image.width // 8) if data[1:2] == b"4" else count * (1 + (most > 255))
    if not is_text and data[offset + size :].strip():
        raise ValueError("data follow its image, such as a second one")
    if most < 256:
        return np.array(image)
    if is_text:
        words = re.sub(rb"#[^\n]*", b"", data[offset:]).split()
        if len(words) != count:
            raise ValueError(f"it holds {len(words)} values where {count} are expected")
        values = np.array(words, dtype=np.int64)
    else:
        values = np.frombuffer(data, ">u2", count, offset)
    if values.max() > most:
        raise ValueError(f"it holds {values.max()}, above the largest value {most} of its header")
    shape = (image.height, image.width) + ((bands,) if bands == 3 else ())
    return values.astype(np.uint16).reshape(shape)


def _portable_header(data: bytes) -> tuple[int, int]:
    """Offset of the pixels of a PBM, PGM or PPM, and their largest value."""
    is_bitmap = data[1:2] in b"14"
    header = re.match(rb"P[1-6]" + (_GAP + rb"(\d+)") * (2 if is_bitmap else 3) + rb"\s", data)
    if header is None:
        raise ValueError("its header is damaged")
    return header.end(), 1 if is_bitmap else int(header[3])


def _require_checksums(data: bytes) -> None:
    """Check the CRC of every chunk of a PNG, which Pillow leaves out for the pixels."""
    place = 8
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 8 + length
        if end + 4 > len(data):
            raise ValueError(f"its chunk {kind!r} ends behind the file")
        if zlib.crc32(data[place + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise ValueError(f"the checksum of its chunk {kind!r} is wrong: the file is damaged")
        if kind == b"IEND":
            return
        place = end + 4
    raise ValueError("its last chunk is missing")
