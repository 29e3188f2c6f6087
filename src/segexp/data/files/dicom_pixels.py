"""Pixels of a DICOM file as it stores them, decompressed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from segexp.data.files.dicom_headers import pydicom
from segexp.errors import naming
from segexp.foreign import one_line

_PIXEL_DATA = 0x7FE00010
_LAST_GROUPS = (0x7FE0, 0xFFFA, 0xFFFC)  # pixels, signatures, padding


def read_stored(file: Path) -> np.ndarray:
    """Read all frames of a file.

    Returns:
        (F, H, W, C) integers of the bits that are stored, in the type of the header; neither inverted nor rescaled.

    Raises:
        ValueError: The pixels are missing, broken, of another number than the header says, or compressed by what
            cannot be decompressed here; names file and compression. ``dicom_headers.read_frames`` takes the file.
    """
    with naming(file):
        dataset = pydicom().dcmread(file)
        if "PixelData" not in dataset:
            raise ValueError("it has no pixels (PixelData)")
        tags = list(dataset.keys())  # in the order of the file
        if any(tag.group not in _LAST_GROUPS for tag in tags[tags.index(_PIXEL_DATA) :]):
            raise ValueError("what follows its pixels is no DICOM")
        syntax = dataset.file_meta.get("TransferSyntaxUID") or pydicom().uid.ExplicitVRLittleEndian
        return _decompressed(dataset, syntax) if syntax.is_encapsulated else _native(dataset, syntax)


def _shape(dataset: Any) -> tuple[int, int, int, int]:
    samples = int(dataset.get("SamplesPerPixel") or 1)
    return int(dataset.get("NumberOfFrames") or 1), int(dataset.Rows), int(dataset.Columns), samples


def _native(dataset: Any, syntax: Any) -> np.ndarray:
    shape, bits = _shape(dataset), int(dataset.BitsAllocated)
    expected = int(np.prod(shape)) * bits // 8
    if dataset.PhotometricInterpretation == "YBR_FULL_422":
        expected = expected * 2 // 3
    if len(dataset.PixelData) != expected + expected % 2:
        raise ValueError(f"its pixels take {len(dataset.PixelData)} bytes, by its header {expected}")
    pixels = pydicom().pixels.get_decoder(syntax).as_array(dataset)[0].reshape(shape)
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=True)
    # Bits above and below those stored may hold anything, such as overlays.
    used = int(dataset.get("HighBit", dataset.BitsStored - 1)) + 1
    pixels <<= bits - used
    pixels >>= bits - int(dataset.BitsStored)
    return pixels


def _decompressed(dataset: Any, syntax: Any) -> np.ndarray:
    decode = _DECODERS.get(syntax.keyword)
    if decode is None:
        raise ValueError(
            f"its pixels are compressed as {one_line(syntax.name)}, for which there is no codec here: decompress it, "
            "as dcmdjpeg or gdcmconv --raw do"
        )
    shape = _shape(dataset)
    frames = list(pydicom().encaps.generate_frames(dataset.PixelData, number_of_frames=shape[0]))
    if len(frames) != shape[0]:
        raise ValueError(f"it has {len(frames)} compressed frames, by its header {shape[0]}")
    return np.stack([_in_bits(np.asarray(decode(frame, dataset)).reshape(shape[1:]), dataset) for frame in frames])


def _in_bits(pixels: np.ndarray, dataset: Any) -> np.ndarray:
    """Give decoded values the sign of the header, which codecs do not know, or know otherwise."""
    allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    wide = pixels.astype(np.int64)
    if wide.max() >= 2**stored or wide.min() < -(2 ** (stored - 1)):
        raise ValueError(f"it holds values from {wide.min()} to {wide.max()}, beyond its {stored} bits")
    unused = 64 - stored
    if dataset.get("PixelRepresentation"):
        return ((wide << unused) >> unused).astype(f"i{allocated // 8}")
    return (wide & (2**stored - 1)).astype(f"u{allocated // 8}")


def _jpeg(data: bytes, dataset: Any) -> np.ndarray:
    if (
        b"\xff\xd9" not in data.rstrip(b"\0")[-3:]
    ):  # its end, and a byte to even the length; libjpeg fills up what lacks
        raise ValueError("its JPEG stream is cut short")
    # What the header calls RGB is not to be taken for YCbCr.
    colors = "RGB" if dataset.PhotometricInterpretation == "RGB" else None
    return imagecodecs.jpeg8_decode(data, colorspace=colors, outcolorspace=colors)


def _jpeg_lossless(data: bytes, _: Any) -> np.ndarray:
    return imagecodecs.jpegsof3_decode(data)


def _jpeg_ls(data: bytes, _: Any) -> np.ndarray:
    return imagecodecs.jpegls_decode(data)


def _jpeg_2000(data: bytes, _: Any) -> np.ndarray:
    return imagecodecs.jpeg2k_decode(data)


def _rle(data: bytes, dataset: Any) -> np.ndarray:
    planes = np.frombuffer(
        imagecodecs.dicomrle_decode(data, f"<u{dataset.BitsAllocated // 8}"), f"<u{dataset.BitsAllocated // 8}"
    )
    return np.moveaxis(planes.reshape(_shape(dataset)[3], dataset.Rows, dataset.Columns), 0, -1)


_DECODERS: dict[str, Callable[[bytes, Any], np.ndarray]] = {  # by the names that DICOM gives transfer syntaxes
    "JPEGBaseline8Bit": _jpeg,
    "JPEGExtended12Bit": _jpeg,
    "JPEGLossless": _jpeg_lossless,
    "JPEGLosslessSV1": _jpeg_lossless,
    "JPEGLSLossless": _jpeg_ls,
    "JPEGLSNearLossless": _jpeg_ls,
    "JPEG2000Lossless": _jpeg_2000,
    "JPEG2000": _jpeg_2000,
    "RLELossless": _rle,
}
