"""TIFF files of every property, codec and layout, written by tifffile, Pillow and OpenCV."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image

PAGES = 3  # of a stack
CODECS: dict[str, dict[str, Any]] = {
    "none": {},
    "PackBits": {"compression": "packbits"},
    "LZW": {"compression": "lzw"},
    "deflate": {"compression": "zlib"},
    "zstd": {"compression": "zstd"},
    "LZMA": {"compression": "lzma"},
    "LERC": {"compression": "lerc"},
    "JPEG": {"compression": "jpeg", "compressionargs": {"level": 98}},
    "JPEG 2000": {"compression": "jpeg2000", "compressionargs": {"level": 0, "reversible": True}},
    "WebP": {"compression": "webp", "compressionargs": {"lossless": True}},
    "PNG": {"compression": "png"},
    "CCITT 3": {"compression": "ccitt_t4"},
    "CCITT 4": {"compression": "ccitt_t6"},
}
LAYOUTS: dict[str, dict[str, Any]] = {
    "strips": {"rowsperstrip": 7},
    "one strip": {},
    "tiles": {"tile": (16, 16)},
    "big": {"bigtiff": True},
    "other order of bytes": {"byteorder": ">"},
    "stack": {},
    "stack without metadata": {"metadata": None},
}
STACKS = ("stack", "stack without metadata")
PILLOW = {"none": None, "PackBits": "packbits", "LZW": "tiff_lzw", "deflate": "tiff_adobe_deflate", "zstd": "zstd"}
PILLOW |= {"LZMA": "lzma", "JPEG": "jpeg", "CCITT 3": "group3", "CCITT 4": "group4"}
OPENCV = {"none": 1, "LZW": 5, "JPEG": 7, "deflate": 8, "PackBits": 32773}


@dataclass(frozen=True)
class Property:
    """One way to store pixels, and what must be read.

    Attributes:
        shown: (H, W) or (H, W, 3), right by the definition of the property.
        stored: Samples in the file; (3, H, W) where planes lie apart.
        options: Arguments of ``tifffile.imwrite``.
        tolerance: Largest difference, for color spaces that do not turn back exactly.
    """

    shown: np.ndarray
    stored: np.ndarray
    options: dict[str, Any] = field(default_factory=dict)
    tolerance: float = 0


def smooth(high: int, kind: str, *shape: int) -> np.ndarray:
    """Values from 0 to ``high`` that no turn or mirror leaves alike, smooth enough for JPEG."""
    height, width = shape[0], shape[1]
    y, x = np.mgrid[:height, :width]
    plane = (2 * y / height + x / width) / 3
    bands = [plane, plane**2, 1 - plane][: shape[2] if len(shape) > 2 else 1]
    scaled = np.stack(bands, axis=-1) * high
    values = scaled if kind.startswith("float") else np.rint(scaled)
    return values.astype(kind).reshape(shape)


GRAY, WIDE, RGB = smooth(255, "uint8", 32, 48), smooth(65535, "uint16", 32, 48), smooth(255, "uint8", 32, 48, 3)
INVERSE = {  # how the shown rows and columns are stored under each orientation
    2: np.fliplr,
    3: lambda a: a[::-1, ::-1],
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}
MINISBLACK, MINISWHITE = {"photometric": "minisblack"}, {"photometric": "miniswhite"}


def of_bits(bits: int, **options: Any) -> Property:
    kind = np.uint8 if bits <= 8 else np.uint16
    stored = smooth(2**bits - 1, kind.__name__, 32, 48)
    shown = stored if bits >= 8 else np.rint(stored * (255 / (2**bits - 1))).astype(np.uint8)
    return Property(shown, stored, {**MINISBLACK, "bitspersample": bits, **options})


def properties() -> dict[str, Property]:
    """All properties by their names."""
    one, mask = GRAY > 99, np.where(GRAY > 99, 255, 0).astype(np.uint8)
    found = {"1 bit": Property(mask, one, MINISBLACK)}
    found |= {f"{bits} bits": of_bits(bits) for bits in (2, 4)}
    found["8 bits"] = Property(GRAY, GRAY, MINISBLACK)
    found |= {f"{bits} bits": of_bits(bits) for bits in (10, 12)}
    found["16 bits"] = Property(WIDE, WIDE, MINISBLACK)
    found["32 bits"] = Property(wide := smooth(2**31, "uint32", 32, 48), wide, MINISBLACK)
    for kind in ("int8", "int16", "int32", "float16", "float32", "float64"):
        signed = (smooth(100, kind, 32, 48) - np.array(50, kind)).astype(kind)
        found[kind] = Property(signed, signed, MINISBLACK)
    found["horizontal predictor"] = Property(WIDE, WIDE, {**MINISBLACK, "predictor": 2})
    real = smooth(1, "float32", 32, 48)
    found["float predictor"] = Property(real, real, {**MINISBLACK, "predictor": 3})
    for number, stored_of in INVERSE.items():
        tag = [(274, "H", 1, number, False)]
        found[f"orientation {number}"] = Property(
            WIDE, np.ascontiguousarray(stored_of(WIDE)), MINISBLACK | {"extratags": tag}
        )
    found["orientation 6, RGB"] = Property(
        RGB, np.ascontiguousarray(INVERSE[6](RGB)), {"photometric": "rgb", "extratags": [(274, "H", 1, 6, True)]}
    )
    return found | whites(one, mask) | colors()


def whites(one: np.ndarray, mask: np.ndarray) -> dict[str, Property]:
    """Files that store white as 0."""
    signed = smooth(200, "int16", 32, 48)
    twelve = smooth(4095, "uint16", 32, 48)
    real = smooth(1, "float32", 32, 48)
    return {
        "WhiteIsZero, 1 bit": Property(mask, ~one, MINISWHITE),
        "WhiteIsZero, 8 bits": Property(GRAY, 255 - GRAY, MINISWHITE),
        "WhiteIsZero, 12 bits": Property(twelve, 4095 - twelve, MINISWHITE | {"bitspersample": 12}),
        "WhiteIsZero, 16 bits": Property(WIDE, 65535 - WIDE, MINISWHITE),
        "WhiteIsZero, int16": Property(signed, -1 - signed, MINISWHITE),
        "WhiteIsZero, float": Property(real.max() - (real.max() - real), real.max() - real, MINISWHITE, 1e-6),
    }


def lab_of(rgb: np.ndarray) -> np.ndarray:
    """CIELAB under D50 of sRGB, by Bruce Lindbloom's figures (adapted after Bradford)."""
    light = rgb / 255
    linear = np.where(light > 0.04045, ((light + 0.055) / 1.055) ** 2.4, light / 12.92)
    to_xyz = np.array(
        [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
    )
    x, y, z = np.moveaxis(linear @ to_xyz.T / [0.96422, 1, 0.82521], -1, 0)
    x, y, z = (np.where(v > 216 / 24389, np.cbrt(v), (24389 / 27 * v + 16) / 116) for v in (x, y, z))
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def colors() -> dict[str, Property]:
    """Files of colors."""
    wide = smooth(65535, "uint16", 32, 48, 3)
    planes = np.ascontiguousarray(RGB.transpose(2, 0, 1))
    palette = np.random.default_rng(0).integers(0, 256, (256, 3), dtype=np.uint8)
    alpha = GRAY[..., None]
    scale = np.array([2.55, 1, 1])
    lab8 = np.rint(lab_of(RGB) * scale).astype(np.int16).astype(np.uint8)  # a and b as two's complement
    lab16 = np.rint(lab_of(RGB) * scale * [257, 256, 256]).astype(np.int32).astype(np.uint16)
    colormap = palette.T.astype(np.uint16) * 257
    rgb = {"photometric": "rgb"}
    return {
        "palette": Property(palette[GRAY], GRAY, {"photometric": "palette", "colormap": colormap}),
        "RGB": Property(RGB, RGB, rgb),
        "RGB, 16 bits": Property(wide, wide, rgb),
        "RGB, float": Property(real := smooth(1, "float32", 32, 48, 3), real, rgb),
        "RGB, planes apart": Property(RGB, planes, rgb | {"planarconfig": "separate"}),
        "RGB, 16 bits, planes apart": Property(
            wide, np.ascontiguousarray(wide.transpose(2, 0, 1)), rgb | {"planarconfig": "separate"}
        ),
        "alpha": Property(RGB, np.concatenate([RGB, alpha], -1), rgb | {"extrasamples": ["unassalpha"]}),
        "gray with alpha": Property(
            GRAY, np.dstack([GRAY, GRAY[::-1]]), MINISBLACK | {"extrasamples": ["assocalpha"], "planarconfig": "contig"}
        ),
        "CMYK": Property(RGB, np.concatenate([255 - RGB, 0 * alpha], -1), {"photometric": "separated"}),
        "CMYK, 16 bits": Property(
            wide, np.concatenate([65535 - wide, 0 * wide[..., :1]], -1), {"photometric": "separated"}
        ),
        "CIELAB": Property(RGB, lab8, {"photometric": "cielab"}, 25),
        "CIELAB, 16 bits": Property(RGB, lab16, {"photometric": "cielab"}, 25),
        "ICCLAB": Property(RGB, lab8 ^ np.array([0, 128, 128], np.uint8), {"photometric": "icclab"}, 25),
        "YCbCr": Property(
            RGB, np.array(Image.fromarray(RGB).convert("YCbCr")), {"photometric": "ycbcr", "subsampling": (1, 1)}, 3
        ),
        "YCbCr, subsampled": Property(RGB, RGB, {"photometric": "rgb", "subsampling": (2, 2)}, 9),
    }


def files(
    name: str, kept: Property, codec: str, folder: Path, start: int = 0, step: int = 1
) -> Iterator[tuple[str, Path, int]]:
    """Write a property with a codec in every layout and by every writer that can do it.

    Args:
        name: Name of the property.
        kept: The property.
        codec: Key of ``CODECS``.
        folder: Folder of the files.
        start: Number of the first file.
        step: Every how manieth file is written.

    Yields:
        Words for layout and writer; the path; the number of pages.
    """
    jobs: list[tuple[str, int, Callable[[Path], object]]] = []
    for layout, options in LAYOUTS.items():
        pages = PAGES if layout in STACKS else 1
        write = partial(by_tifffile, kept, codec=codec, layout=options, pages=pages)
        jobs.append((f"{layout}, tifffile", pages, write))
    if codec in PILLOW:
        jobs.append(("Pillow", 1, partial(by_pillow, name, kept, codec=PILLOW[codec])))
    if codec in OPENCV:
        jobs.append(("OpenCV", 1, partial(by_opencv, kept, codec=OPENCV[codec])))
    for number, (what, pages, write) in enumerate(jobs[start::step]):
        path = folder / f"{number}.tif"
        if written(partial(write, path=path)):
            yield what, path, pages


def written(write: Callable[[], object]) -> bool:
    """Whether a writer does it; each refuses many combinations."""
    try:
        write()
    except Exception:
        return False
    return True


def by_tifffile(kept: Property, path: Path, codec: str, layout: dict[str, Any], pages: int) -> None:
    options = {**CODECS[codec], **layout, **kept.options}
    _require_sound(kept, codec, layout)
    if options.pop("subsampling", None) == (2, 2):
        if codec != "JPEG":
            raise ValueError("a property of JPEG")
        options["subsampling"] = (2, 2)
    elif options.get("photometric") == "ycbcr" and codec == "JPEG":
        raise ValueError("tifffile turns colors itself for JPEG")
    stored = kept.stored if pages == 1 else np.stack([kept.stored] * pages)
    tifffile.imwrite(path, stored, **options)


def _require_sound(kept: Property, codec: str, layout: dict[str, Any]) -> None:
    """Refuse what tifffile writes wrongly."""
    kind, bits = kept.stored.dtype, kept.options.get("bitspersample", 8)
    if codec == "JPEG" and (kind != np.uint8 or bits != 8 or "lab" in kept.options["photometric"]):
        raise ValueError("eight bits alone, and no two's complement")
    if codec == "JPEG 2000" and (layout == LAYOUTS["other order of bytes"] or kind.itemsize > 2):
        raise ValueError("the stream has an order of bytes of its own, and 26 bits at most")
    if bits in (10, 12) and layout == LAYOUTS["other order of bytes"]:
        raise ValueError("packed bits have no order of bytes")


def by_pillow(name: str, kept: Property, path: Path, codec: str | None) -> None:
    """Write what Pillow has a mode for."""
    _require_sound(kept, "JPEG" if codec == "jpeg" else "none", {})
    tags = {tag[0]: tag[3] for tag in kept.options.get("extratags", ())}
    plain = set(kept.options) <= {"photometric", "extratags"}
    types = (bool,) if codec in ("group3", "group4") else (bool, np.uint8, np.uint16, np.float32)
    if not plain or kept.stored.dtype not in types:
        raise ValueError("no mode for it")
    # Pillow turns one and eight bits round by itself.
    turns = kept.options["photometric"] == "miniswhite" and kept.stored.dtype in (bool, np.uint8)
    image = Image.fromarray(np.invert(kept.stored) if turns else kept.stored)
    if name in ("CMYK", "CIELAB"):
        image = Image.frombytes({"CMYK": "CMYK", "CIELAB": "LAB"}[name], image.size, kept.stored.tobytes())
    elif kept.options["photometric"] == "miniswhite":
        tags[262] = 0
    options: dict[str, Any] = {"compression": codec} if codec else {}
    if codec == "jpeg":
        options["quality"] = 98
    if kept.options["photometric"] not in ("minisblack", "miniswhite", "rgb") and image.mode not in ("CMYK", "LAB"):
        raise ValueError("no mode for it")
    image.save(path, tiffinfo=tags, **options)
    with tifffile.TiffFile(path) as file:  # Pillow may have turned round, or left out, what it was told
        page = file.pages.first
        if dict.get(tags, 262, page.photometric) != page.photometric or tags.get(274, 1) != page.tags.valueof(274, 1):
            raise ValueError("it has not done it")


def by_opencv(kept: Property, path: Path, codec: int) -> None:
    """Write gray and RGB."""
    if set(kept.options) != {"photometric"} or kept.options["photometric"] not in ("minisblack", "rgb"):
        raise ValueError("no such option")
    stored = kept.stored
    if stored.dtype not in (np.uint8, np.uint16, np.float32) or stored.shape[-1] in (2, 4):
        raise ValueError("no such type")
    if not cv2.imwrite(
        str(path), stored[..., ::-1] if stored.ndim == 3 else stored, [cv2.IMWRITE_TIFF_COMPRESSION, codec]
    ):
        raise ValueError("not written")
