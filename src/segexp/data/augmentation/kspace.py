"""What changes lines and points of k-space, the Fourier transform of an image: arrays alone."""

from collections.abc import Sequence

import numpy as np
from scipy import fft


def ghost_lines(size: int, count: int) -> np.ndarray:
    """Every ``count``-th line of k-space, from the most negative frequency on, but the center: (size) bool, 0 first."""
    lines = np.fft.ifftshift(np.arange(size) % count == 0)
    lines[0] = False
    return lines


def ghosted(image: np.ndarray, axis: int, count: int, intensity: float) -> np.ndarray:
    """Weaken every ``count``-th line of k-space, but the center, by a fraction.

    Args:
        image: Real image of any shape, float32.
        axis: Axis of the array along which the lines are counted.
        count: Number of lines from one that is weakened to the next.
        intensity: Fraction, 1 = the lines are lost.

    Returns:
        Image of the same shape and type.
    """
    size = image.shape[axis]
    factors = np.where(ghost_lines(size, count), 1 - intensity, 1.0)
    # The real part of the image sees the mean of both sides of k-space.
    both = (factors + np.roll(factors[::-1], 1))[: size // 2 + 1] / 2
    spectrum = np.moveaxis(fft.rfft(image, axis=axis), axis, -1)
    spectrum *= both.astype(np.float32)
    return fft.irfft(np.moveaxis(spectrum, -1, axis), size, axis=axis, overwrite_x=True)


def waves(size: Sequence[int], frequencies: np.ndarray) -> np.ndarray:
    """Sum waves, each from -1 to 1.

    Args:
        size: Size of an image, *S, at least two axes.
        frequencies: (waves, axes) periods along each axis, integers.

    Returns:
        (*S) float32.
    """
    # cos(a + b) = cos a cos b - sin a sin b: the waves are made along the first axis, and across all others, by turns.
    first, *others = (
        np.exp(2j * np.pi * np.outer(periods, np.arange(n)) / n).astype(np.complex64)
        for n, periods in zip(size, frequencies.T, strict=True)
    )
    rest = others[0]
    for other in others[1:]:
        rest = (rest[:, :, None] * other[:, None, :]).reshape(len(frequencies), rest.shape[1] * other.shape[1])
    summed = np.concatenate([first.real, -first.imag]).T @ np.concatenate([rest.real, rest.imag])
    return summed.reshape(size)
