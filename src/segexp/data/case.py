"""A case: one patient, slice or stack with everything that is known about it."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Case:
    """One case as its source read it.

    Attributes:
        name: Unique within the source; names rows of tables and files of figures.
        image: (C, *S) in the dtype of the file; axis order (C, H, W) or (C, D, H, W).
        target: (*S) uint8 class indices, or None where no truth is known.
        spacing: Size of a pixel per spatial axis of ``image``, in ``spacing_unit``.
        spacing_unit: "px" where the files do not tell, else "nm" or "mm".
        files: What was read, for messages.
    """

    name: str
    image: np.ndarray
    target: np.ndarray | None
    spacing: tuple[float, ...]
    spacing_unit: str = "px"
    files: tuple[Path, ...] = field(default=())
