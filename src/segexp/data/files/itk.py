"""Volumes that SimpleITK reads: NRRD, MetaImage and DICOM series. Its world is LPS+, ours RAS+."""

import locale
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from segexp.data.files.detached import READERS, detached_files
from segexp.errors import naming, some

TOLERANCE = 0.1  # of a voxel, for what should lie in one place
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@contextmanager
def _kept_locale() -> Iterator[None]:
    """Put the process's locale back, which GDCM changes on some files, and with it the encoding of text files."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        yield
    finally:
        locale.setlocale(locale.LC_ALL, before)


def read_itk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a file: array (X, Y, Z, C) and its affine (4, 4) to RAS+ in mm.

    Raises:
        ValueError: The file cannot be read or has no three axes; SimpleITK is missing.
    """
    sitk = _simpleitk()
    with naming(path):
        if not path.is_file():
            raise ValueError("there is no such file")
        detached_files(path)  # refuses a header that leads elsewhere
        return _from_itk(sitk.ReadImage(str(path), imageIO=READERS[path.suffix.lower()]))


def write_itk(array: np.ndarray, affine: np.ndarray, path: Path) -> None:
    """Write a volume, compressed, as the suffix of ``path`` says.

    Args:
        array: (X, Y, Z).
        affine: (4, 4) to RAS+ in mm, its axes at right angles.
        path: .nrrd or .mha.

    Raises:
        ValueError: SimpleITK is missing.
    """
    sitk = _simpleitk()
    image = sitk.GetImageFromArray(array.T)
    lps = _LPS_TO_RAS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    sitk.WriteImage(image, str(path), useCompression=True)


@_kept_locale()
def read_series(folder: Path, files: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Read a DICOM series: array (X, Y, Z, 1), rescaled as its headers say, and its affine (4, 4) to RAS+ in mm.

    Args:
        folder: Folder with one series; slices come in the order of their positions.
        files: DICOM files in it, which all must belong to the series.

    Raises:
        ValueError: There are several series or none, slices are broken, missing or sheared; SimpleITK is missing.
    """
    sitk = _simpleitk()
    reader = sitk.ImageSeriesReader()
    series = list(reader.GetGDCMSeriesIDs(str(folder))) if files else []
    if len(series) != 1:
        raise ValueError(
            f"{folder} has {len(series)} DICOM series where one is expected{': ' if series else ''}{some(series)}: "
            "give each series a folder of its own"
        )
    names = reader.GetGDCMSeriesFileNames(str(folder), series[0])
    # GDCM leaves out slices that it cannot decode, without a word.
    used = {Path(name).name for name in names}
    broken = [file for file in files if file.name not in used]
    if broken:
        raise ValueError(f"{some(broken)} cannot be read as part of the DICOM series: check that all are complete")
    with naming(folder):
        reader.SetFileNames(names)
        reader.MetaDataDictionaryArrayUpdateOn()
        image = reader.Execute()
        _require_grid(image, [reader.GetMetaData(index, "0020|0032") for index in range(len(names))])
        return _from_itk(image)


def _require_grid(image: Any, positions: Sequence[str]) -> None:
    """Refuse slices, at the positions in their headers, that do not lie on the grid that ITK lays through them."""
    grid = [image.TransformIndexToPhysicalPoint((0, 0, index)) for index in range(len(positions))]
    true = [[float(number) for number in position.split("\\")] for position in positions]
    apart = np.linalg.norm(np.subtract(grid, true), axis=1).max()
    if apart > TOLERANCE * image.GetSpacing()[2]:
        raise ValueError(f"slices are up to {apart:.3g} mm off an even grid, as some are missing, or sheared by a tilt")


def _from_itk(image: Any) -> tuple[np.ndarray, np.ndarray]:
    """Array (X, Y, Z, C) and affine to RAS+ of a SimpleITK image, whose affine is to LPS+."""
    if image.GetDimension() != 3:
        raise ValueError(f"it has {image.GetDimension()} axes where 3 are expected")
    array = _simpleitk().GetArrayFromImage(image)  # (Z, Y, X) or (Z, Y, X, C)
    array = array if array.ndim == 4 else array[..., None]
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return array.transpose(2, 1, 0, 3), _LPS_TO_RAS @ affine


def is_dicom(path: Path) -> bool:
    """Whether a file has the mark of DICOM, and is no directory of other files (DICOMDIR)."""
    if not path.is_file() or path.name[0] == "." or path.name.upper() == "DICOMDIR":
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _simpleitk() -> Any:
    try:
        import SimpleITK
    except ImportError as error:
        raise ValueError(
            "NRRD, MetaImage and DICOM files need SimpleITK, which is not installed: pip install 'segexp[io]'"
        ) from error
    return SimpleITK
