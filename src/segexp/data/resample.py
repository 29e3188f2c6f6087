"""Resampling to a common spacing, and of labels without inventing any."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch.nn.functional import interpolate

from segexp.data.case import Case

FILES, PX = "files", "px"  # units of a spacing: that of the files, or the pixels of each image
_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


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


def resample(case: Case, spacing: Sequence[float]) -> Case:
    """Bring a case to a spacing; its field of view stays, so that the way back is a resize to the old size.

    Pixels are cells: the outer edges of the first and last pixel stay where they are, and each axis gets the number of
    pixels nearest to extent / spacing (at least 1). The image is interpolated linearly, in float32; labels by
    nearest neighbor.

    Args:
        case: Case.
        spacing: Size of a pixel per spatial axis, in the case's unit, see ``spacing_of_network``.

    Returns:
        The case itself where its size would not change.
    """
    shape = case.image.shape[1:]
    size = tuple(max(1, round(n * s / t)) for n, s, t in zip(shape, case.spacing, spacing, strict=True))
    if size == shape:
        return case
    affine = case.affine
    if affine is not None:  # the center of the first pixel lies elsewhere; axes are (x, y, z)
        factor = np.array([n / m for n, m in zip(shape, size, strict=True)])[::-1]
        change = np.diag([*factor, 1.0])
        change[:3, 3] = (factor - 1) / 2
        affine = affine @ change
    return replace(
        case,
        image=resize_image(case.image, size),
        target=None if case.target is None else resize_labels(case.target, size),
        valid=None if case.valid is None else resize_labels(case.valid, size),
        others={name: resize_labels(labels, size) for name, labels in case.others.items()},
        instances=None if case.instances is None else resize_labels(case.instances, size),
        spacing=tuple(n * s / m for n, s, m in zip(shape, case.spacing, size, strict=True)),
        affine=affine,
    )


def resize_image(image: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Interpolate (C, *S) linearly to (C, *size) float32."""
    tensor = torch.from_numpy(np.array(image, dtype=np.float32))[None]
    mode = _LINEAR[len(size)]
    return interpolate(tensor, size=tuple(size), mode=mode, align_corners=False)[0].numpy()


def resize_labels(labels: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Take for each pixel of (*size) the label of (*S) in which its center lies; the dtype stays."""
    centers = [((np.arange(m) + 0.5) * n / m).astype(int) for n, m in zip(labels.shape, size, strict=True)]
    return labels[np.ix_(*centers)]
