"""A case: one patient, slice or stack with everything that is known about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Entry:
    """What a source knows of a case before it reads a pixel.

    Attributes:
        name: Unique within the source; names rows of tables and files of figures.
        files: All files that reading the case opens.
        group: Patient or other unit that must stay on one side of a split; "" = the case is its own group.
        stratum: Kind of case, for splits that keep kinds in proportion; "" = all are of one kind.
        side: "train", "val" or "test" where the data set prescribes it, else "".
    """

    name: str
    files: tuple[Path, ...] = ()
    group: str = ""
    stratum: str = ""
    side: str = ""


@dataclass(frozen=True)
class Case:
    """One case as its source read it.

    Attributes:
        name: That of its ``Entry``.
        image: (C, *S) in the dtype of the file; axis order (C, H, W) or (C, D, H, W).
        target: (*S) uint8 class indices, 255 = not labelled; None where no truth is known.
        spacing: Size of a pixel per spatial axis of ``image``, in ``spacing_unit``.
        spacing_unit: "px" where the files do not tell, else "nm" or "mm".
        files: What was read, for messages.
        valid: (*S) bool, the pixels that count (field of view); None = all.
        others: Truths by further observers, like ``target``, under their names.
        affine: (4, 4), from index (x, y, z, 1), the axes of a volume reversed, to mm (right, anterior, superior);
            None for images that have none.
        orientation: Axes of the file, such as "LPS", before the volume was turned to right, anterior, superior.
        facts: Plain values for the audit, such as {"image_dtype": "uint8", "mask_values": {0: 812, 255: 23}}.
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
    facts: Mapping[str, Any] = field(default_factory=dict)
