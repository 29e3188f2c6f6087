"""How far a corrupted image is from the clean one, in the window of the clean image's own range."""

import math

import numpy as np
from scipy.ndimage import uniform_filter

from segexp.stress.scan import Image, Scan

SIDE = 7  # pixels of the window of SSIM along each axis, fewer where the image has fewer
K1, K2 = 0.01, 0.03


def psnr(scan: Scan, corrupted: Image) -> float:
    """Peak signal-to-noise ratio in dB, over the pixels that count; the peak is the width of the window."""
    error = (corrupted - scan.image).astype(np.float64) ** 2
    mean = float(error.mean() if scan.valid is None else error[:, scan.valid].mean())
    return math.inf if mean == 0 else -10 * math.log10(mean)


def ssim(scan: Scan, corrupted: Image) -> float:
    """Structural similarity, the mean over channels and the pixels that count; the range is the width of the window.

    Source: Wang et al. 2004, with uniform windows and sample covariances, as scikit-image has it by default.
    """
    maps = [_ssim_map(one, other) for one, other in zip(scan.image, corrupted, strict=True)]
    counted = [each if scan.valid is None else each[scan.valid] for each in maps]
    return float(np.mean([each.mean(dtype=np.float64) for each in counted]))


def _ssim_map(one: Image, other: Image) -> Image:
    """SSIM at each pixel of two images (*S)."""
    sides = [min(SIDE, size - 1 + size % 2) for size in one.shape]  # odd
    first, second = one.astype(np.float64), other.astype(np.float64)
    samples = math.prod(sides)
    unbiased = samples / max(1, samples - 1)
    mean_1, mean_2 = uniform_filter(first, sides), uniform_filter(second, sides)
    var_1 = unbiased * (uniform_filter(first * first, sides) - mean_1**2)
    var_2 = unbiased * (uniform_filter(second * second, sides) - mean_2**2)
    both = unbiased * (uniform_filter(first * second, sides) - mean_1 * mean_2)
    luminance = (2 * mean_1 * mean_2 + K1**2) / (mean_1**2 + mean_2**2 + K1**2)
    structure = (2 * both + K2**2) / (var_1 + var_2 + K2**2)
    found: Image = (luminance * structure).astype(np.float32)
    return found
