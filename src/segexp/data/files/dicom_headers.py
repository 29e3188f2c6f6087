"""Headers of DICOM files: which frames they hold, where these lie and how they are rescaled; what is no image."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segexp.errors import naming
from segexp.foreign import one_line

_NO_IMAGES = (  # though they have pixels
    "Segmentation Storage",
    "Label Map Segmentation Storage",
    "Parametric Map Storage",
    "RT Dose Storage",
    "VL Whole Slide Microscopy Image Storage",
)
_PIXELS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
_MARKS = (  # what may tell apart slices of one place
    "AcquisitionNumber",
    "AcquisitionTime",
    "ContentTime",
    "DiffusionBValue",
    "EchoTime",
    "ImageType",
    "TemporalPositionIdentifier",
    "TriggerTime",
)
_OTHERS = (
    "BitsAllocated",
    "BitsStored",
    "Columns",
    "DimensionIndexSequence",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "ModalityLUTSequence",
    "NumberOfFrames",
    "PerFrameFunctionalGroupsSequence",
    "PhotometricInterpretation",
    "PixelRepresentation",
    "RescaleIntercept",
    "RescaleSlope",
    "Rows",
    "SOPClassUID",
    "SamplesPerPixel",
    "SeriesInstanceUID",
    "SharedFunctionalGroupsSequence",
    "SliceThickness",
    "SpacingBetweenSlices",
)
_COLORS = {"MONOCHROME1": 1, "MONOCHROME2": 1, "RGB": 3, "YBR_FULL": 3, "YBR_FULL_422": 3, "YBR_ICT": 3, "YBR_RCT": 3}


@dataclass(frozen=True)
class Frame:
    """A slice: a file of its own, or a frame in one.

    Attributes:
        file: File that holds it.
        index: Number of the frame in the file, from 0.
        series: UID of the series, as the file has it.
        shape: Height, width and channels.
        axes: (2, 3), directions of a row and of a column in the patient (left, posterior, superior).
        position: (3,), place of the center of the first pixel in mm; None where the file does not tell.
        pixel: Distance of rows and of columns in mm, 1 where the file does not tell.
        thickness: Thickness of the slice in mm; None where the file does not tell.
        dtype: Type of the stored values.
        low: Least value that the bits stored can hold.
        high: Largest one.
        is_inverted: Whether the least value is shown as white (MONOCHROME1).
        slope: Factor of the values.
        intercept: What is added then.
        marks: What may tell it apart from slices in the same place: time, echo, direction.
    """

    file: Path
    index: int
    series: str
    shape: tuple[int, int, int]
    axes: np.ndarray
    position: np.ndarray | None
    pixel: tuple[float, float]
    thickness: float | None
    dtype: np.dtype
    low: int
    high: int
    is_inverted: bool
    slope: float
    intercept: float
    marks: Mapping[str, str]

    @property
    def corner(self) -> np.ndarray:
        """Place of the first pixel in mm, the origin where it is not known."""
        return np.zeros(3) if self.position is None else self.position

    def __str__(self) -> str:
        return f"frame {self.index + 1} of {self.file.name}" if "frame" in self.marks else self.file.name


def pydicom() -> Any:
    """Give the module.

    Raises:
        ValueError: It is not installed.
    """
    try:
        import pydicom
    except ImportError as error:
        raise ValueError("DICOM files need pydicom, which is not installed: pip install 'segexp[io]'") from error
    return pydicom


@contextmanager
def quiet() -> Iterator[None]:
    """Say nothing of values that break rules of DICOM: what matters here is checked here, and no log shows metadata."""
    module, log = pydicom(), logging.getLogger("pydicom")
    kept, log.propagate = log.propagate, False
    try:
        with warnings.catch_warnings(), module.config.disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.propagate = kept


def read_frames(file: Path) -> list[Frame]:
    """Read the header of a file.

    Raises:
        ValueError: It is broken, or holds no image of one grid. Names the file and what it holds.
    """
    with naming(file):
        header = pydicom().dcmread(file, stop_before_pixels=True, specific_tags=[*_PIXELS, *_MARKS, *_OTHERS])
        objection = _objection(header)
    if objection:
        raise ValueError(f"{file} {objection}")
    with naming(file):
        count = int(header.get("NumberOfFrames") or 1)
        per_frame = header.get("PerFrameFunctionalGroupsSequence") or []
        if count != 1 and len(per_frame) != count:
            raise ValueError(f"its {count} frames have no places in space, but are views, or times of a film")
        return [_frame(file, header, index) for index in range(count)]


def _objection(header: Any) -> str:
    """Say why a file holds no image that can be read, and what to do; an empty text if it does."""
    kind = header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID")
    name = one_line(kind.name) if kind else "nothing that it names"
    is_sized = header.get("Rows") and header.get("Columns")
    if not is_sized and (not kind or "Image Storage" in name):
        raise ValueError("it has no Rows and Columns")
    if name in _NO_IMAGES or not is_sized:
        return (
            f"holds {name.removesuffix(' Storage')}, no image: move it out of the folder of the series (segmentations "
            "are read from NIfTI, NRRD and MetaImage)"
        )
    if "MOSAIC" in (header.get("ImageType") or ()):
        return "is a mosaic of slices (ImageType MOSAIC): convert the series to NIfTI, as dcm2niix does"
    colors, samples = str(header.get("PhotometricInterpretation")), int(header.get("SamplesPerPixel") or 1)
    if _COLORS.get(colors) != samples:
        return f"has pixels of the kind {one_line(colors)} ({samples} samples): save it in gray or RGB"
    if header.get("ModalityLUTSequence"):
        return "has values by a table (ModalityLUTSequence): save it with slope and intercept"
    allocated, stored = header.get("BitsAllocated"), header.get("BitsStored")
    if allocated not in (8, 16, 32) or not 0 < int(stored or 0) <= allocated:
        bits = one_line(f"BitsAllocated={allocated}, BitsStored={stored}")
        return f"has pixels of {bits}: save it with 8, 16 or 32 bits"
    return ""


def _frame(file: Path, header: Any, index: int) -> Frame:
    """Frame of a header, with the attributes of its functional groups where there are some."""
    groups = [*(header.get("PerFrameFunctionalGroupsSequence") or [])[index : index + 1]]
    groups += header.get("SharedFunctionalGroupsSequence") or []

    def where(macro: str) -> Any:
        """Give what holds the attributes of a macro: its item, or the header itself."""
        items = [group[macro][0] for group in groups if group.get(macro)]
        return items[0] if items else header

    measures, rescaling = where("PixelMeasuresSequence"), where("PixelValueTransformationSequence")
    axes = _numbers(where("PlaneOrientationSequence"), "ImageOrientationPatient", 6)
    position = _numbers(where("PlanePositionSequence"), "ImagePositionPatient", 3)
    pixels = [_numbers(measures, name, 2) for name in _PIXELS if measures.get(name)]
    sizes = _numbers(measures, "SliceThickness", 1), _numbers(measures, "SpacingBetweenSlices", 1)
    thickness = [float(size[0]) for size in sizes if size is not None and size[0] > 0]
    slope, intercept = _numbers(rescaling, "RescaleSlope", 1), _numbers(rescaling, "RescaleIntercept", 1)
    bits, signed = int(header.BitsStored), int(header.get("PixelRepresentation") or 0)
    if slope is not None and not slope[0]:
        raise ValueError("its RescaleSlope is 0")
    return Frame(
        file,
        index,
        series=str(header.get("SeriesInstanceUID", "")),
        shape=(int(header.Rows), int(header.Columns), int(header.get("SamplesPerPixel") or 1)),
        axes=np.eye(3)[:2] if axes is None else _directions(axes.reshape(2, 3)),
        position=position,
        pixel=_pixel(pixels, position is not None),
        thickness=thickness[0] if thickness else None,
        dtype=np.dtype(f"{'ui'[signed]}{header.BitsAllocated // 8}"),
        low=-(2 ** (bits - 1)) if signed else 0,
        high=2 ** (bits - signed) - 1,
        is_inverted=header.PhotometricInterpretation == "MONOCHROME1",
        slope=1.0 if slope is None else float(slope[0]),
        intercept=0.0 if intercept is None else float(intercept[0]),
        marks=_marks(header, where("FrameContentSequence"), index if groups else None),
    )


def _numbers(holder: Any, name: str, count: int) -> np.ndarray | None:
    """Give the numbers of an attribute; None where it is missing or empty."""
    value = holder.get(name)
    if value is None or value == "":
        return None
    numbers = np.atleast_1d(np.array(value, dtype=np.float64))
    if not numbers.size:
        return None
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise ValueError(f"its {name} is {one_line(value)}, not {count} numbers")
    return numbers


def _directions(axes: np.ndarray) -> np.ndarray:
    """Refuse axes that are not at right angles, and bring them to length 1."""
    lengths = np.linalg.norm(axes, axis=1, keepdims=True)
    if np.abs(lengths - 1).max() > 0.01 or abs(axes[0] @ axes[1]) > 0.01:
        raise ValueError(f"its ImageOrientationPatient {axes.ravel().tolist()} has no two directions at right angles")
    return axes / lengths


def _pixel(sizes: list[np.ndarray | None], has_place: bool) -> tuple[float, float]:
    if not sizes or sizes[0] is None:
        if has_place:
            raise ValueError("it has a place in space, but no PixelSpacing")
        return 1.0, 1.0
    if not (sizes[0] > 0).all():
        raise ValueError(f"its PixelSpacing {sizes[0].tolist()} is not above 0")
    return float(sizes[0][0]), float(sizes[0][1])


def _marks(header: Any, content: Any, index: int | None) -> dict[str, str]:
    """Collect what may tell a slice apart from others in its place; of a frame, the indices of its dimensions."""
    if index is None:
        return {name: str(header.get(name)) for name in _MARKS}
    pointers = [item.DimensionIndexPointer for item in header.get("DimensionIndexSequence") or []]
    names = [pydicom().datadict.keyword_for_tag(pointer) or str(pointer) for pointer in pointers]
    values = np.atleast_1d(content.get("DimensionIndexValues") or [])
    return {"frame": str(index)} | {name: str(value) for name, value in zip(names, values, strict=False)}
