"""What the labels of a mask are called and in which color they are shown, as ITK-SNAP and ImageJ take it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SNAP_LARGEST = 65_535  # label of ITK-SNAP
COLORS_OF_TABLE = 256
SNAP_HEADER = """\
################################################
# ITK-SnAP Label Description File
# File format:
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
# Fields:
#    IDX:   Zero-based index
#    -R-:   Red color component (0..255)
#    -G-:   Green color component (0..255)
#    -B-:   Blue color component (0..255)
#    -A-:   Label transparency (0.00 .. 1.00)
#    VIS:   Label visibility (0 or 1)
#    IDX:   Label mesh visibility (0 or 1)
#  LABEL:   Label description
################################################
"""


@dataclass(frozen=True)
class Segment:
    """A foreground class of a mask, or a region that may overlap others.

    Attributes:
        name: Name of the class or region.
        value: Value of its pixels in the mask.
        color: Red, green and blue, 0 to 255.
    """

    name: str
    value: int
    color: tuple[int, int, int]


def snap_description(segments: Sequence[Segment]) -> str:
    """Write the label description file of ITK-SNAP (menu Segmentation, Import Label Descriptions).

    The pixels of no segment have the label 0, which ITK-SNAP shows as clear.

    Raises:
        ValueError: ITK-SNAP has no such label.
    """
    lines = [_snap_line(0, (0, 0, 0), "Clear Label", False)]
    for segment in segments:
        if not 0 < segment.value <= SNAP_LARGEST:
            raise ValueError(
                f"ITK-SNAP has no label {segment.value} ({segment.name}): labels must be from 1 to {SNAP_LARGEST}, the "
                "background 0"
            )
        lines.append(_snap_line(segment.value, segment.color, segment.name, True))
    return SNAP_HEADER + "".join(lines)


def _snap_line(value: int, color: Sequence[int], name: str, shown: bool) -> str:
    red, green, blue = color
    quoted = name.replace('"', "'")
    return f'{value:5d} {red:5d} {green:4d} {blue:4d} {int(shown):8d} {int(shown):2d} {int(shown):2d}    "{quoted}"\n'


def color_table(segments: Sequence[Segment]) -> np.ndarray:
    """Make a look-up table (3, 256) uint8 of the colors of the values, black where there is no segment.

    Raises:
        ValueError: A value is not from 0 to 255.
    """
    table = np.zeros((3, COLORS_OF_TABLE), np.uint8)
    for segment in segments:
        if not 0 <= segment.value < COLORS_OF_TABLE:
            raise ValueError(
                f"a look-up table has no place for the value {segment.value} ({segment.name}): it must be from 0 to 255"
            )
        table[:, segment.value] = segment.color
    return table


def in_words(segments: Sequence[Segment]) -> str:
    """List values and names, one segment per line."""
    return "".join(f"{segment.value} {segment.name}\n" for segment in segments)
