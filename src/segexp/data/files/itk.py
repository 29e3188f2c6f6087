"""Volumes that SimpleITK reads: NRRD and MetaImage. Its world is LPS+, ours RAS+."""

from pathlib import Path
from typing import Any

import numpy as np

from segexp.data.files.detached import READERS, detached_files
from segexp.errors import naming

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


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


def _simpleitk() -> Any:
    try:
        import SimpleITK
    except ImportError as error:
        raise ValueError(
            "NRRD and MetaImage files need SimpleITK, which is not installed: pip install 'segexp[io]'"
        ) from error
    return SimpleITK
