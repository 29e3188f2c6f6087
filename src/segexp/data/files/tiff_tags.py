"""What the tags of a page of a TIFF say, and what tifffile says of a file that is damaged."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident
from typing import Any

import numpy as np
import tifffile

# What tifffile logs, and then reads on with fewer pages or axes.
_DAMAGE = re.compile(
    r"invalid (page )?offset|invalid circular|corrupted|no pages|SubIFDs|virtual_frames|does not match"
)


@contextmanager
def opened(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a file, and refuse in the end what was damaged, though tifffile may have read around it."""
    logger, found = logging.getLogger("tifffile"), _Damage()
    logger.addHandler(found)
    try:
        with tifffile.TiffFile(path, _multifile=False) as file:
            yield file
    finally:
        logger.removeHandler(found)
    if found.words:
        raise ValueError(f"it is damaged or cut off: {found.words[0]}")


class _Damage(logging.Handler):
    """Messages about damage, of this thread."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.thread = get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        words = record.getMessage()
        if record.thread == self.thread and _DAMAGE.search(words):
            self.words.append(re.sub(r"<[^<>]*> ?", "", words).strip())


def photometric(page: Any) -> int:
    """PhotometricInterpretation; where it is missing, what libtiff takes."""
    if 262 in page.tags:
        return int(page.photometric)
    if page.samplesperpixel >= 3:
        return 2
    return 0 if page.compression in (2, 3, 4) else 1


def orientation(page: Any, first: Any = None) -> int:
    """Orientation of a page; where it has none, that of the first page, to which writers of stacks put it alone."""
    number = page.tags.valueof(274)
    if number is None and first is not None:
        return orientation(first)
    return int(number) if number in range(1, 9) else 1


def bits(page: Any) -> int:
    """Bits per sample; the most where samples differ."""
    stored = page.bitspersample
    return max(stored) if isinstance(stored, tuple) else int(stored)


def white(page: Any) -> float | None:
    """SMaxSampleValue, the white level of floats."""
    value = page.tags.valueof(341)
    return None if value is None else float(np.max(value))


def palette(page: Any) -> np.ndarray:
    """Colors (n, 3) uint8; some writers store 8 bits where 16 are meant."""
    colors = np.asarray(page.colormap)
    return (colors if colors.max() < 256 else colors >> 8).astype(np.uint8).T
