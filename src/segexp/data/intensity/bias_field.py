"""Bias-field correction: the smooth factor that an MRI scanner's coils lay over a scan is estimated and divided out."""

from collections.abc import Sequence
from typing import Any

import numpy as np

LEAST = 8  # px of an axis that is made smaller, afterwards


def simpleitk() -> Any:
    """Import SimpleITK.

    Raises:
        ValueError: It is missing.
    """
    try:
        import SimpleITK
    except ImportError as error:
        raise ValueError("data/intensity=n4 needs SimpleITK: pip install 'segexp[io]'") from error
    return SimpleITK


def without_bias_field(
    channel: np.ndarray, spacing: Sequence[float], shrink: int, iterations: Sequence[int], width: float
) -> np.ndarray:
    """Estimate the bias field of a channel by N4 on the pixels above Otsu's threshold, and divide it out.

    Args:
        channel: (*S), two or three axes; of negative intensities the least one counts as 0. Along an axis of one px,
            such as that of a volume of a single slice, nothing is estimated.
        spacing: Size of a pixel per axis.
        shrink: Factor by which it is made smaller for the estimate, along each axis that keeps 8 px.
        iterations: Most iterations at each resolution of the field, the coarsest first.
        width: Full width at half maximum of the kernel that sharpens the histogram, in logarithmic intensities.

    Returns:
        (*S) float32; a channel without contrast, not finite, or of fewer than two axes longer than 1 px, as it was.

    Raises:
        ValueError: The field cannot be estimated.

    Source: Tustison et al. 2010 (N4ITK), IEEE Transactions on Medical Imaging 29:1310-1320, as SimpleITK has it.
    """
    itk = simpleitk()
    channel = np.asarray(channel, np.float32)
    lowest, highest = float(channel.min()), float(channel.max())
    thick = [axis for axis, side in enumerate(channel.shape) if side > 1]
    if not np.isfinite([lowest, highest]).all() or lowest == highest or len(thick) < 2:
        return channel
    base = min(lowest, 0.0)
    image = itk.GetImageFromArray((channel - base).squeeze())
    image.SetSpacing([float(spacing[axis]) for axis in reversed(thick)])
    factors = [shrink if side >= shrink * LEAST else 1 for side in image.GetSize()]
    n4 = itk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations([int(count) for count in iterations])
    n4.SetBiasFieldFullWidthAtHalfMaximum(width)
    n4.SetNumberOfThreads(1)  # sums of several threads depend on their number
    try:
        n4.Execute(itk.Shrink(image, factors), itk.Shrink(itk.OtsuThreshold(image, 0, 1), factors))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ValueError(f"N4 cannot estimate the bias field ({reason}): take data/intensity=zscore") from error
    field = np.exp(itk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(image))).reshape(channel.shape)
    corrected: np.ndarray = (channel - base) / field + base
    return corrected.astype(np.float32)
