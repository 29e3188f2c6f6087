"""How an image or volume and its mask are read, wherever the two are found."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from segexp.data.case import Case
from segexp.data.files import images, volumes
from segexp.data.files.images import pair_facts, read_image, read_mask, require_same_size
from segexp.data.files.mask_values import map_values, require_values
from segexp.data.files.volumes import read_case, volume_stem
from segexp.errors import require_at_least

SUFFIXES = (*images.SUFFIXES, *volumes.SUFFIXES)


class PairReader:
    """Reads pairs of an image and a mask: both 2-D (PNG, JPEG, TIFF, BMP), or both volumes as in ``data.volumes``.

    Arguments and errors are those of ``Folder``.
    """

    def __init__(
        self, values: Mapping[int, int] | None, channels: int, mask_tolerance: int, spacing: Sequence[float] | None
    ) -> None:
        # None in place of a default: Hydra merges a mapping on the command line into one that is there.
        values = {0: 0, 255: 1} if values is None else values
        require_values(values)
        require_at_least("channels", channels, 1, integer=True)
        require_at_least("mask_tolerance", mask_tolerance, 0, integer=True)
        if spacing is not None and (len(spacing) != 2 or min(spacing) <= 0):
            raise ValueError(f"spacing={list(spacing)} must be two numbers above 0: height and width of a pixel in mm")
        self.values = dict(values)
        self.channels = channels
        self.mask_tolerance = mask_tolerance
        self.spacing = None if spacing is None else tuple(spacing)

    @property
    def mask_values(self) -> dict[int, int]:
        """Class of each value of the masks."""
        return self.values

    def read_pair(self, name: str, image_path: Path, mask_path: Path) -> Case:
        """Read a case: image (C, H, W) or (C, D, H, W), target (*S) uint8; errors as of ``Source.read``."""
        if volume_stem(image_path) is not None:
            if self.spacing is not None:
                raise ValueError(f"spacing is for 2-D images, and {image_path} has its own: leave spacing=null")
            return read_case(name, [image_path], mask_path, self.values, self.mask_tolerance)
        image, raw = read_image(image_path, self.channels), read_mask(mask_path)
        require_same_size(image, raw, image_path, mask_path)
        target = map_values(raw, self.values, self.mask_tolerance, mask_path)
        facts = pair_facts(image, raw, image_path, mask_path)
        unit = "mm" if self.spacing else "px"
        return Case(name, image, target, self.spacing or (1.0, 1.0), unit, (image_path, mask_path), facts=facts)


def image_stem(path: Path) -> str | None:
    """Name of an image or volume without its suffix; None for any other path."""
    return path.stem if path.suffix.lower() in images.SUFFIXES else volume_stem(path)


def natural_order(name: str) -> tuple[list[str | int], str]:
    """Sort key that puts a2 before a10."""
    words = re.split(r"([0-9]+)", name)  # text and digits take turns
    return [int(word) if turn % 2 else word for turn, word in enumerate(words)], name
