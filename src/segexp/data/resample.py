"""Resampling to a common spacing, and of labels without inventing any."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch.nn.functional import interpolate

from segexp.data.case import Case

_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


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
