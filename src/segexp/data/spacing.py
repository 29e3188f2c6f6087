"""Sizes of pixels: those of a case, and the one that the network works at."""

from collections.abc import Sequence

import numpy as np

from segexp.data.case import Case

FILES, PX = "files", "px"  # units of a spacing: that of the files, or the pixels of each image


def spacing_of_network(case: Case, spacing: Sequence[float] | None, unit: str) -> list[float] | None:
    """Size of a pixel to which a case is brought, in its own unit; None = it stays as it is.

    Args:
        case: Case as it was read.
        spacing: Size of a pixel per spatial axis; None = as the cases are.
        unit: "files" = in the unit of the files, which must tell the size of their pixels; "px" = so many of the pixels
            that the image has.

    Raises:
        ValueError: The spacing of the case is not known, or has another number of axes.
    """
    if spacing is None:
        return None
    if len(case.spacing) != len(spacing) or (unit == FILES and case.spacing_unit == "px"):
        factor = "" if len(case.spacing) != len(spacing) else ", data.geometry.spacing_unit=px for multiples of it"
        raise ValueError(
            f"case {case.name} has a spacing of {list(case.spacing)} {case.spacing_unit}, so it cannot be brought to "
            f"data.geometry.spacing={list(spacing)}: give the source the true spacing{factor}, or leave "
            "data.geometry.spacing=null"
        )
    return [float(one * own) if unit == PX else float(one) for one, own in zip(spacing, case.spacing, strict=True)]


def has_spacing(case: Case, spacing: Sequence[float]) -> bool:
    """Whether a case has this size of a pixel per axis already, within a thousandth."""
    return len(case.spacing) == len(spacing) and np.allclose(case.spacing, spacing, rtol=1e-3)
