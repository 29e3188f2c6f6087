"""Corruptions of acquisition: what moves, disturbs or leaves out a part of k-space, and lost resolution.

Each takes a scan, a strength and random numbers, and returns the image (C, *S) in the scan's window.
"""

import io

import numpy as np
from PIL import Image as Pillow
from scipy.fft import fft, ifft
from scipy.ndimage import affine_transform, gaussian_filter1d
from scipy.signal import fftconvolve

from segexp.data.augmentation.kspace import ghost_lines
from segexp.stress.scan import Image, Scan, along

FWHM = 2.3548  # standard deviations in the full width at half maximum
MOVES = 3  # of the body during a scan with motion
DEGREES, FRACTION = 10.0, 0.05  # turn, and shift along each axis, of a movement of strength 1


def ghosting(scan: Scan, strength: float, rng: np.random.Generator) -> Image:
    """Weaken every n-th line of k-space along an axis of the plane by ``strength``, but for its center: n ghosts.

    Source: as TorchIO's Ghosting, whose intensity the strength is.
    """
    axis = scan.plane[rng.integers(2)]
    count = int(rng.integers(3, 8))
    return ghosted(scan.image, strength, axis, count)


def ghosted(image: Image, strength: float, axis: int, count: int) -> Image:
    """Weaken every ``count``-th line of k-space of an image (C, *S) along a spatial axis."""
    size = image.shape[axis + 1]
    factors = along(np.where(ghost_lines(size, count), 1 - strength, 1.0), axis, image.ndim - 1)
    return ifft(fft(image, axis=axis + 1) * factors, axis=axis + 1).real.astype(np.float32)


def motion(scan: Scan, strength: float, rng: np.random.Generator) -> Image:
    """Take parts of k-space along an axis of the plane while the body lies turned and shifted in the plane.

    The center, a tenth of the lines, is of the first position. Source: Shaw et al. 2019, as TorchIO's Motion.
    """
    axis = scan.plane[rng.integers(2)]
    turns, shifts = rng.uniform(-1, 1, MOVES), rng.uniform(-1, 1, (MOVES, 2))
    spectrum = fft(scan.image, axis=axis + 1)
    size = spectrum.shape[axis + 1]
    # In the order of acquisition: from the most negative frequency to the highest.
    order = np.fft.fftshift(np.arange(size))
    outside = np.array_split(order[np.abs(np.arange(size) - size // 2) > size / 20], MOVES)
    for turn, shift, lines in zip(turns, shifts, outside, strict=True):
        moved = fft(_moved(scan, turn * strength, shift * strength), axis=axis + 1)
        chosen = (slice(None),) * (axis + 1) + (lines,)
        spectrum[chosen] = moved[chosen]
    return ifft(spectrum, axis=axis + 1).real.astype(np.float32)


def _moved(scan: Scan, turn: float, shift: np.ndarray) -> Image:
    """Turn and shift the image in its plane, in units of ``DEGREES`` and of ``FRACTION`` of its size."""
    first, second = scan.plane
    matrix = rotation_matrix(np.radians(DEGREES * turn), scan)
    size = np.array(scan.image.shape[1:], float)
    offset = (size - 1) / 2 - matrix @ ((size - 1) / 2)
    for place, part in zip((first, second), shift, strict=True):
        offset[place] += FRACTION * part * size[place]
    channels = [affine_transform(each, matrix, offset, order=1, mode="nearest") for each in scan.image]
    return np.stack(channels)


def rotation_matrix(angle: float, scan: Scan) -> np.ndarray:
    """Turn in the plane of the slices, in pixels that may be oblong: (axes, axes), from new to old places."""
    first, second = scan.plane
    ratio = scan.spacing[second] / scan.spacing[first]
    matrix = np.eye(len(scan.spacing))
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[first, second] = -np.sin(angle) * ratio
    matrix[second, first] = np.sin(angle) / ratio
    return matrix


def spikes(scan: Scan, strength: float, rng: np.random.Generator) -> Image:
    """Add stripes through the whole image: two points of k-space, each ``strength`` times its largest one.

    Source: as TorchIO's Spike.
    """
    size = np.array(scan.image.shape[1:])
    places = [np.floor(rng.uniform(0, 1, len(size)) * size).astype(int) for _ in range(2)]
    stripes = sum(stripe(scan.image.shape[1:], place - size // 2) for place in places)
    largest = np.abs(scan.image.mean(axis=tuple(range(1, scan.image.ndim)), keepdims=True))
    return (scan.image + np.float32(strength) * largest * stripes).astype(np.float32)


def stripe(size: tuple[int, ...], frequency: np.ndarray) -> Image:
    """Wave of so many periods along each axis: (1, *size), from -1 to 1."""
    phase = sum(
        along(2 * np.pi * count * np.arange(n) / n, axis, len(size))
        for axis, (n, count) in enumerate(zip(size, frequency, strict=True))
    )
    return np.cos(phase, dtype=np.float32)


def blur(scan: Scan, strength: float, rng: np.random.Generator) -> Image:
    """Blur by a Gaussian of standard deviation ``strength``, in the smallest pixels of the scan, along all axes."""
    del rng
    finest = min(scan.spacing)
    return _smoothed(scan.image, [strength * finest / size for size in scan.spacing])


def _smoothed(image: Image, sigmas: list[float]) -> Image:
    for axis, sigma in enumerate(sigmas):
        if sigma > 0.05:  # px; below, no neighbor has any weight
            image = gaussian_filter1d(image, sigma, axis=axis + 1, mode="nearest", truncate=3.0)
    return image


def low_resolution(scan: Scan, strength: float, rng: np.random.Generator) -> Image:
    """Sample pixels in the plane that are 1 + strength as large, and interpolate them back."""
    del rng
    image = scan.image
    for axis in scan.plane:
        image = coarser(image, axis, 1 + strength)
    return image


def thick_slices(scan: Scan, strength: float, rng: np.random.Generator) -> Image:
    """Sample slices that are 1 + strength as thick, and interpolate them back."""
    del rng
    return coarser(scan.image, scan.slice_axis, 1 + strength)


def coarser(image: Image, axis: int, factor: float) -> Image:
    """Sample pixels ``factor`` times as large along a spatial axis, and interpolate back, linearly.

    A large pixel averages over its own width: by a Gaussian with that full width at half maximum.
    """
    size = image.shape[axis + 1]
    if factor <= 1 or size < 2:
        return image
    smooth = gaussian_filter1d(image, np.sqrt(factor**2 - 1) / FWHM, axis=axis + 1, mode="nearest", truncate=3.0)
    # Large pixels lie symmetrically about the center.
    center, reach = (size - 1) / 2, max(1, int((size / factor - 1) // 2 + 1))
    places = np.clip(center + factor * np.arange(-reach, reach + 1), 0, size - 1)
    coarse = _interpolated(smooth, places, axis)
    back = np.interp(np.arange(size), places, np.arange(len(places)))
    return _interpolated(coarse, back, axis)


def _interpolated(image: Image, places: np.ndarray, axis: int) -> Image:
    """Read an image (C, *S) between its pixels along one axis."""
    below = np.clip(np.floor(places).astype(int), 0, image.shape[axis + 1] - 1)
    above = np.minimum(below + 1, image.shape[axis + 1] - 1)
    weight = along((places - below).astype(np.float32), axis, image.ndim - 1)
    return (1 - weight) * image.take(below, axis + 1) + weight * image.take(above, axis + 1)


def defocus(scan: Scan, strength: float, rng: np.random.Generator) -> Image:
    """Average over a disk with a radius of ``strength`` pixels, as a lens out of focus."""
    del rng
    reach = int(np.ceil(strength))
    distance = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1])
    disk = np.clip(strength + 0.5 - distance, 0, 1).astype(np.float32)  # the rim in part
    wide = np.pad(scan.image, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    return fftconvolve(wide, (disk / disk.sum())[None], mode="valid", axes=(1, 2)).astype(np.float32)


def jpeg(scan: Scan, strength: float, rng: np.random.Generator) -> Image:
    """Compress as JPEG with a quality of 100 - strength, at least 1."""
    del rng
    picture = Pillow.fromarray(np.moveaxis(scan.stored(scan.image), 0, -1))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=round(max(1.0, 100.0 - strength)))
    return scan.seen(np.moveaxis(np.asarray(Pillow.open(buffer)), -1, 0))
