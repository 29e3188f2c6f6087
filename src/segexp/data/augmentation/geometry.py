"""Augmentation of geometry beyond albumentations: flips by axis, turns that keep a patch's size, deformation."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import albumentations as A
import cv2
import numpy as np
from scipy.interpolate import CubicSpline

from segexp.data.augmentation.symmetries import AXES
from segexp.errors import require_choice

AS_ONE = (1, 3, 4)  # channels that cv2 interpolates together, between pixels as finely as one


class _View(A.DualTransform):
    """A transform that only looks at its arrays in another order; the next one makes them contiguous, if it must."""

    def apply_with_params(self, params: dict[str, Any], *args: Any, **data: Any) -> dict[str, Any]:  # noqa: ARG002
        """Turn each image and mask, and leave all else as it is."""
        known = {key: turn for key, turn in self._key2func.items() if data.get(key) is not None}
        return {key: known[key](value, **params) if key in known else value for key, value in data.items()}


class Flips(_View):
    """Mirror images along axes, each drawn on its own with probability one half.

    Args:
        axes: Axes that may be flipped: "z" (the slices of a volume), "y" (rows), "x" (columns).
        p: Probability of use.

    Raises:
        ValueError: There is no such axis, or one stands there twice.
    """

    def __init__(self, axes: Sequence[str] = ("y", "x"), p: float = 1.0) -> None:
        super().__init__(p=p)
        for axis in axes:
            require_choice("an axis of flips", axis, AXES)
        if len(set(axes)) < len(axes):
            raise ValueError(f"flips={list(axes)} must name each axis once")
        self.axes = axes

    def symmetries(self, size: Sequence[int]) -> list[str]:  # noqa: ARG002
        """Name the flips that patches of a size come with."""
        return [f"flip_{axis}" for axis in self.axes]

    def get_params(self) -> dict[str, Any]:
        """Draw the axes that are flipped, as positions from the end of (D, H, W)."""
        drawn = [axis for axis in self.axes if self.random_generator.random() < 0.5]
        return {"flipped": tuple(AXES.index(axis) - len(AXES) for axis in drawn)}

    def apply(self, img: np.ndarray, flipped: tuple[int, ...], **params: Any) -> np.ndarray:  # noqa: ARG002
        """Flip an image (H, W, C), or a volume (D, H, W, C)."""
        return np.flip(img, tuple(axis - 1 for axis in flipped))

    def apply_to_images(self, images: np.ndarray, **params: Any) -> np.ndarray:
        """Flip a volume (D, H, W, C)."""
        return self.apply(images, **params)

    def apply_to_mask(self, mask: np.ndarray, flipped: tuple[int, ...], **params: Any) -> np.ndarray:  # noqa: ARG002
        """Flip a mask (H, W) or (D, H, W)."""
        return np.flip(mask, flipped)

    def apply_to_masks(self, masks: np.ndarray, **params: Any) -> np.ndarray:
        """Flip the mask of a volume (D, H, W)."""
        return self.apply_to_mask(masks, **params)


class QuarterTurns(_View, A.RandomRotate90):
    """Turns by 0, 90, 180 or 270 degrees in the slice plane; by 0 or 180 where the patch is oblong, to keep its size.

    ``p`` is the probability of use.
    """

    def symmetries(self, size: Sequence[int]) -> list[str]:
        """Name the turns that patches of a size come with."""
        return ["quarter_turn"] if size[-2] == size[-1] else ["half_turn"]

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, int]:  # noqa: ARG002
        """Make the number of quarter turns even where height and width differ."""
        height, width = params["shape"][:2]
        return {"factor": params["factor"] if height == width else params["factor"] // 2 * 2}


class InPlane(A.DualTransform):
    """A transform that moves the pixels of all slices of a volume alike, without albumentations' checks of each."""

    def apply_to_images(self, images: np.ndarray, **params: Any) -> np.ndarray:
        """Move the slices of a volume (D, H, W, C)."""
        return self.apply(images, **params)

    def apply_to_masks(self, masks: np.ndarray, **params: Any) -> np.ndarray:
        """Move the slices of a mask, or weight map, of a volume (D, H, W)."""
        return self.apply_to_mask(masks, **params)


class Affine(InPlane, A.Affine):
    """Rotation, scaling and shear in the slice plane, mirrored beyond the border: that of albumentations, in less time.

    Images are interpolated linearly, masks and weight maps by nearest neighbor.

    Args:
        rotate: Range of the angle, in degrees.
        scale: Range of the factor by which things grow, drawn for each of the two axes.
        shear: Range of the angles of shear, in degrees, drawn for each of the two axes.
        p: Probability of use.
    """

    def __init__(
        self,
        rotate: tuple[float, float] = (-15.0, 15.0),
        scale: tuple[float, float] = (0.85, 1.2),
        shear: tuple[float, float] = (0.0, 0.0),
        p: float = 1.0,
    ) -> None:
        super().__init__(rotate=rotate, scale=scale, shear=shear, border_mode=cv2.BORDER_REFLECT_101, p=p)

    def apply(self, img: np.ndarray, matrix: np.ndarray, **params: Any) -> np.ndarray:  # noqa: ARG002
        """Move an image (H, W, C), or the slices of a volume (D, H, W, C)."""
        return by_plane(img, lambda plane: warped(plane, matrix[:2], self.interpolation))

    def apply_to_mask(self, mask: np.ndarray, matrix: np.ndarray, **params: Any) -> np.ndarray:  # noqa: ARG002
        """Move a mask (H, W) or (D, H, W); no value comes in that was not there."""
        return by_plane(mask[..., None], lambda plane: warped(plane, matrix[:2], self.mask_interpolation))[..., 0]


class GridElastic(InPlane):
    """Elastic deformation by random moves of a coarse grid.

    The nodes of a ``grid`` × ``grid`` lattice over the patch (the outer ones on its corners and edges) move by normally
    distributed vectors; between them the moves are interpolated bicubically.

    Args:
        sigma: Standard deviation of the moves, in pixels.
        grid: Nodes per axis, at least 2.
        p: Probability of use.

    Source: Ronneberger et al. 2015, section 3.1 (3 × 3 grid, 10 pixels).
    """

    def __init__(self, sigma: float = 10.0, grid: int = 3, p: float = 1.0) -> None:
        super().__init__(p=p)
        if grid < 2 or sigma < 0:
            raise ValueError(f"GridElastic(sigma={sigma}, grid={grid}): sigma must be at least 0 and grid at least 2")
        self.sigma = sigma
        self.grid = grid

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, np.ndarray]:  # noqa: ARG002
        """Draw the moves and spread them over the plane: maps (H, W) of source positions, for cv2.remap."""
        height, width = params["shape"][-3:-1] if len(params["shape"]) > 2 else params["shape"][:2]
        moves = self.random_generator.normal(0, self.sigma, (2, self.grid, self.grid))
        down, across = spread(height, self.grid), spread(width, self.grid)
        rows = np.arange(height)[:, None] + down @ moves[0] @ across.T
        columns = np.arange(width)[None, :] + down @ moves[1] @ across.T
        return {"map_x": columns.astype(np.float32), "map_y": rows.astype(np.float32)}

    def apply(self, img: np.ndarray, map_x: np.ndarray, map_y: np.ndarray, **params: Any) -> np.ndarray:  # noqa: ARG002
        """Deform an image (H, W, C), or volume (D, H, W, C), mirrored beyond its border; bicubic keeps more noise."""
        moved = by_plane(img, lambda plane: remapped(plane, map_x, map_y, cv2.INTER_CUBIC))
        return np.clip(moved, img.min(), img.max(), out=moved)  # bicubic overshoots at edges

    def apply_to_mask(self, mask: np.ndarray, map_x: np.ndarray, map_y: np.ndarray, **params: Any) -> np.ndarray:  # noqa: ARG002
        """Deform a mask (H, W) or (D, H, W) by nearest neighbor."""
        return by_plane(mask[..., None], lambda plane: remapped(plane, map_x, map_y, cv2.INTER_NEAREST))[..., 0]


def warped(plane: np.ndarray, matrix: np.ndarray, interpolation: int) -> np.ndarray:
    """Move a plane (H, W, C) by a matrix (2, 3) from old to new places (x, y), mirrored beyond its border."""
    size = plane.shape[1::-1]
    return cv2.warpAffine(plane, matrix, size, flags=interpolation, borderMode=cv2.BORDER_REFLECT_101)


def remapped(plane: np.ndarray, map_x: np.ndarray, map_y: np.ndarray, interpolation: int) -> np.ndarray:
    """Take the values of a plane (H, W, C) at places (H, W), mirrored beyond its border."""
    return cv2.remap(plane, map_x, map_y, interpolation, borderMode=cv2.BORDER_REFLECT_101)


def by_plane(image: np.ndarray, move: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Move each slice of an image (H, W, C), or volume (D, H, W, C), by a function of cv2 for one plane (H, W, C)."""
    *_, height, width, channels = image.shape
    if channels not in AS_ONE:
        layers = [by_plane(np.ascontiguousarray(layer)[..., None], move) for layer in np.moveaxis(image, -1, 0)]
        return np.concatenate(layers, axis=-1)
    planes = image.reshape(-1, height, width, channels)
    return np.stack([move(plane) for plane in planes]).reshape(image.shape)


@functools.lru_cache(maxsize=8)
def spread(length: int, grid: int) -> np.ndarray:
    """Weights (length, grid) that interpolate ``grid`` node values to ``length`` pixels by a natural cubic spline."""
    half = max(length - 1, 1) / 2  # nodes need a distance where there is a single pixel, in their middle
    nodes = (length - 1) / 2 + np.linspace(-half, half, grid)
    return CubicSpline(nodes, np.eye(grid), bc_type="natural")(np.arange(length))
