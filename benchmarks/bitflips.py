"""One bit of a file is turned: is the file refused, read as before, or read with other values and no word?

    python -m benchmarks.bitflips --count 500            # writes the table of docs/formats.md
    python -m benchmarks.bitflips --count 50 --print     # a quick look

Every format of images, masks and volumes, read through the functions that training and prediction use. "Harmless" are
bits that change no value (padding, comments, the end of a stream). Formats with a checksum must have none that is
silently wrong; the others cannot know.
"""

import argparse
import random
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import imagecodecs
import nibabel
import numpy as np
import SimpleITK as sitk  # noqa: N813
import tifffile
from PIL import Image

from benchmarks.tables import publish
from segexp.data.files.images import read_pages
from segexp.data.files.volumes import read_volume

PAGE = Path(__file__).parents[1] / "docs" / "formats.md"
DRAW = np.random.default_rng(0)
GRAY = np.kron(DRAW.integers(0, 256, (12, 16), dtype=np.uint8), np.ones((4, 4), np.uint8))
RGB = np.dstack([GRAY, GRAY.T.reshape(GRAY.shape), 255 - GRAY])
WIDE = RGB.astype(np.uint16) * 257
VOLUME = (np.arange(6 * 10 * 12).reshape(6, 10, 12) * 3 % 700).astype(np.int16)
VERDICTS = ("refused", "harmless", "silently wrong")


class Kind(NamedTuple):
    """A format.

    Attributes:
        suffix: Suffix of its file.
        write: Function that writes a sample to a path.
        checksum: What its checksums cover: "all", "pixels", or "" where it has none.
    """

    suffix: str
    write: Callable[[Path], object]
    checksum: str


def pillow(pixels: np.ndarray, **options: object) -> Callable[[Path], object]:
    return lambda path: Image.fromarray(pixels).save(path, **options)


def tiff(**options: object) -> Callable[[Path], object]:
    return lambda path: tifffile.imwrite(path, GRAY, photometric="minisblack", **options)


def itk(compressed: bool) -> Callable[[Path], object]:
    return lambda path: sitk.WriteImage(sitk.GetImageFromArray(VOLUME), str(path), compressed)


def nifti(path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(VOLUME, np.diag([1.0, 1.5, 2.0, 1.0])), path)


KINDS = {
    "PNG": Kind(".png", pillow(RGB), "all"),
    "PNG, 16-bit color": Kind(".png", lambda path: path.write_bytes(imagecodecs.png_encode(WIDE)), "all"),
    "JPEG": Kind(".jpg", pillow(RGB), ""),
    "JPEG 2000": Kind(".jp2", pillow(RGB), ""),
    "GIF": Kind(".gif", pillow(GRAY), ""),
    "WebP": Kind(".webp", pillow(RGB, lossless=True), ""),
    "BMP": Kind(".bmp", pillow(RGB), ""),
    "PPM": Kind(".ppm", pillow(RGB), ""),
    "NumPy": Kind(".npy", lambda path: np.save(path, GRAY), ""),
    "NumPy, zip": Kind(".npz", lambda path: np.savez(path, GRAY), "all"),
    "NumPy, compressed zip": Kind(".npz", lambda path: np.savez_compressed(path, GRAY), "all"),
    "TIFF": Kind(".tif", tiff(), ""),
    "TIFF, LZW": Kind(".tif", tiff(compression="lzw"), ""),
    "TIFF, zstd": Kind(".tif", tiff(compression="zstd"), ""),
    "TIFF, deflate": Kind(".tif", tiff(compression="zlib"), "pixels"),
    "TIFF, LERC": Kind(".tif", tiff(compression="lerc"), "pixels"),
    "NIfTI": Kind(".nii", nifti, ""),
    "NIfTI, gzip": Kind(".nii.gz", nifti, "all"),
    "MetaImage": Kind(".mha", itk(False), ""),
    "MetaImage, compressed": Kind(".mha", itk(True), "pixels"),
    "NRRD": Kind(".nrrd", itk(False), ""),
    "NRRD, gzip": Kind(".nrrd", itk(True), "pixels"),
}


def values_of(path: Path) -> bytes:
    """Shape, type, values and, of volumes, place of what is read."""
    if path.name.endswith((".nii", ".nii.gz", ".mha", ".nrrd")):
        case = read_volume(path)
        assert case.affine is not None
        array, place = case.image, np.round(case.affine, 4).tobytes()
    else:
        array, place = read_pages(path, 3), b""
    return repr((array.shape, str(array.dtype))).encode() + np.ascontiguousarray(array).tobytes() + place


def pixels_of(path: Path) -> range:
    """Bytes of the compressed pixels of a file whose header has no checksum."""
    data = path.read_bytes()
    if path.suffix == ".tif":
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            return range(page.dataoffsets[0], page.dataoffsets[-1] + page.databytecounts[-1])
    mark = b"\n\n" if path.suffix == ".nrrd" else b"ElementDataFile = LOCAL\n"
    return range(data.index(mark) + len(mark), len(data))


def trial(path: Path, whole: bytes, place: int, bit: int, expected: bytes) -> str:
    """Turn one bit and read."""
    data = bytearray(whole)
    data[place] ^= 1 << bit
    path.write_bytes(data)
    try:
        found = values_of(path)
    except ValueError as error:
        return "refused" if str(path) in str(error) else f"refused without a name: {error}"
    return "harmless" if found == expected else "silently wrong"


def campaign(count: int, seed: int, names: list[str]) -> dict[str, Counter[str]]:
    """Turn ``count`` bits of each format; those of headers and of compressed pixels stand apart where they differ."""
    found: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            kind, draw = KINDS[name], random.Random(seed)
            path = Path(folder, f"a{kind.suffix}")
            kind.write(path)
            whole, expected = path.read_bytes(), values_of(path)
            parts = {name: range(len(whole))}
            if kind.checksum == "pixels":
                pixels = pixels_of(path)
                header = [place for place in range(len(whole)) if place not in pixels]
                parts = {f"{name}: pixels": pixels, f"{name}: header": header}  # type: ignore[dict-item]
            for part, places in parts.items():
                outcomes = [trial(path, whole, draw.choice(places), draw.randrange(8), expected) for _ in range(count)]
                found[part] = Counter(outcomes)
                print(part, dict(found[part]), file=sys.stderr, flush=True)
    return found


def table(found: dict[str, Counter[str]]) -> str:
    lines = [f"| one bit turned in | checksum | {' | '.join(VERDICTS)} |", "| --- | --- | ---: | ---: | ---: |"]
    for part, counts in found.items():
        name, _, where = part.partition(": ")
        has = KINDS[name].checksum if where != "header" else ""
        cells = " | ".join(str(counts[verdict]) for verdict in VERDICTS)
        lines.append(f"| {part} | {'yes' if has else 'none'} | {cells} |")
    return "\n".join(["", *lines, "", ""])


def main() -> None:
    """Turn bits, then write or print the table; fail where a checksum was not looked at."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500, help="bits per format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS), metavar="FORMAT")
    parser.add_argument("--print", action="store_true", help="leave docs/formats.md alone")
    given = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of decoders, about what is then refused or not
        found = campaign(given.count, given.seed, given.only)
    text = table(found)
    publish("benchmarks.bitflips", text, given.print, PAGE)
    if any(counts["silently wrong"] for part, counts in found.items() if is_covered(part)):
        sys.exit("a checksum was not looked at")


def is_covered(part: str) -> bool:
    """Whether a checksum covers these bytes."""
    name, _, where = part.partition(": ")
    return bool(KINDS[name].checksum) and where != "header"


if __name__ == "__main__":
    main()
