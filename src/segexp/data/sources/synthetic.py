"""Synthetic tissue: cells with dark membranes as in electron microscopy, drawn from a seed, in 2-D and 3-D."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from segexp.data.case import Case, Entry
from segexp.errors import require_at_least, require_choice

CELL = 26.0  # mean diameter of a cell, px
MEMBRANE = 1.0  # half the thickness of a membrane, px, besides its middle
SPECK = 12  # smaller pieces of cells become membrane, px
GRAY = 148.0  # mean of the cytoplasm
# Class 2, 3, …: brightness against the cytoplasm, brightness of the rim, strength of grain, strength of stripes.
LOOKS = np.array([(-30, -45, 4, 26), (45, -30, 2, 0), (5, -15, 46, 0), (-58, 0, 6, 0)], dtype=np.float32)


class Synthetic:
    """Cells that dark membranes separate, and organelles in them; nothing is read or downloaded.

    Class 0 is the interior of cells, 1 the membrane, 2 mitochondria (dark rim, stripes), 3 vacuoles (bright),
    4 granular bodies, 5 dense bodies. With two classes the mitochondria are drawn but count as interior. Noise, uneven
    illumination, blurred stretches of membrane and dark vesicles keep the intensity alone from telling the class.

    Case number i depends on the seed, on i and on the other arguments, never on ``count``.

    Args:
        size: (H, W) or (D, H, W) of every case, each at least 16; px.
        count: Number of cases.
        num_classes: 2 to 6.
        channels: Channels of the image, at least 1; each has less contrast than the one before, and noise of its own.
        seed: At least 0.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(
        self, size: Sequence[int] = (128, 128), count: int = 16, num_classes: int = 2, channels: int = 1, seed: int = 0
    ) -> None:
        require_choice("the number of axes in size", len(size), (2, 3))
        for extent in size:
            require_at_least("size", extent, 16, integer=True)
        require_at_least("count", count, 1, integer=True)
        require_choice("num_classes", num_classes, range(2, 3 + len(LOOKS)))
        require_at_least("channels", channels, 1, integer=True)
        require_at_least("seed", seed, 0, integer=True)
        self.size = tuple(size)
        self.count = count
        self.num_classes = num_classes
        self.channels = channels
        self.seed = seed

    def prepare(self) -> None:
        """Do nothing: cases are drawn when they are read."""

    def entries(self) -> list[Entry]:
        """Return cells_0000, cells_0001 and so on."""
        return [Entry(f"cells_{index:04d}") for index in range(self.count)]

    def read(self, name: str) -> Case:
        """Draw one case: image (C, *S) uint8, target (*S) uint8."""
        names = [entry.name for entry in self.entries()]
        require_choice("name", name, names)
        rng = np.random.default_rng([self.seed, names.index(name)])
        cells = draw_cells(rng, self.size)
        kinds = max(1, self.num_classes - 2)
        organelles, structure = _draw_organelles(rng, cells, kinds)
        structure += _draw_membranes(rng, cells == 0) + _draw_vesicles(rng, (cells > 0) & (organelles == 0))
        structure = ndimage.gaussian_filter(structure, 0.5)
        image = np.stack([_expose(rng, structure * 0.8**channel) for channel in range(self.channels)])
        target = np.where(organelles < self.num_classes, organelles, 0).astype(np.uint8)
        target[cells == 0] = 1
        return Case(name, image, target, (1.0,) * len(self.size))


def draw_cells(rng: np.random.Generator, size: Sequence[int]) -> np.ndarray:
    """Divide space into cells: a Voronoi diagram in warped coordinates, with membranes along its borders; (*S) int.

    0 is membrane, 1, 2, … are the cells, each of one piece (joined by faces, not corners).
    """
    # Each voxel belongs to the nearest seed; one is drawn in each box of a grid, and some are left out.
    boxes = [np.arange(-1, math.ceil(extent / CELL) + 1) for extent in size]
    corners = np.stack(np.meshgrid(*boxes, indexing="ij"), axis=-1).reshape(-1, len(size))
    seeds = (corners + rng.random(corners.shape)) * CELL
    seeds = seeds[rng.random(len(seeds)) > 0.15]
    wave = [4.5 * _field(rng, size, 14) + 1.3 * _field(rng, size, 5) for _ in size]
    voxels = np.stack([grid + shift for grid, shift in zip(np.indices(size), wave, strict=True)], axis=-1)
    owner = cKDTree(seeds).query(voxels.reshape(-1, len(size)))[1].reshape(size)
    # Membranes lie where neighbors belong to different seeds.
    border = np.zeros(size, dtype=bool)
    for axis, extent in enumerate(size):
        low, high = owner.take(range(extent - 1), axis), owner.take(range(1, extent), axis)
        np.moveaxis(border, axis, 0)[:-1] |= np.moveaxis(low != high, axis, 0)
    pieces, _ = ndimage.label(ndimage.distance_transform_edt(~border) > MEMBRANE)
    # Pieces of less than SPECK px become membrane, the others are numbered from 1.
    area = np.bincount(pieces.ravel())
    kept = (area >= SPECK) & (np.arange(len(area)) > 0)
    return np.where(kept, np.cumsum(kept), 0)[pieces]


def _draw_organelles(rng: np.random.Generator, cells: np.ndarray, kinds: int) -> tuple[np.ndarray, np.ndarray]:
    """Put an ellipsoid into most cells with room, each kind equally often: class (*S) uint8 or 0, brightness (*S)."""
    # Three quarters of the cells that are deep enough, and in each a voxel (flat index) as a center.
    depth = ndimage.distance_transform_edt(cells > 0)
    room = rng.permutation(np.flatnonzero(depth >= 5))
    hosts, at = np.unique(cells.flat[room], return_index=True)
    chosen = rng.permutation(len(hosts))[: math.ceil(0.75 * len(hosts))]
    hosts, centers = hosts[chosen], room[at[chosen]]
    # What each cell holds, how large and where.
    kind = np.zeros(cells.max() + 1, dtype=np.uint8)
    kind[hosts] = 2 + np.arange(len(hosts)) % kinds
    radius = np.ones(cells.max() + 1, dtype=np.float32)
    radius[hosts] = np.minimum(depth.flat[centers] * rng.uniform(0.7, 0.95, len(hosts)), 9)
    center = np.zeros((cells.ndim, cells.max() + 1), dtype=np.float32)
    center[:, hosts] = np.unravel_index(centers, cells.shape)
    reach, along = _measure_ellipsoids(rng, cells, center, radius)
    organelles = np.where((reach < 1) & (depth > 1.5), kind[cells], 0).astype(np.uint8)
    # The look of each class; 0 elsewhere.
    looks = np.vstack([np.zeros((2, LOOKS.shape[1]), dtype=np.float32), LOOKS])
    level, rim, grain, stripes = np.moveaxis(looks[organelles], -1, 0)
    surface = grain * _field(rng, cells.shape, 2) + stripes * np.sin(2 * np.pi * along / 5)
    return organelles, level + surface + rim * np.exp(-(((reach - 0.95) / 0.16) ** 2))


def _measure_ellipsoids(
    rng: np.random.Generator, cells: np.ndarray, center: np.ndarray, radius: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Place each voxel within the ellipsoid of its cell, which is 1.7 times as long as thick and points anywhere.

    The reach (*S) is 0 in the middle and 1 at the rim; the way along the long axis (*S) is in px.
    """
    axis = rng.standard_normal(center.shape, dtype=np.float32)
    axis /= np.linalg.norm(axis, axis=0)
    offset = np.indices(cells.shape, dtype=np.float32) - center[:, cells]
    along = (offset * axis[:, cells]).sum(axis=0)
    squared = np.maximum((offset**2).sum(axis=0) - 0.65 * along**2, 0)
    return np.sqrt(squared) / radius[cells] + 0.1 * _field(rng, cells.shape, 5), along


def _draw_membranes(rng: np.random.Generator, membrane: np.ndarray) -> np.ndarray:
    """Darken the membranes, here sharp, there blurred and faint."""
    sharp = ndimage.gaussian_filter(membrane.astype(np.float32), 0.8)
    faint = ndimage.gaussian_filter(sharp, 2.2)
    blur = np.clip(_field(rng, membrane.shape, 14) - 0.5, 0, 1)
    strength = 78 + 14 * _field(rng, membrane.shape, 10)
    return -strength * (sharp + blur * (faint - sharp))


def _draw_vesicles(rng: np.random.Generator, room: np.ndarray) -> np.ndarray:
    """Scatter dark dots and small rings over the cytoplasm."""
    density = 0.07 / 5**room.ndim  # a section shows as many in 3-D as in 2-D
    dots = (rng.random(room.shape) < density) * room * rng.uniform(40, 90, room.shape)
    rings = (rng.random(room.shape) < density) * room * rng.uniform(180, 260, room.shape)
    return -_bump(dots, 1.2) - _bump(rings, 2.4) + _bump(rings, 1.7)


def _bump(peaks: np.ndarray, width: float) -> np.ndarray:
    """Turn each voxel's value into a Gaussian of that height; ``width`` is its standard deviation in px."""
    return ndimage.gaussian_filter(peaks, width) * (width * math.sqrt(2 * math.pi)) ** peaks.ndim


def _expose(rng: np.random.Generator, structure: np.ndarray) -> np.ndarray:
    """Take the picture: cytoplasm, uneven illumination, noise; uint8."""
    light = 15 * _field(rng, structure.shape, 40)
    cytoplasm = 7 * _field(rng, structure.shape, 3)
    noise = ndimage.gaussian_filter(rng.standard_normal(structure.shape, dtype=np.float32), 0.6)
    noise *= 14 / noise.std()
    return np.clip(GRAY + structure + light + cytoplasm + noise, 0, 255).astype(np.uint8)


def _field(rng: np.random.Generator, size: Sequence[int], scale: float) -> np.ndarray:
    """Draw a smooth random field of mean 0 and variance 1 whose values change over about ``scale`` px; (*S) float32."""
    field: np.ndarray = rng.standard_normal([math.ceil(extent / scale) + 4 for extent in size])
    for axis, extent in enumerate(size):
        knots = np.arange(field.shape[axis]) - 1.5
        distance = np.abs(np.arange(extent)[:, None] / scale - knots)
        weights = np.where(distance < 2, 1 + np.cos(np.pi * distance / 2), 0)
        weights /= np.linalg.norm(weights, axis=1, keepdims=True)
        field = np.moveaxis(np.tensordot(weights, field, (1, axis)), 0, axis)
    return field.astype(np.float32)
