"""What the audit measures on a case; plain values, so that no pixels stay in memory."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from segexp.data.case import IGNORED, Case, Entry, Stored
from segexp.data.intensity.scaling import is_gray, robust_range
from segexp.errors import times

STRIDE = 2  # pixels, of the first down-sampling of most networks
THUMBNAIL = 16  # pixels of each side
Row = dict[str, str | int | float]  # of cases.csv: cells under the names of their columns


@dataclass(frozen=True)
class Content:
    """What the arrays of a case alone tell, and takes time to find; see ``Measures`` for each."""

    low: float
    high: float
    usual_low: float
    usual_high: float
    counts: tuple[int, ...]
    image_hash: str
    mask_hash: str
    gray: bool
    thin: tuple[int, ...]
    objects: int
    touching: int
    components: int
    thumbnail: np.ndarray = field(compare=False)


@dataclass(frozen=True)
class Measures(Content):
    """Measures of one case.

    Attributes:
        file: First file of the case, or "".
        group: Patient or other unit, or "".
        split: "train", "val", "test", or "" where the split leaves the case out.
        size: Pixels per axis.
        dtype: Type of the values in the image's file.
        low: Smallest value of the image.
        high: Largest value.
        usual_low: Smallest value without single pixels far beyond all others, see ``robust_range``.
        usual_high: Largest value likewise.
        spacing: Size of a pixel per axis.
        unit: Unit of ``spacing``.
        orientation: Axes of the file, or "".
        mask_values: Pixels per value of the mask file, before classes were made of them; empty = not known.
        counts: Pixels per class.
        image_hash: Hash of the pixels; equal images have equal hashes.
        mask_hash: Hash of the target.
        gray: Whether three channels hold the same.
        image_stored: How the file of the image stores it; empty for volumes.
        mask_stored: How the file of the mask stores it; empty for volumes.
        thin: Foreground classes that are nowhere as thick as ``STRIDE`` pixels in their slices.
        objects: Number of numbered objects; 0 where they are not numbered.
        touching: Number of those that share a connected component of their class with another.
        components: Number of connected components that the numbered objects make.
        thumbnail: Local means (``THUMBNAIL``²) of the image, or of the middle slice of a volume, channels averaged.
    """

    name: str
    file: str
    group: str
    split: str
    size: tuple[int, ...]
    channels: int
    dtype: str
    spacing: tuple[float, ...]
    unit: str
    orientation: str
    mask_values: dict[int, int]
    image_stored: Stored
    mask_stored: Stored

    @property
    def labeled(self) -> int:
        """Pixels that have a class."""
        return sum(self.counts)

    @property
    def foreground_fraction(self) -> float:
        """Fraction of foreground among the labeled pixels; nan without any."""
        return 1 - self.counts[0] / self.labeled if self.labeled else float("nan")


def content_of(case: Case, num_classes: int) -> Content:
    """Measure the arrays of a case.

    Raises:
        ValueError: The image has values that are not finite; names case, file and how many.
    """
    image, target = np.ascontiguousarray(case.image), case.target
    broken = 0 if image.dtype.kind != "f" else image.size - int(np.count_nonzero(np.isfinite(image)))
    if broken:
        file = str(case.files[0]) if case.files else ""
        raise ValueError(
            f"case {case.name} ({file}) has {broken} of {image.size} values that are NaN or infinite: "
            "put numbers in their place in the file, or leave the case out"
        )
    counts = () if target is None else tuple(int(np.count_nonzero(target == c)) for c in range(num_classes))
    objects, touching, components = _count_objects(case)
    usual = np.array([robust_range(channel) for channel in image])
    return Content(
        low=float(image.min()),
        high=float(image.max()),
        usual_low=float(usual[:, 0].min()),
        usual_high=float(usual[:, 1].max()),
        counts=counts,
        image_hash=_hash(image),
        mask_hash="" if target is None else _hash(target),
        gray=len(image) == 3 and is_gray(image),
        thin=() if target is None else tuple(c for c in range(1, num_classes) if counts[c] and _is_thin(target == c)),
        objects=objects,
        touching=touching,
        components=components,
        thumbnail=_thumbnail(image),
    )


def measure(entry: Entry, case: Case, split: str, content: Content) -> Measures:
    """Put together what is known of one case."""
    return Measures(
        name=case.name,
        file=str(case.files[0]) if case.files else "",
        group=entry.group,
        split=split,
        size=case.image.shape[1:],
        channels=case.image.shape[0],
        dtype=str(case.facts.get("image_dtype", case.image.dtype)),
        spacing=tuple(case.spacing),
        unit=case.spacing_unit,
        orientation=case.orientation,
        mask_values={int(value): count for value, count in case.facts.get("mask_values", {}).items()},
        image_stored=case.facts.get("image_stored", Stored()),
        mask_stored=case.facts.get("mask_stored", Stored()),
        **vars(content),
    )


def row(measures: Measures, class_names: Sequence[str], rules: Sequence[str]) -> Row:
    """One row of cases.csv: plain values under the names of columns; ``rules`` are those that found the case."""
    counts = dict(zip((f"px_{name}" for name in class_names), measures.counts, strict=False))
    return {
        "case": measures.name,
        "split": measures.split,
        "group": measures.group,
        "findings": "; ".join(rules),
        "size": times(measures.size),
        "channels": measures.channels,
        "dtype": measures.dtype,
        "min": measures.low,
        "max": measures.high,
        "spacing": times(measures.spacing),
        "unit": measures.unit,
        "orientation": measures.orientation,
        "foreground": round(measures.foreground_fraction, 6) if measures.labeled else "",
        **counts,
        "objects": measures.objects or "",
        "touching": measures.touching if measures.objects else "",
        "px_unlabeled": int(np.prod(measures.size)) - measures.labeled,
        "mask_values": " ".join(f"{value}:{count}" for value, count in sorted(measures.mask_values.items())),
        "file": measures.file,
    }


def _hash(array: np.ndarray) -> str:
    array = np.ascontiguousarray(array)
    hashed = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    hashed.update(array.data)  # no copy, also of what is memory-mapped
    return hashed.hexdigest()


def _count_objects(case: Case) -> tuple[int, int, int]:
    """Count numbered objects, those that share a connected component (4 or 6 neighbors), and these components."""
    if case.instances is None or case.target is None:
        return 0, 0, 0
    from skimage.measure import label

    inside = (case.instances > 0) & (case.target > 0) & (case.target < IGNORED)
    pieces = label(np.where(inside, case.target, 0), connectivity=1)
    # Which objects each piece holds; an object may lie in several.
    base = int(case.instances.max(initial=0)) + 1
    piece, number = np.divmod(np.unique(pieces[inside] * base + case.instances[inside]), base)
    shared = np.bincount(piece)[piece] > 1
    return len(np.unique(number)), len(np.unique(number[shared])), int(pieces.max(initial=0))


def _is_thin(mask: np.ndarray) -> bool:
    """Whether no square of ``STRIDE`` pixels lies within a mask (*S) bool; of volumes within one of its slices."""
    if mask.shape[-2] >= STRIDE:
        mask = mask[..., 1:, :] & mask[..., :-1, :]
    if mask.shape[-1] >= STRIDE:
        mask = mask[..., 1:] & mask[..., :-1]
    return not mask.any()


def _thumbnail(image: np.ndarray) -> np.ndarray:
    """Local means (256) float32 of an image (C, *S); of a volume its middle slice stands for it."""
    plane = image[:, image.shape[1] // 2] if image.ndim == 4 else image
    return cv2.resize(plane.mean(0, dtype=np.float32), (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA).ravel()
