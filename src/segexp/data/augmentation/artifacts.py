"""Artifacts of magnetic resonance imaging, drawn on a patch as if it were the whole image.

Images are (H, W, C), volumes (D, H, W, C), float32 in [0, 1], and stay so. Axes go by z, y, x: slices, rows, columns.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from scipy import fft

from segexp.data.augmentation.appearance import OnVolume, range_of
from segexp.data.augmentation.geometry import by_plane, warped
from segexp.data.augmentation.kspace import ghosted, waves
from segexp.data.augmentation.symmetries import AXES
from segexp.errors import require_at_least, require_choice

BLOCK = 2**16  # pixels whose k-space is made at a time: they stay in the cache


class Motion(OnVolume):
    """Ghosts and blur as of a patient who moved: outer rows of k-space come from the moved image, in the slice plane.

    The middle tenth of k-space stays, and with it the place of everything on the mask. Each move holds from a random
    row outwards, on one side. As in a scanner the magnitude is what is shown.

    Args:
        degrees: Largest angle of a move.
        shift: Largest shift per axis, in pixels.
        moves: Number of moves, at least 1.
        p: Probability of use.

    Raises:
        ValueError: An argument is out of its range.

    Source: Shaw et al. 2019, here in two dimensions.
    """

    def __init__(self, degrees: float = 5.0, shift: float = 3.0, moves: int = 2, p: float = 1.0) -> None:
        super().__init__(p=p)
        require_at_least("degrees of Motion", degrees, 0)
        require_at_least("shift of Motion", shift, 0)
        require_at_least("moves of Motion", moves, 1, integer=True)
        self.degrees = degrees
        self.shift = shift
        self.moves = moves

    def get_params(self) -> dict[str, list[tuple[float, ...]]]:
        """Draw for each move: angle, shift in x and y, and the signed frequency (1 / pixel) from which it holds."""
        draw = self.random_generator.uniform
        starts = sorted(draw(0.05, 0.5, self.moves))
        sides = draw(-1, 1, self.moves) > 0
        place = draw(-1, 1, (self.moves, 3)) * np.array([self.degrees, self.shift, self.shift])
        return {"drawn": [(*p, f, side) for p, f, side in zip(place, starts, sides, strict=True)]}

    def apply(self, img: np.ndarray, drawn: list[tuple[float, ...]], **params: Any) -> np.ndarray:  # noqa: ARG002
        """Disturb an image (H, W, C), or a volume (D, H, W, C), in [0, 1]."""
        slices = img.reshape(-1, *img.shape[-3:])
        step = max(1, BLOCK // slices[0].size)
        blocks = [moved_in_part(slices[first : first + step], drawn) for first in range(0, len(slices), step)]
        return np.concatenate(blocks).reshape(img.shape)


def moved_in_part(slices: np.ndarray, drawn: list[tuple[float, ...]]) -> np.ndarray:
    """Put rows of k-space of moved slices in the place of those at rest.

    Args:
        slices: (D, H, W, C) in [0, 1].
        drawn: For each move, the outermost last, degrees, shift in x and y, the least frequency (1 / pixel) of its
            rows, and whether they are those of positive or of negative frequencies.
    """
    height, width = slices.shape[1:3]
    spectrum = fft.fft(slices, axis=1)
    for degrees, right, down, start, side in drawn:
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1)
        matrix[:, 2] += np.array([right, down])
        move = functools.partial(warped, matrix=matrix, interpolation=cv2.INTER_LINEAR)
        moved = fft.rfft(by_plane(slices, move), axis=1)
        first = math.ceil(start * height)
        if side:
            last = (height - 1) // 2
            spectrum[:, first : last + 1] = moved[:, first : last + 1]
        else:  # the conjugate of the other side, as in all real images
            last = height // 2
            spectrum[:, height - last : height - first + 1] = moved[:, last : first - 1 : -1].conj()
    shown = np.abs(fft.ifft(spectrum, axis=1, overwrite_x=True))
    return np.minimum(shown, 1, out=shown)


class Ghosting(OnVolume):
    """Ghosts of what pulses or breathes: every n-th line of k-space is weaker along an axis, but for its center.

    Args:
        num_ghosts: Range of n, the number of ghosts.
        axes: Axes, one of which is drawn: "z" (in volumes alone), "y", "x".
        intensity: Range of the fraction by which the lines are weaker; above 1 they change their sign.
        p: Probability of use.

    Raises:
        ValueError: An argument is out of its range, or a patch has none of the axes.

    Source: as RandomGhosting of TorchIO.
    """

    def __init__(
        self,
        num_ghosts: tuple[int, int] = (2, 6),
        axes: Sequence[str] = ("y", "x"),
        intensity: tuple[float, float] = (0.3, 0.8),
        p: float = 1.0,
    ) -> None:
        super().__init__(p=p)
        self.num_ghosts = integers_of("num_ghosts of Ghosting", num_ghosts, least=1)
        self.intensity = range_of("intensity of Ghosting", intensity, least=0)
        for axis in axes:
            require_choice("an axis of Ghosting", axis, AXES)
        self.axes = axes

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """Draw the number of ghosts, their axis, as a position from the end of (D, H, W, C), and their intensity."""
        axes = [axis for axis in self.axes if axis != "z" or "images" in data]
        if not axes:
            raise ValueError(f"axes of Ghosting={list(self.axes)} leave none for this patch: name y or x")
        axis = axes[self.random_generator.integers(len(axes))]
        return {
            "count": int(self.random_generator.integers(*self.num_ghosts, endpoint=True)),
            "axis": AXES.index(axis) - len(AXES) - 1,
            "intensity": self.random_generator.uniform(*self.intensity),
        }

    def apply(self, img: np.ndarray, count: int, axis: int, intensity: float, **params: Any) -> np.ndarray:  # noqa: ARG002
        """Disturb an image (H, W, C), or a volume (D, H, W, C), in [0, 1]."""
        ghosts = ghosted(img, axis, count, intensity)
        return np.clip(ghosts, 0, 1, out=ghosts)


class Spikes(OnVolume):
    """Stripes through the whole image, also called herringbone: wrong values at single points of k-space.

    Args:
        num_spikes: Range of the number of points.
        intensity: Range of what is added to each, as a fraction of the largest value in k-space, the sum of the image.
        p: Probability of use.

    Raises:
        ValueError: An argument is out of its range.

    Source: as RandomSpike of TorchIO.
    """

    def __init__(
        self, num_spikes: tuple[int, int] = (1, 2), intensity: tuple[float, float] = (0.05, 0.25), p: float = 1.0
    ) -> None:
        super().__init__(p=p)
        self.num_spikes = integers_of("num_spikes of Spikes", num_spikes, least=0)
        self.intensity = range_of("intensity of Spikes", intensity, least=0)

    def get_params(self) -> dict[str, Any]:
        """Draw the intensity and, for each spike, its place along z, y, x as a fraction of k-space."""
        count = self.random_generator.integers(*self.num_spikes, endpoint=True)
        return {
            "places": self.random_generator.random((count, len(AXES))),
            "intensity": self.random_generator.uniform(*self.intensity),
        }

    def apply(self, img: np.ndarray, places: np.ndarray, intensity: float, **params: Any) -> np.ndarray:  # noqa: ARG002
        """Disturb an image (H, W, C), or a volume (D, H, W, C), in [0, 1]."""
        size = img.shape[:-1]
        frequencies = np.floor(places[:, -len(size) :] * size).astype(int) - np.array(size) // 2
        axes = tuple(range(len(size)))
        stripes = waves(size, frequencies)[..., None] * (intensity * img.mean(axes)).astype(np.float32)
        stripes += img
        return np.clip(stripes, 0, 1, out=stripes)


class BiasField(OnVolume):
    """Smooth shading, of coil and patient: a gain whose logarithm is a polynomial of the place.

    Args:
        coefficients: Largest magnitude of its coefficients; places run from -1 to 1 along each axis.
        order: Order of the polynomial, at least 0.
        p: Probability of use.

    Raises:
        ValueError: An argument is out of its range.

    Source: Van Leemput et al. 1999; as RandomBiasField of TorchIO.
    """

    def __init__(self, coefficients: float = 0.2, order: int = 3, p: float = 1.0) -> None:
        super().__init__(p=p)
        require_at_least("coefficients of BiasField", coefficients, 0)
        require_at_least("order of BiasField", order, 0, integer=True)
        self.coefficients = coefficients
        self.order = order

    def get_params(self) -> dict[str, np.ndarray]:
        """Draw the coefficients by the exponents of z, y, x: (order + 1, order + 1, order + 1)."""
        exponents = np.indices((self.order + 1,) * len(AXES)).sum(axis=0)
        drawn = self.random_generator.uniform(-self.coefficients, self.coefficients, exponents.shape)
        return {"drawn": np.where(exponents <= self.order, drawn, 0)}

    def apply(self, img: np.ndarray, drawn: np.ndarray, **params: Any) -> np.ndarray:  # noqa: ARG002
        """Shade an image (H, W, C), or a volume (D, H, W, C), in [0, 1]."""
        gain = polynomial(img.shape[:-1], drawn if img.ndim == 4 else drawn[0])
        np.exp(gain, out=gain)
        shaded = gain[..., None] * img
        return np.minimum(shaded, 1, out=shaded)


def polynomial(size: Sequence[int], coefficients: np.ndarray) -> np.ndarray:
    """Sum monomials of the place, which is -1 and 1 at the outermost pixels of each axis, and 0 at a single one.

    Args:
        size: Size of an image, *S.
        coefficients: (order + 1, …) by the exponent of each axis.

    Returns:
        (*S) float32.
    """
    field = coefficients.astype(np.float32)
    for axis in reversed(range(len(size))):  # from exponents to pixels, one axis after the other
        place = np.linspace(-1, 1, size[axis]) if size[axis] > 1 else np.zeros(1)
        powers = np.vander(place, field.shape[axis], increasing=True).astype(np.float32)
        field = powers @ field.reshape(*field.shape[: axis + 1], -1)
        field = field.reshape(*coefficients.shape[:axis], *size[axis:])
    return field


def integers_of(name: str, value: tuple[int, int], least: int) -> tuple[int, int]:
    """Return a range of integers; refuse, by a ValueError, what is none."""
    for each in value:
        require_at_least(name, each, least, integer=True)
    range_of(name, value, least)
    return value
