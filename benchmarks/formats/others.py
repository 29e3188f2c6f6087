"""Files of every property in the formats beside TIFF, written by Pillow, imagecodecs, OpenCV and by hand."""

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
from PIL import Image

from benchmarks.formats.tiff import GRAY, INVERSE, RGB, WIDE, Property, smooth

Writer = Callable[[np.ndarray], bytes]
FORMATS = {
    "PNG": ".png",
    "JPEG": ".jpg",
    "JPEG 2000": ".jp2",
    "GIF": ".gif",
    "WebP": ".webp",
    "BMP": ".bmp",
    "PNM": ".pnm",
    "NumPy": ".npy",
    "NumPy, zip": ".npz",
}
TOLERANCE = {"JPEG": 12}
COLORS = smooth(65535, "uint16", 32, 48, 3)
PALETTE = np.array([[0, 0, 0], [200, 0, 0], [0, 99, 250], [255, 255, 0]], dtype=np.uint8)


def properties() -> dict[str, Property]:
    """All properties by their names; ``stored`` is what writers are given."""
    few = smooth(3, "uint8", 32, 48)
    twelve, half = smooth(4095, "uint16", 32, 48), smooth(15, "uint8", 32, 48)
    alpha = GRAY[..., None]
    turned = np.ascontiguousarray(INVERSE[6](RGB))
    signed, real = smooth(200, "int16", 32, 48) - np.int16(100), smooth(1, "float32", 32, 48)
    return {
        "1 bit": Property(np.where(GRAY > 99, 255, 0).astype(np.uint8), GRAY > 99),
        "4 bits": Property(half * np.uint8(17), half),
        "8 bits": Property(GRAY, GRAY),
        "12 bits": Property(twelve, twelve),
        "16 bits": Property(WIDE, WIDE),
        "int16": Property(signed, signed),
        "float32": Property(real, real),
        "RGB": Property(RGB, RGB),
        "RGB, 16 bits": Property(COLORS, COLORS),
        "alpha": Property(RGB, np.concatenate([RGB, alpha], -1)),
        "alpha, 16 bits": Property(COLORS, np.concatenate([COLORS, WIDE[..., None]], -1)),
        "gray with alpha": Property(GRAY, np.dstack([GRAY, GRAY[::-1]])),
        "palette": Property(PALETTE[few], few),
        "gray palette": Property(np.uint8([0, 90, 7, 255])[few], few),
        "CMYK": Property(RGB, np.concatenate([255 - RGB, 0 * alpha], -1)),
        "orientation 6": Property(RGB, turned),
        "several images": Property(GRAY, np.stack([GRAY, GRAY[::-1]])),
    }


def pillow(kind: str, mode: str | None = None, **options: Any) -> Writer:
    def write(stored: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        image = (
            Image.fromarray(stored) if mode is None else Image.frombytes(mode, stored.shape[1::-1], stored.tobytes())
        )
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    return write


def indexed(kind: str, palette: np.ndarray) -> Writer:
    def write(stored: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        image = Image.frombytes("P", stored.shape[1::-1], stored.tobytes())
        image.putpalette(palette.tobytes())
        image.save(buffer, kind, optimize=False)
        return buffer.getvalue()

    return write


def frames(kind: str) -> Writer:
    def write(stored: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        first, *others = [Image.fromarray(frame) for frame in stored]
        first.save(buffer, kind, save_all=True, append_images=others)
        return buffer.getvalue()

    return write


def turned(kind: str, **options: Any) -> Writer:
    exif = Image.Exif()
    exif[274] = 6
    return pillow(kind, exif=exif, **options)


def opencv(suffix: str) -> Writer:
    def write(stored: np.ndarray) -> bytes:
        done, data = cv2.imencode(suffix, stored[..., [2, 1, 0, 3][: stored.shape[-1]]] if stored.ndim == 3 else stored)
        assert done
        return data.tobytes()

    return write


def png_by_hand(bits: int) -> Writer:
    """A gray PNG by the letter of its specification."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def write(stored: np.ndarray) -> bytes:
        header = struct.pack(">IIBBBBB", stored.shape[1], stored.shape[0], bits, 0, 0, 0, 0)
        rows = b"".join(b"\0" + row.tobytes() for row in _packed(stored, bits))
        data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
        return b"\x89PNG\r\n\x1a\n" + data

    return write


def _packed(stored: np.ndarray, bits: int) -> np.ndarray:
    """Rows of packed values of 1, 2 or 4 bits."""
    separate = (stored[..., None] >> np.arange(bits)[::-1]) & 1
    return np.packbits(separate.reshape(len(stored), -1).astype(np.uint8), axis=1)


def portable(kind: int, most: int = 0) -> Writer:
    """PBM, PGM or PPM by hand; 1 to 3 as text."""

    def write(stored: np.ndarray) -> bytes:
        header = (
            f"P{kind} # written by hand\n{stored.shape[1]} {stored.shape[0]}\n{most or ''}".rstrip("\n").encode()
            + b"\n"
        )
        if kind == 4:
            return header + np.packbits(~stored.astype(bool), axis=1).tobytes()
        if kind < 4:
            values = (~stored).astype(int) if kind == 1 else stored
            return header + " ".join(map(str, values.ravel())).encode()
        return header + stored.astype(">u2" if most > 255 else "u1").tobytes()

    return write


def numpy_file(stored: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, stored)
    return buffer.getvalue()


def numpy_fortran(stored: np.ndarray) -> bytes:
    return numpy_file(np.asfortranarray(stored.astype(stored.dtype.newbyteorder(">"))))


def numpy_zip(stored: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, stored) if stored.ndim < 3 or stored.shape[-1] < 5 else np.savez(buffer, *stored)
    return buffer.getvalue()


def jpeg_2000(stored: np.ndarray, bits: int | None = None) -> bytes:
    return imagecodecs.jpeg2k_encode(stored, level=0, reversible=True, codecformat="jp2", bitspersample=bits)


def jpeg(stored: np.ndarray, bits: int | None = None) -> bytes:
    return imagecodecs.jpeg_encode(stored, level=98, bitspersample=bits)


@cache
def writers() -> dict[tuple[str, str], list[Writer]]:
    """Writers by property and format; what no writer here can do is missing."""
    plain = ("8 bits", "RGB")
    found: dict[tuple[str, str], list[Writer]] = {}
    for name in plain:
        found[name, "PNG"] = [pillow("PNG"), opencv(".png"), imagecodecs.png_encode]
        found[name, "JPEG"] = [
            pillow("JPEG", quality=98),
            opencv(".jpg"),
            lambda a: imagecodecs.jpeg_encode(a, level=98),
        ]
        found[name, "JPEG 2000"] = [pillow("JPEG2000"), jpeg_2000]
        found[name, "BMP"] = [pillow("BMP"), opencv(".bmp")]
        found[name, "PNM"] = [
            pillow("PPM"),
            opencv(".ppm" if name == "RGB" else ".pgm"),
            portable(6 if name == "RGB" else 5, 255),
        ]
        found[name, "PNM"].append(portable(3 if name == "RGB" else 2, 255))
    found["8 bits", "GIF"] = [pillow("GIF"), imagecodecs.gif_encode]
    found["RGB", "WebP"] = [pillow("WEBP", lossless=True), lambda a: imagecodecs.webp_encode(a, lossless=True)]
    found["8 bits", "WebP"] = [pillow("WEBP", lossless=True)]
    for kind in ("PNG", "BMP", "GIF"):
        found["1 bit", kind] = [pillow(kind)]
        found["palette", kind] = [indexed(kind, PALETTE)]
        found["gray palette", kind] = [indexed(kind, np.uint8([0, 90, 7, 255])[:, None].repeat(3, 1))]
    found["1 bit", "PNG"].append(png_by_hand(1))
    found["1 bit", "PNM"] = [pillow("PPM"), portable(4), portable(1)]
    found["4 bits", "PNG"] = [png_by_hand(4)]
    found["4 bits", "PNM"] = [portable(5, 15), portable(2, 15)]
    found["12 bits", "PNM"] = [portable(5, 4095), portable(2, 4095)]
    found["12 bits", "JPEG 2000"] = [lambda a: jpeg_2000(a, 12)]
    found["12 bits", "JPEG"] = [lambda a: jpeg(a, 12)]
    found["16 bits", "PNG"] = [pillow("PNG"), opencv(".png"), imagecodecs.png_encode]
    found["16 bits", "PNM"] = [portable(5, 65535), portable(2, 65535), opencv(".pgm")]
    found["16 bits", "JPEG 2000"] = [jpeg_2000, pillow("JPEG2000")]
    found["RGB, 16 bits", "PNG"] = [opencv(".png"), imagecodecs.png_encode]
    found["RGB, 16 bits", "PNM"] = [portable(6, 65535), portable(3, 65535), opencv(".ppm")]
    found["RGB, 16 bits", "JPEG 2000"] = [jpeg_2000]
    found["int16", "JPEG 2000"] = [jpeg_2000]
    found["alpha", "PNG"] = [pillow("PNG"), opencv(".png"), imagecodecs.png_encode]
    found["alpha", "JPEG 2000"] = [pillow("JPEG2000"), jpeg_2000]
    found["alpha", "WebP"] = [pillow("WEBP", lossless=True, exact=True)]
    found["alpha", "BMP"] = [pillow("BMP")]
    found["alpha, 16 bits", "PNG"] = [opencv(".png"), imagecodecs.png_encode]
    found["gray with alpha", "PNG"] = [pillow("PNG", "LA"), imagecodecs.png_encode]
    found["gray with alpha", "JPEG 2000"] = [pillow("JPEG2000", "LA")]
    found["CMYK", "JPEG"] = [pillow("JPEG", "CMYK", quality=98)]
    found["orientation 6", "PNG"] = [turned("PNG")]
    found["orientation 6", "JPEG"] = [turned("JPEG", quality=98)]
    found["orientation 6", "WebP"] = [turned("WEBP", lossless=True)]
    for kind, format_name in (("GIF", "GIF"), ("WEBP", "WebP"), ("PNG", "PNG")):
        found["several images", format_name] = [frames(kind)]
    found["several images", "PNM"] = [lambda a: portable(5, 255)(a[0]) + portable(5, 255)(a[1])]
    for name in ("1 bit", "8 bits", "16 bits", "int16", "float32", "RGB", "RGB, 16 bits"):
        found[name, "NumPy"] = [numpy_file, numpy_fortran]
        found[name, "NumPy, zip"] = [numpy_zip]
    found["several images", "NumPy, zip"] = [numpy_zip]
    return found


def files(name: str, kept: Property, format_name: str, folder: Path) -> list[Path]:
    """Write a property in a format, by all writers that can do it."""
    paths = []
    for number, write in enumerate(writers().get((name, format_name), [])):
        paths.append(folder / f"{number}{FORMATS[format_name]}")
        paths[-1].write_bytes(write(kept.stored))
    return paths
