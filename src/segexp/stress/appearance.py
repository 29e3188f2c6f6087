"""Corruptions of intensities, pixel by pixel: noise, bias field, gamma, contrast, colors.

Each takes a scan, a strength (0 changes nothing) and random numbers, and returns the image (C, *S) in the scan's
window. Random numbers are drawn before the strength is looked at: a stronger corruption has the same pattern as a
weaker one.
"""

import numpy as np

from segexp.stress.scan import Image, Scan, centered

ORDER = 3  # of the polynomial of a bias field
KNOTS = 8  # of the curve of a shifted histogram


def gaussian_noise(scan: Scan, strength: float, rng: np.random.Generator) -> Image:
    """Add independent normal noise of standard deviation ``strength`` to each pixel and channel."""
    noise = rng.standard_normal(scan.image.shape, np.float32)
    return scan.image + np.float32(strength) * noise


def rician_noise(scan: Scan, strength: float, rng: np.random.Generator) -> Image:
    """Take the magnitude of the image with normal noise in its real and imaginary part, as of an MR image."""
    real, imaginary = rng.standard_normal((2, *scan.image.shape), np.float32) * np.float32(strength)
    # Magnitudes are not negative; what lies below the window keeps its sign.
    sign = np.where(scan.image < 0, np.float32(-1), np.float32(1))
    return sign * np.hypot(np.abs(scan.image) + real, imaginary)


def bias_field(scan: Scan, strength: float, rng: np.random.Generator) -> Image:
    """Multiply by the exponential of a smooth polynomial, whose largest magnitude is ``strength``.

    Source: Van Leemput et al. 1999; as TorchIO's RandomBiasField.
    """
    size = scan.image.shape[1:]
    field = polynomial(size, rng.uniform(-1, 1, (ORDER + 1,) * len(size)))
    return scan.image * np.exp(np.float32(strength) * field / max(float(np.abs(field).max()), 1e-6))


def polynomial(size: tuple[int, ...], coefficients: np.ndarray) -> Image:
    """Sum the monomials of coordinates in (-1, 1) up to order 3, but for the constant: (1, *size).

    Args:
        size: Pixels per axis.
        coefficients: One per exponent of each axis; those of higher order than 3 in sum are left out.
    """
    places = centered(size)
    field = np.zeros((1, *size), np.float32)
    for exponents in np.ndindex(coefficients.shape):
        if 0 < sum(exponents) <= ORDER:
            term = np.float32(coefficients[exponents])
            for place, exponent in zip(places, exponents, strict=True):
                term = term * place**exponent
            field += term
    return field


def gamma(scan: Scan, strength: float, rng: np.random.Generator) -> Image:
    """Raise to the power of exp(strength) or exp(-strength), whichever was drawn."""
    power = np.exp(_sign(rng) * strength)
    return (np.sign(scan.image) * np.abs(scan.image) ** power).astype(np.float32)


def contrast(scan: Scan, strength: float, rng: np.random.Generator) -> Image:
    """Draw all intensities to the mean of each channel, by exp(-strength)."""
    del rng
    mean = scan.image.mean(axis=tuple(range(1, scan.image.ndim)), keepdims=True)
    return mean + np.float32(np.exp(-strength)) * (scan.image - mean)


def brightness(scan: Scan, strength: float, rng: np.random.Generator) -> Image:
    """Add ``strength`` of the window, or take it away, whichever was drawn."""
    return scan.image + np.float32(_sign(rng) * strength)


def histogram_shift(scan: Scan, strength: float, rng: np.random.Generator) -> Image:
    """Map intensities by a rising curve whose knots were moved at random, by ``strength`` of the window at most.

    Source: as MONAI's RandHistogramShift; the curve goes on straight beyond the window.
    """
    knots = np.linspace(0, 1, KNOTS)
    moved = np.maximum.accumulate(knots + strength * rng.uniform(-1, 1, KNOTS))
    inside = np.interp(scan.image, knots, moved)
    beyond = np.minimum(scan.image, 0) + np.maximum(scan.image - 1, 0)
    return (inside + beyond).astype(np.float32)


def color_cast(scan: Scan, strength: float, rng: np.random.Generator) -> Image:
    """Multiply each color by another factor, their logarithms 0 in sum and up to ``strength``."""
    shifts = rng.uniform(-1, 1, len(scan.image))
    shifts = (shifts - shifts.mean()) / max(float(np.abs(shifts - shifts.mean()).max()), 1e-6)
    factors = np.exp(strength * shifts).astype(np.float32)
    return scan.image * factors.reshape(-1, *[1] * (scan.image.ndim - 1))


def vignette(scan: Scan, strength: float, rng: np.random.Generator) -> Image:
    """Darken towards the corners, as cos⁴ of the angle of a lens whose half angle in the corner grows with strength."""
    del rng
    squares = sum(place**2 for place in centered(scan.image.shape[1:]))
    return scan.image / (1 + np.float32(strength) * squares) ** 2


def _sign(rng: np.random.Generator) -> int:
    return int(rng.choice((-1, 1)))
