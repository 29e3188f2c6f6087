"""One DICOM series as a volume: a file per slice, or one file with many frames (Enhanced CT, MR, PET).

Pydicom reads the headers, imagecodecs decompresses. GDCM, as SimpleITK brings it, does not do here: it applies the
first slice's slope to all, leaves out slices that it cannot decode, knows no frames, and changes the process's locale.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segexp.data.files.dicom_headers import Frame, quiet, read_frames
from segexp.data.files.dicom_pixels import read_stored
from segexp.data.files.itk import LPS_TO_RAS
from segexp.errors import naming, some
from segexp.foreign import one_line

TOLERANCE = 0.1  # of a voxel, for what should lie in one place
_SAME = 1e-3  # of directions (cosines), of the size of a pixel (a ratio), of places (mm)
_SUFFIXES = (".dcm", ".dicom", ".ima")
_INTEGERS = (np.int16, np.uint16, np.int32, np.uint32, np.int64)


def is_dicom(path: Path) -> bool:
    """Whether a file has the mark of DICOM, and is no directory of other files (DICOMDIR)."""
    if not path.is_file() or path.name[0] == "." or path.name.upper() == "DICOMDIR":
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def read_series(folder: Path, files: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Read a DICOM series: values as shown, rescaled slice by slice.

    Values are the stored ones, turned round within their bits for MONOCHROME1 (so that more is brighter), times the
    slope plus the intercept of their own slice or frame. They are integers where all slopes and intercepts are, else
    float64.

    Args:
        folder: Folder with one series; slices come in the order of their places.
        files: DICOM files in it, which all must belong to the series.

    Returns:
        Array (X, Y, Z, C), and its affine (4, 4) to RAS+ in mm.

    Raises:
        ValueError: There are several series or none, a file is broken or holds no image, slices are missing, sheared or
            share a place; pydicom is missing.
    """
    _require_marks(folder)
    with quiet():
        frames = [frame for file in files for frame in read_frames(file)]
        series = sorted({frame.series for frame in frames})
        if len(series) != 1:
            raise ValueError(
                f"{folder} has {len(series)} DICOM series where one is expected{': ' if series else ''}"
                f"{one_line(some(series))}: give each series a folder of its own"
            )
        with naming(folder, "make it a folder of one whole series, and of nothing else"):
            _require_alike(frames)
            frames = sorted(frames, key=_place)
            affine = _affine(frames)
        return _values(frames).transpose(2, 1, 0, 3), LPS_TO_RAS @ affine


def _require_marks(folder: Path) -> None:
    """Refuse what is meant to be a slice and was cut short so much, or never written, that it has no mark of DICOM."""
    files = (file for file in sorted(folder.iterdir()) if file.is_file() and file.name[0] != ".")
    named = (file for file in files if file.suffix.lower() in _SUFFIXES or not file.stat().st_size)
    lost = [file.name for file in named if not is_dicom(file)]
    if lost:
        raise ValueError(
            f"{folder} has files without the mark of DICOM: {some(lost)}: check that they are complete, or move them "
            "elsewhere"
        )


def _require_alike(frames: Sequence[Frame]) -> None:
    """Refuse frames of unlike planes, sizes or pixels, and several that have no place."""
    first = frames[0]
    for frame in frames:
        if frame.shape != first.shape:
            raise ValueError(f"{first} and {frame} differ in size, {first.shape} and {frame.shape}")
        if np.abs(frame.axes - first.axes).max() > _SAME:
            raise ValueError(f"{first} and {frame} lie in other planes, as the views of a localizer do")
        if np.abs(np.divide(frame.pixel, first.pixel) - 1).max() > _SAME:
            raise ValueError(f"{first} and {frame} have pixels of other sizes, {first.pixel} and {frame.pixel} mm")
    lost = [frame for frame in frames if frame.position is None]
    if lost and len(frames) > 1:
        raise ValueError(
            f"{len(lost)} of its {len(frames)} slices or frames, such as {lost[0]}, have no place in space "
            "(ImagePositionPatient): they are views, or times of a film"
        )


def _place(frame: Frame) -> float:
    """Place of a frame along its normal, in mm."""
    return float(np.cross(*frame.axes) @ frame.corner)


def _affine(frames: Sequence[Frame]) -> np.ndarray:
    """Affine (4, 4) of frames in order, from index (x, y, z, 1) to mm (left, posterior, superior)."""
    first = frames[0]
    distance = _distance(frames) if len(frames) > 1 else first.thickness or 1.0
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([*first.axes, np.cross(*first.axes)]) * [*first.pixel[::-1], distance]
    affine[:3, 3] = first.corner
    grid = first.corner + np.arange(len(frames))[:, None] * affine[:3, 2]
    apart = np.linalg.norm(grid - [frame.corner for frame in frames], axis=1).max()
    if apart > TOLERANCE * distance:
        gaps = np.diff([_place(frame) for frame in frames])
        after = int(gaps.argmax())
        raise ValueError(
            f"slices are up to {apart:.3g} mm off an even grid, as some are missing, or sheared by a tilt; neighbors "
            f"are {gaps.min():.3g} to {gaps.max():.3g} mm apart, the latter {frames[after]} and {frames[after + 1]}"
        )
    return affine


def _distance(frames: Sequence[Frame]) -> float:
    """Mean distance of neighboring slices in mm; none may lie where another one does."""
    gaps = np.diff([_place(frame) for frame in frames])
    doubled = np.flatnonzero(gaps < _SAME)
    if doubled.size:
        one, other = frames[doubled[0]], frames[doubled[0] + 1]
        differing = [key for key in one.marks if one.marks[key] != other.marks.get(key)]
        raise ValueError(
            f"{doubled.size} of its {len(frames)} slices or frames lie where another one does, such as {one} and "
            f"{other}, which differ in {one_line(', '.join(differing)) or 'nothing'}: a volume has each place once, so "
            "each time, echo or direction must be a series of its own"
        )
    return float(gaps.mean())


def _values(frames: Sequence[Frame]) -> np.ndarray:
    """Values (Z, H, W, C) of frames in order."""
    dtype, file = _dtype(frames), Path()
    values = stored = np.empty(0, dtype)
    for place, frame in enumerate(frames):
        if frame.file != file:
            file, stored = frame.file, read_stored(frame.file)
        with naming(file):
            if stored[frame.index].shape != frame.shape:
                raise ValueError(f"its pixels have the shape {stored[frame.index].shape}, by its header {frame.shape}")
        if not place:  # the header has told the truth
            values = np.empty((len(frames), *frame.shape), dtype)
        pixels = stored[frame.index].astype(dtype)
        if frame.is_inverted:
            pixels = dtype.type(frame.low + frame.high) - pixels
        values[place] = pixels * dtype.type(frame.slope) + dtype.type(frame.intercept)
    return values


def _dtype(frames: Sequence[Frame]) -> np.dtype:
    """Type that holds all rescaled values: the stored one, a wider integer, or float64 where factors are fractions."""
    scales = {(frame.low, frame.high, frame.slope, frame.intercept) for frame in frames}
    if any(slope % 1 or intercept % 1 for _, _, slope, intercept in scales):
        return np.dtype(np.float64)
    # The stored values, too, which are rescaled in this type.
    ends = {end for low, high, slope, shift in scales for end in (low, high, low * slope + shift, high * slope + shift)}
    fitting = (np.dtype(kind) for kind in (frames[0].dtype, *_INTEGERS))
    holding = (dtype for dtype in fitting if np.iinfo(dtype).min <= min(ends) and max(ends) <= np.iinfo(dtype).max)
    return next(holding, np.dtype(np.float64))
