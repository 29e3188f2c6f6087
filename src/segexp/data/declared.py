"""Data as the configuration declares them: settings that belong together, and what each case must be."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segexp.data.case import IGNORED, Case
from segexp.data.regions import Regions, require_regions
from segexp.data.spacing import FILES, PX
from segexp.errors import require_at_least, require_between, require_choice


@dataclass(frozen=True)
class Labels:
    """What the values of a mask stand for.

    Args:
        num_classes: Number of classes, background included.
        class_names: Names of the classes, background first.
        regions: Overlapping regions that the network learns in place of the classes, name -> classes; None = none.
        object_class: Class whose connected components are the objects (cells), for border weight maps.

    Raises:
        ValueError: The names are not as many as the classes, or a region cannot be learned.
    """

    num_classes: int
    class_names: Sequence[str]
    regions: Regions | None = None
    object_class: int = 1

    def __post_init__(self) -> None:
        if len(self.class_names) != self.num_classes:
            raise ValueError(
                f"data.labels.class_names={list(self.class_names)} must have one name for each of "
                f"{self.num_classes} classes"
            )
        require_regions(self.regions, self.class_names)


@dataclass(frozen=True)
class Geometry:
    """Axes and pixel sizes of what the network sees, and the unit of distances among the scores.

    Args:
        spatial_dims: Spatial axes of the network: 3 takes volumes, 2 takes images, and volumes slice by slice.
        context: Neighboring slices on each side as further channels (2.5-D): the network has
            channels * (2 context + 1) input channels.
        slice_axis: Axis of volumes along which slices lie: 0, 1 or 2 of (D, H, W).
        spacing: Size of a pixel per axis to which images are brought for the network, in the cases' unit; "median" = of
            the training cases; None = as they are. Scores are always those of the cases as they are.
        spacing_unit: Unit of ``spacing``: "files" = that of the files; "px" = pixels of each image, [2, 2] halves it.
        distance_unit: Unit of distances and volumes among the scores: "mm" as the files tell, or "px", each pixel 1.

    Raises:
        ValueError: An argument is out of its range, or settings of slices meet a network of volumes.
    """

    spatial_dims: int
    context: int = 0
    slice_axis: int = 0
    spacing: Sequence[float] | str | None = None
    spacing_unit: str = FILES
    distance_unit: str = "px"

    def __post_init__(self) -> None:
        require_choice("data.geometry.slice_axis", self.slice_axis, (0, 1, 2))
        require_at_least("data.geometry.context", self.context, 0, integer=True)
        if self.spatial_dims == 3 and (self.context or self.slice_axis):
            raise ValueError(
                f"data.geometry.context={self.context} and data.geometry.slice_axis={self.slice_axis} belong to "
                "slices: with data.geometry.spatial_dims=3 both are 0"
            )
        if isinstance(self.spacing, str) and self.spacing != "median":
            raise ValueError(f"data.geometry.spacing={self.spacing!r} must be one size per axis, median or null")
        require_choice("data.geometry.spacing_unit", self.spacing_unit, (FILES, PX))
        if self.spacing == "median" and self.spacing_unit == PX:
            raise ValueError(
                "data.geometry.spacing=median is one of the files: it goes with data.geometry.spacing_unit=files"
            )
        require_choice("data.geometry.distance_unit", self.distance_unit, ("px", "mm"))

    @property
    def sizes(self) -> list[float] | None:
        """Spacing per axis; None = as the images are; a median must have been measured before."""
        return None if self.spacing is None else [float(size) for size in self.spacing]


@dataclass(frozen=True)
class Sampling:
    """How training patches are drawn and batched.

    Args:
        patch_size: Pixels per spatial axis of a training patch.
        patches_per_epoch: Number of patches that make an epoch, over all processes.
        batch_size: Number of patches per step, over all processes.
        mirror_margin: Pixels by which a patch may reach beyond the case, mirrored; "auto" = as many as it needs to fit.
        foreground_fraction: Probability that a patch is centered on a foreground pixel, of a class drawn evenly among
            those that the case has, instead of anywhere.
        num_workers: Number of loader processes; "auto" = none on the CPU, else one per core up to 8.

    Raises:
        ValueError: An argument is out of its range.
    """

    patch_size: Sequence[int]
    patches_per_epoch: int = 256
    batch_size: int = 8
    mirror_margin: int | str = 0
    foreground_fraction: float = 0.0
    num_workers: int | str = "auto"

    def __post_init__(self) -> None:
        for length in self.patch_size:
            require_at_least("data.sampling.patch_size: length", length, 1, integer=True)
        require_at_least("data.sampling.batch_size", self.batch_size, 1, integer=True)
        require_at_least("data.sampling.patches_per_epoch", self.patches_per_epoch, 1, integer=True)
        require_between("data.sampling.foreground_fraction", self.foreground_fraction, 0, 1)
        if self.mirror_margin != "auto":
            require_at_least("data.sampling.mirror_margin", self.mirror_margin, 0, integer=True)
        if self.num_workers != "auto":
            require_at_least("data.sampling.num_workers", self.num_workers, 0, integer=True)


def require_as_declared(case: Case, channels: int, num_classes: int, geometry: Geometry) -> None:
    """Refuse, by a ValueError, a case that is not as declared; arguments as of ``DataModule``."""
    where = f"case {case.name}" + "".join(f" ({file})" for file in case.files[:1])
    axes = case.image.ndim - 1
    sliced = axes == 3 and geometry.spatial_dims == 2
    if case.image.shape[0] != channels or not (axes == geometry.spatial_dims or sliced):
        flat = axes == 2 and geometry.spatial_dims == 3
        hint = " (it is a 2-D image; nnU-Net folders of such are data=nnunet_2d)" if flat else ""
        if axes == 3 and case.image.shape[0] > channels:
            hint = " (a fourth axis counts as channels: save the volumes of a time series one by one)"
        raise ValueError(
            f"{where} has shape {case.image.shape} (channels first), but data.channels={channels} and "
            f"data.geometry.spatial_dims={geometry.spatial_dims}: correct these two, or the source's settings" + hint
        )
    for key in ("context", "slice_axis"):
        value = getattr(geometry, key)
        if value and not sliced:
            raise ValueError(f"{where} is no volume: data.geometry.{key}={value} needs slices, set it to 0")
    if geometry.distance_unit == "mm" and case.spacing_unit != "mm":
        raise ValueError(f"{where} tells no size of a pixel in mm, but data.geometry.distance_unit=mm: set it to px")
    _require_instances(case, where)
    if case.target is not None:
        classes = case.target[case.target != IGNORED]
        if classes.max(initial=0) >= num_classes:
            raise ValueError(
                f"{where} has class {classes.max()}, but data.labels.num_classes={num_classes}: raise it and name the "
                "class in data.labels.class_names, or correct the values of the source"
            )


def _require_instances(case: Case, where: str) -> None:
    """Refuse numbers of objects that do not cover the image, or are none."""
    numbers = case.instances
    if numbers is None:
        return
    if numbers.shape != case.image.shape[1:] or numbers.dtype != np.int32 or numbers.min(initial=0) < 0:
        raise ValueError(
            f"{where} has instances of shape {numbers.shape} and {numbers.dtype}, from {numbers.min(initial=0)}: they "
            f"must be int32 of the image's shape {case.image.shape[1:]}, from 0 (no object): correct the source"
        )


@dataclass(frozen=True)
class Origin:
    """Where a public data set comes from, for those who lack it.

    Args:
        url: Address of the data set.
        terms: Terms of use, in a few words.
        folder: Folder that it belongs into.
        download: Function that fetches the files into the folder, or raises an OSError; None = it is not to be fetched.
    """

    url: str
    terms: str
    folder: str
    download: Callable[[Path], None] | None = None

    def supply(self, prepare: Callable[[], None], lacking: FileNotFoundError) -> None:
        """Download the data set where that is possible.

        Args:
            prepare: Function that checks the files, and raises where some are missing.
            lacking: What it has raised.

        Raises:
            FileNotFoundError: It is still missing; says why, and what to do.
        """
        said = str(lacking)
        if self.download is not None:
            try:
                self.download(Path(self.folder))
                prepare()
                return
            except OSError as error:
                said += f" (download: {error})"
        raise FileNotFoundError(f"{said}; {self.remedy}") from lacking

    @property
    def remedy(self) -> str:
        """What to do where it is missing."""
        return (
            f"get the data set from {self.url} (terms: {self.terms}) and put it into {self.folder}, or set "
            f"SEGEXP_DATA_DIR to the folder that holds {Path(self.folder).name}"
        )
