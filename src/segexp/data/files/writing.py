"""Masks and maps written so that they lie on the file they were made from: its size, place, orientation and units."""

import gzip
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from segexp.data.case import Case
from segexp.data.files import arrays
from segexp.data.files.images import TIFF_SUFFIXES, read_pages, stored_facts
from segexp.data.files.itk import read_itk, write_itk
from segexp.data.files.seg_nrrd import SUFFIX as SEG_NRRD
from segexp.data.files.seg_nrrd import require_whole_segmentation
from segexp.data.files.segments import Segment, color_table, in_words
from segexp.data.files.volumes import file_affine, to_file, volume_stem

Resolution = tuple[tuple[int, int], tuple[int, int]]  # pixels per unit along x and y, as fractions
LABEL_DTYPES = (np.uint8, np.uint16, np.int16, np.int32, np.int64)
_NIFTI = (".nii", ".nii.gz")
_ITK = {".nrrd": ".nrrd", ".nhdr": ".nrrd", ".mha": ".mha", ".mhd": ".mha"}  # one file in place of header and data


def label_dtype(values: Iterable[int]) -> np.dtype:
    """Find the smallest type of integers that holds all values."""
    low, high = min(values := [*values, 0]), max(values)
    fitting = (kind for kind in LABEL_DTYPES if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max)
    return np.dtype(next(fitting))


def suffix_for(source: Path, dtype: np.dtype) -> str:
    """Format of what is made from a file.

    Args:
        source: File that was read: NIfTI and DICOM give .nii.gz; NRRD .nrrd; MetaImage .mha; TIFF and NumPy, which may
            hold stacks, .tif; other images .png.
        dtype: Type of the pixels; what PNG cannot hold becomes .tif.
    """
    name = source.name.lower()
    if source.is_dir() or name.endswith(_NIFTI):
        return ".nii.gz"
    if volume_stem(source) is not None:
        return _ITK[source.suffix.lower()]
    may_be_stack = source.suffix.lower() in (*TIFF_SUFFIXES, *arrays.SUFFIXES)
    return ".png" if not may_be_stack and dtype in (np.uint8, np.uint16) else ".tif"


def in_file_axes(array: np.ndarray, case: Case) -> np.ndarray:
    """Turn (..., *S) from the axes of a case to those of its file, as a view: (..., X, Y, Z) of a volume."""
    return to_file(array, case.orientation) if case.orientation else array


def write_map(array: np.ndarray, case: Case, path: Path) -> None:
    """Write a mask or a map of numbers.

    A NIfTI keeps the header of its source, with sform, qform and units; a TIFF keeps resolution and, of ImageJ, the
    distance of its pages. Images are upright, as the case is, without a tag of orientation. All are compressed without
    loss.

    Args:
        array: (*S) in the axes of the case.
        case: Case as it was read, in its original geometry; its first file is the source.
        path: Path to the file, with the suffix of ``suffix_for``.

    Raises:
        ValueError: SimpleITK is needed and missing.
        OSError: The file cannot be written.
    """
    source, turned = case.files[0], in_file_axes(array, case)
    if path.name.endswith(".nii.gz"):
        _write_nifti(turned, case, source, path)
    elif path.suffix in _ITK.values():
        write_itk(turned, file_affine(case), path)
    elif path.suffix == ".png":
        Image.fromarray(np.ascontiguousarray(turned)).save(path)
    else:
        _write_tiff(turned, source, path)


def write_colored(array: np.ndarray, case: Case, path: Path, segments: Sequence[Segment]) -> None:
    """Write the mask of an image or a stack as a TIFF of ImageJ with names and a look-up table of colors.

    ImageJ takes the table of the TIFF tag; others that of ImageJ's metadata. The values stay indices of the table.

    Args:
        array: (*S) uint8.
        case: Case as it was read; its first file is the source.
        path: Path to the file, .tif.
        segments: The segments of the mask.

    Raises:
        ValueError: A value is beyond the table.
        OSError: The file cannot be written.
    """
    _write_tiff(in_file_axes(array, case), case.files[0], path, segments)


def is_whole(path: Path) -> bool:
    """Whether a mask, map or picture is there, and its bytes agree with the sizes and checksums that its format has."""
    if not path.is_file() or not path.stat().st_size:
        return False
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as file:
                while file.read(1 << 20):
                    pass
        elif path.suffix == ".npy":
            np.load(path, mmap_mode="r", allow_pickle=False)
        elif path.suffix == ".png" or path.suffix in TIFF_SUFFIXES:
            read_pages(path, channels=1)
        elif path.name.endswith(SEG_NRRD):
            require_whole_segmentation(path)
        else:
            read_itk(path)
    except Exception:  # decoders raise all kinds, SyntaxError among them
        return False
    return True


def _write_nifti(array: np.ndarray, case: Case, source: Path, path: Path) -> None:
    """Write (X, Y, Z) with the header of a NIfTI source, or the affine of another one."""
    import nibabel

    if source.is_dir():
        image: Any = nibabel.Nifti1Image(array, file_affine(case))
        image.header.set_xyzt_units("mm")
        image.set_qform(image.affine, 1)  # 1 = the scanner's coordinates
        image.set_sform(image.affine, 1)
    else:
        original: Any = nibabel.load(source)
        image = type(original)(array, original.affine, original.header, dtype=array.dtype)
        image.header.extensions.clear()
        image.header["cal_min"] = image.header["cal_max"] = 0  # the window of the source's intensities
        image.header.set_intent("none")
    nibabel.save(image, path)


def _write_tiff(array: np.ndarray, source: Path, path: Path, segments: Sequence[Segment] = ()) -> None:
    """Write (H, W) or (N, H, W), one page each; as one of ImageJ with colors where there are segments."""
    axes = "YX" if array.ndim == 2 else "ZYX"
    resolution, unit, pages = _scale_of(source)
    # ImageJ reads the distance of pages from its own metadata, for these types alone.
    imagej = bool(pages or segments) and array.dtype in (np.uint8, np.uint16, np.float32)
    metadata: dict[str, Any] = {"axes": axes, **(pages if imagej else {})}
    table = color_table(segments)
    if segments:
        metadata |= {"LUTs": [table], "Info": in_words(segments)}
    tifffile.imwrite(
        path,
        array,
        photometric="palette" if segments else "minisblack",
        colormap=table.astype(np.uint16) * 257 if segments else None,  # 255 becomes 65535
        compression="zlib",
        metadata=metadata,
        imagej=imagej,
        resolution=resolution,
        resolutionunit=unit,
    )


def _scale_of(source: Path) -> tuple[Resolution | None, int | None, dict[str, float | str]]:
    """Resolution of a TIFF, upright, and its unit in TIFF's numbers; distance of the pages and its unit, of ImageJ."""
    stored = stored_facts(source)
    if stored["format"] != "TIFF":
        return None, None, {}
    with tifffile.TiffFile(source) as file:
        tags = file.pages.first.tags
        imagej = file.imagej_metadata or {}
        names = ("XResolution", "YResolution", "ResolutionUnit")
        x, y, unit = (tags.valueof(name) for name in names)
    pages: dict[str, float | str] = {key: imagej[key] for key in ("spacing", "unit") if key in imagej}
    if not (x and y and x[1] and y[1]):
        return None, None, pages
    sideways = stored.get("orientation", 1) > 4  # rows and columns were exchanged
    return ((y, x) if sideways else (x, y)), unit or 1, pages
