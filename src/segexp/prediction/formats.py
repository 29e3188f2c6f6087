"""Formats of predicted masks: like that of the input, or one that a viewer names and colors by itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from segexp.checkpoints.description import ModelDescription
from segexp.data.case import Case
from segexp.data.files import seg_nrrd
from segexp.data.files.segments import Segment, color_table
from segexp.data.files.volumes import file_affine, volume_stem
from segexp.data.files.writing import in_file_axes, label_dtype, suffix_for, write_colored, write_map
from segexp.prediction.legend import background_of, legend_of
from segexp.prediction.maps import integer_values
from segexp.prediction.settings import MASK_FORMATS

VISIBLE = 255  # value of a region in images and stacks


@dataclass(frozen=True)
class MaskFormat:
    """How masks are written.

    Attributes:
        suffix: Function from the source of a case and the network's description to the suffix of its masks; raises a
            ValueError where the format does not go with them.
        write: Function that writes a mask, given its labels (*S) or, ``joined``, regions (R, *S) bool, its case, its
            path, the description, and the number of its region; the number is None of classes and joined regions.
        legend: Function from the description to the foreground classes or regions as the masks have them.
        joined: Whether all regions of a case lie in one file.
    """

    suffix: Callable[[Path, ModelDescription], str]
    write: Callable[[np.ndarray, Case, Path, ModelDescription, int | None], None]
    legend: Callable[[ModelDescription], list[Segment]] = legend_of
    joined: bool = False

    def write_all(self, labels: np.ndarray, case: Case, paths: Sequence[Path], description: ModelDescription) -> None:
        """Write the labels (*S) of a case, or its regions (R, *S) bool: one file, or one per region."""
        if self.joined or not description.regions:
            self.write(labels, case, paths[0], description, None)
            return
        for number, (region, path) in enumerate(zip(labels, paths, strict=True)):
            self.write(region, case, path, description, number)


def _suffix_of_source(source: Path, description: ModelDescription) -> str:
    return suffix_for(source, _dtype(description))


def _suffix_of_slicer(source: Path, _: ModelDescription) -> str:
    if volume_stem(source) is None:
        raise ValueError(
            f"format=seg.nrrd: {source} is no volume with a place in space: give NIfTI, NRRD, MetaImage or DICOM, or "
            "another format"
        )
    return seg_nrrd.SUFFIX


def _suffix_of_imagej(source: Path, description: ModelDescription) -> str:
    if volume_stem(source) is not None:
        raise ValueError(f"format=imagej: {source} is a volume, whose place in space TIFF would lose: format=auto")
    try:
        color_table(legend_of(description))
    except ValueError as error:
        raise ValueError(f"format=imagej: {error}; give format=auto") from error
    return ".tif"


def _dtype(description: ModelDescription) -> np.dtype:
    return np.dtype(np.uint8) if description.regions else label_dtype(integer_values(description))


def _visible(labels: np.ndarray, case: Case, number: int | None) -> np.ndarray:
    """Labels as they are; inside a region is 1 in volumes, and 255, which can be seen, in images and stacks."""
    return labels if number is None else labels * np.uint8(VISIBLE if case.affine is None else 1)


def _write_plain(labels: np.ndarray, case: Case, path: Path, _: ModelDescription, number: int | None) -> None:
    write_map(_visible(labels, case, number), case, path)


def _write_imagej(
    labels: np.ndarray, case: Case, path: Path, description: ModelDescription, number: int | None
) -> None:
    legend = legend_of(description)
    if number is not None:
        legend = [replace(legend[number], value=VISIBLE)]
    write_colored(_visible(labels, case, number), case, path, legend)


def _legend_of_slicer(description: ModelDescription) -> list[Segment]:
    """Values as they are; numbers of the classes where the background is not 0, which is what Slicer takes as empty."""
    legend = legend_of(description)
    if background_of(description):
        legend = [replace(segment, value=number) for number, segment in enumerate(legend, start=1)]
    return legend


def _write_slicer(labels: np.ndarray, case: Case, path: Path, description: ModelDescription, _: int | None) -> None:
    legend = _legend_of_slicer(description)
    if description.regions:
        labels = labels.astype(np.uint8)
    elif background_of(description):
        shown = np.zeros(labels.shape, label_dtype([len(legend)]))
        for own, segment in zip(legend_of(description), legend, strict=True):
            shown[labels == own.value] = segment.value
        labels = shown
    seg_nrrd.write_seg_nrrd(in_file_axes(labels, case), file_affine(case), legend, path)


_WRITERS = (
    MaskFormat(_suffix_of_source, _write_plain),
    MaskFormat(_suffix_of_slicer, _write_slicer, _legend_of_slicer, joined=True),
    MaskFormat(_suffix_of_imagej, _write_imagej),
)
FORMATS = dict(zip(MASK_FORMATS, _WRITERS, strict=True))
