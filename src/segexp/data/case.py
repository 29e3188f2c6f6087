"""A case: one patient, slice or stack with everything that is known about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypedDict

import numpy as np

IGNORED = 255  # in targets: not labeled, counts nowhere


@dataclass(frozen=True)
class Entry:
    """What a source knows of a case before it reads a pixel.

    Attributes:
        name: Unique within the source; names rows of tables and files of figures.
        files: All files that reading the case opens.
        group: Patient or other unit that must stay in one split; "" = the case is its own group.
        stratum: Kind of case, for splits that keep kinds in proportion; "" = all are of one kind.
        split: "train", "val" or "test" where the data set prescribes it, else "".
    """

    name: str
    files: tuple[Path, ...] = ()
    group: str = ""
    stratum: str = ""
    split: str = ""


class Stored(TypedDict, total=False):
    """How a file that is no volume stores its pixels, and what was done to show them; for the audit.

    Attributes:
        format: Format by content, whatever the suffix says: "PNG", "TIFF", "JPEG", "GIF", "NPY" …
        bits: Bits per sample as stored, such as 1, 12 or 16.
        axes: Letters of the axes, the samples of a color (S) last: "YX", "YXS", "ZYX", "CYX"; I and Q are pages
            without a name.
        orientation: Orientation that was noted (TIFF's tag 274, EXIF) and undone, 2 to 8; absent if upright.
        white_is_zero: True where the file stores white as 0, and the values were turned round; absent otherwise.
        palette: Colors of the palette by index, such as ["#000000", "#ff0000"]; absent where there is none.
        color: Color space that was turned to RGB, such as "CMYK", "CIELAB"; absent for RGB and gray.
        lossy: True where the compression may have changed values (JPEG); absent otherwise.
        left_out: What else the file holds and was not read: "alpha", "2 smaller copies" …; absent where nothing is.
    """

    format: str
    bits: int
    axes: str
    orientation: int
    white_is_zero: bool
    palette: list[str]
    color: str
    lossy: bool
    left_out: list[str]


class FileFacts(TypedDict, total=False):
    """What the files of a case hold, for the audit.

    Attributes:
        image_dtype: Type of the image's values.
        image_stored: How the file of the image stores them; absent for volumes.
        mask_dtype: Type of the mask's values.
        mask_values: Number of pixels per value of the mask, before classes are made of them.
        mask_stored: How the file of the mask stores them; absent for volumes.
    """

    image_dtype: str
    image_stored: Stored
    mask_dtype: str
    mask_values: dict[int, int]
    mask_stored: Stored


@dataclass(frozen=True)
class Case:
    """One case as its source read it.

    Attributes:
        name: Name of its ``Entry``.
        image: (C, *S) in the dtype of the file; axis order (C, H, W) or (C, D, H, W).
        target: (*S) uint8 class indices, 255 = not labeled; None where no truth is known.
        spacing: Size of a pixel per spatial axis of ``image``, in ``spacing_unit``.
        spacing_unit: "mm", or "px" where the files do not tell.
        files: Files that were read, for messages.
        valid: (*S) bool, the pixels that count (field of view); None = all.
        others: Truths by further observers, like ``target``, under their names.
        affine: (4, 4), from index (x, y, z, 1), the axes of a volume reversed, to mm (right, anterior, superior);
            None for images that have none.
        orientation: Axes of the file, such as "LPS", before the volume was turned to right, anterior, superior.
        facts: What its files hold, such as {"image_dtype": "uint8", "mask_values": {0: 812, 255: 23}}.
        instances: (*S) int32, number of the object of each pixel, 0 = none: tells touching objects of one class apart,
            in scores alone; None = objects are not numbered.
    """

    name: str
    image: np.ndarray
    target: np.ndarray | None
    spacing: tuple[float, ...]
    spacing_unit: str = "px"
    files: tuple[Path, ...] = ()
    valid: np.ndarray | None = None
    others: Mapping[str, np.ndarray] = field(default_factory=dict)
    affine: np.ndarray | None = None
    orientation: str = ""
    facts: FileFacts = field(default_factory=FileFacts)
    instances: np.ndarray | None = None


def unlabeled_outside(case: Case) -> Case:
    """Mark pixels outside the field of view as not labeled, so that they count nowhere."""
    if case.valid is None:
        return case
    target = None if case.target is None else np.where(case.valid, case.target, np.uint8(IGNORED))
    others = {who: np.where(case.valid, truth, np.uint8(IGNORED)) for who, truth in case.others.items()}
    return replace(case, target=target, others=others)


def slices_first(case: Case, axis: int) -> Case:
    """Bring spatial axis ``axis`` of a volume to the front; the affine stays that of the volume as it was read."""
    if axis == 0:
        return case
    spacing = list(case.spacing)
    return replace(
        case,
        image=np.moveaxis(case.image, axis + 1, 1),
        target=None if case.target is None else np.moveaxis(case.target, axis, 0),
        valid=None if case.valid is None else np.moveaxis(case.valid, axis, 0),
        others={who: np.moveaxis(truth, axis, 0) for who, truth in case.others.items()},
        instances=None if case.instances is None else np.moveaxis(case.instances, axis, 0),
        spacing=(spacing.pop(axis), *spacing),
    )
