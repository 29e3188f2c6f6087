"""Rotation, scaling and elastic deformation about all axes of a patch, by one interpolation."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import albumentations as A
import cv2
import numpy as np
from scipy import ndimage

from segexp.data.augmentation.geometry import spread
from segexp.errors import require_at_least, require_between

CV2_SIDE = 2**15 - 1  # cv2.remap takes sides below
BLOCK = 2**13  # pixels that are interpolated at a time


class AffineElastic(A.DualTransform):
    """Rotation about all axes, scaling and smooth elastic deformation, of images and volumes, in one interpolation.

    Each of the three is drawn on its own. Angles and lengths are those of the spacing of the patch. Along an axis of
    coarser pixels an image cannot be interpolated well: a rotation that mixes two axes has the angle times the ratio of
    their pixel sizes, the finer over the coarser, and the factor along an axis of pixels r times the finest is taken
    to the power of 1 / r. A volume of 5 × 0.6 × 0.6 mm is so turned out of its slice plane by 1.8° at most.

    Images are interpolated linearly, masks and weight maps by nearest neighbor; all are mirrored beyond the border.

    Args:
        degrees: Largest angle about each axis, either way.
        scale: Range of the factor by which things grow, evenly drawn in its logarithm.
        sigma: Standard deviation of the moves of the nodes of a coarse grid, in pixels of the finest axis; between
            the nodes the moves are interpolated by cubic splines.
        grid: Number of nodes per axis, at least 2; the outer ones lie on corners, edges and faces of the patch.
        p_rotation: Probability of a rotation.
        p_scaling: Probability of scaling.
        p_elastic: Probability of an elastic deformation.
        p: Probability that any of the three is drawn at all.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        degrees: float = 15.0,
        scale: tuple[float, float] = (0.85, 1.25),
        sigma: float = 2.0,
        grid: int = 4,
        p_rotation: float = 0.3,
        p_scaling: float = 0.3,
        p_elastic: float = 0.2,
        p: float = 1.0,
    ) -> None:
        super().__init__(p=p)
        require_at_least("degrees of AffineElastic", degrees, 0)
        require_at_least("sigma of AffineElastic", sigma, 0)
        require_at_least("grid of AffineElastic", grid, 2, integer=True)
        if len(scale) != 2 or not 0 < scale[0] <= scale[1]:
            raise ValueError(f"scale of AffineElastic={list(scale)} must be a range [least, most] of factors above 0")
        for name, value in (("p_rotation", p_rotation), ("p_scaling", p_scaling), ("p_elastic", p_elastic)):
            require_between(f"{name} of AffineElastic", value, 0, 1)
        self.degrees = degrees
        self.scale = scale
        self.sigma = sigma
        self.grid = grid
        self.p_rotation = p_rotation
        self.p_scaling = p_scaling
        self.p_elastic = p_elastic

    def symmetries(self, size: Sequence[int]) -> list[str]:  # noqa: ARG002
        """Name the turns in the slice plane that patches come with: all where it is turned all around."""
        return ["quarter_turn"] if self.degrees >= 180 and self.p_rotation > 0 else []

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """Draw the three, and find where each pixel of the moved patch comes from; None where none is drawn."""
        size = (data["images"] if "images" in data else data["image"]).shape[:-1]
        spacing = np.array(data.get("spacing") or (1.0,) * len(size))
        rng, axes = self.random_generator, len(size)
        turned, scaled, bent = rng.random(3) < (self.p_rotation, self.p_scaling, self.p_elastic)
        if not (turned or scaled or bent):
            return {"places": None}
        matrix = np.eye(axes)
        if turned:
            matrix = rotation(rng.uniform(-self.degrees, self.degrees, axes * (axes - 1) // 2), spacing)
        if scaled:
            factor = math.exp(rng.uniform(*np.log(self.scale)))
            matrix = matrix / factor ** (spacing.min() / spacing)  # the moved patch shows less of what has grown
        moves = np.zeros((axes, *(self.grid,) * axes))
        if bent:
            moves = rng.normal(0, self.sigma * spacing.min(), moves.shape)
        return {"places": places_of(size, spacing, matrix, moves)}

    def apply(self, img: np.ndarray, places: np.ndarray | None, **params: Any) -> np.ndarray:  # noqa: ARG002
        """Move an image (H, W, C), or a volume (D, H, W, C), in [0, 1]."""
        return img if places is None else interpolated(img, places)

    def apply_to_images(self, images: np.ndarray, **params: Any) -> np.ndarray:
        """Move a volume (D, H, W, C)."""
        return self.apply(images, **params)

    def apply_to_mask(self, mask: np.ndarray, places: np.ndarray | None, **params: Any) -> np.ndarray:  # noqa: ARG002
        """Move a mask, or a weight map, (H, W) or (D, H, W); no value comes in that was not there."""
        return mask if places is None else nearest(mask, places)

    def apply_to_masks(self, masks: np.ndarray, **params: Any) -> np.ndarray:
        """Move the mask, or weight map, of a volume (D, H, W)."""
        return self.apply_to_mask(masks, **params)


def rotation(degrees: Sequence[float] | np.ndarray, spacing: Sequence[float] | np.ndarray) -> np.ndarray:
    """Rotate by an angle in the plane of each pair of axes, one after the other.

    Args:
        degrees: Angles, of axes (0, 1), (0, 2), (1, 2) in turn, or the one of an image; each is lessened by the
            anisotropy of its plane.
        spacing: (axes) size of a pixel.

    Returns:
        (axes, axes) matrix for lengths in the unit of the spacing.
    """
    axes = len(spacing)
    matrix = np.eye(axes)
    for angle, (i, j) in zip(degrees, itertools.combinations(range(axes), 2), strict=True):
        ratio = min(spacing[i], spacing[j]) / max(spacing[i], spacing[j])
        cosine, sine = math.cos(math.radians(angle * ratio)), math.sin(math.radians(angle * ratio))
        turn = np.eye(axes)
        turn[[i, j], [i, j]] = cosine
        turn[i, j], turn[j, i] = -sine, sine
        matrix = turn @ matrix
    return matrix


def places_of(
    size: Sequence[int], spacing: Sequence[float] | np.ndarray, matrix: np.ndarray, moves: np.ndarray
) -> np.ndarray:
    """Where in a patch each pixel of the moved one comes from, mirrored once where that is beyond a border.

    Args:
        size: Size of the patch, *S.
        spacing: (axes) size of a pixel.
        matrix: (axes, axes) from the moved patch to the patch, about their center, in the unit of the spacing.
        moves: (axes, *(grid,) * axes) added at the nodes, in the unit of the spacing.

    Returns:
        (axes, *S) float32, places in pixels, each within the patch.
    """
    axes, grid = len(size), moves.shape[-1]
    # The map is found at the nodes alone: a natural cubic spline keeps what is linear, here the matrix.
    last = np.array(size) - 1
    halves = np.maximum(last, 1) / 2 * spacing
    nodes = np.array(np.meshgrid(*[np.linspace(-half, half, grid) for half in halves], indexing="ij"))
    per_axis = (axes, *(1,) * axes)
    found = (np.tensordot(matrix, nodes, 1) + moves) / np.reshape(spacing, per_axis) + np.reshape(last / 2, per_axis)
    found = found.astype(np.float32)
    for axis in reversed(range(axes)):  # from nodes to pixels, one axis after the other
        found = spread(size[axis], grid).astype(np.float32) @ found.reshape(axes * grid**axis, grid, -1)
    found = found.reshape(axes, *size)
    for place, most in zip(found, last.astype(np.float32), strict=True):
        np.abs(place, out=place)  # mirrored at the first pixel, then at the last one
        np.abs(np.subtract(most, place, out=place), out=place)
        np.clip(np.subtract(most, place, out=place), 0, most, out=place)
    return found


def interpolated(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Take the values of an image (*S, C) float32 at places (axes, *S), interpolated linearly between pixels."""
    volume = image.reshape(-1, *image.shape[-3:])  # (D, H, W, C); an image is a single slice
    depth, height, width, channels = volume.shape
    if max(depth * height, width) >= CV2_SIDE:
        layers = [ndimage.map_coordinates(layer, places, order=1) for layer in np.moveaxis(image, -1, 0)]
        return np.stack(layers, axis=-1)
    # cv2 interpolates in the plane, with SIMD: the slices lie one below the other in one tall image.
    tall = volume.reshape(depth * height, width, channels)
    moved = np.empty_like(tall)
    for rows in _blocks(tall):
        *above, row, column = (place.reshape(-1, width)[rows] for place in places)
        if depth == 1:
            moved[rows] = _remapped(tall, row, column)
            continue
        first = np.minimum(np.floor(above[0]), depth - 2)
        row = row + first * np.float32(height)
        low = _remapped(tall, row, column)
        high = _remapped(tall, row + np.float32(height), column)
        moved[rows] = low + (above[0] - first)[..., None] * (high - low)
    return moved.reshape(image.shape)


def nearest(mask: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Take the values of a mask (*S) at the pixels nearest to places (axes, *S)."""
    tall = mask.reshape(-1, mask.shape[-1])
    moved = np.empty_like(tall)
    for rows in _blocks(tall):
        flat = np.zeros((), np.intp)
        for length, place in zip(mask.shape, places, strict=True):
            flat = flat * length + np.rint(place.reshape(tall.shape)[rows]).astype(np.intp)
        moved[rows] = tall.reshape(-1).take(flat)
    return moved.reshape(mask.shape)


def _blocks(tall: np.ndarray) -> list[slice]:
    """Rows of a few thousand pixels: what lies in between stays in the cache, and no memory is asked for."""
    step = max(1, BLOCK // tall.shape[1])
    return [slice(first, first + step) for first in range(0, len(tall), step)]


def _remapped(tall: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    parts = [tall[..., first : first + 4] for first in range(0, tall.shape[-1], 4)]  # cv2 takes four at most
    moved = [cv2.remap(np.ascontiguousarray(part), columns, rows, cv2.INTER_LINEAR) for part in parts]
    return np.dstack(moved)
