"""Volumes that SimpleITK reads: NRRD and MetaImage. Its world is LPS+, ours RAS+."""

from pathlib import Path
from typing import Any

import numpy as np

from segexp.data.files.detached import READERS, read_header, require_whole
from segexp.errors import naming

AXES_REMEDY = "save one image as PNG or TIFF, each time point as a volume of its own, and channels as components"
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_itk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a file: array (X, Y, Z, C) and its affine (4, 4) to RAS+ in mm.

    Raises:
        ValueError: The file cannot be read, is not whole (see ``require_whole``), or has no three axes; SimpleITK is
            missing.
    """
    sitk = _simpleitk()
    with naming(path):
        if not path.is_file():
            raise ValueError("there is no such file")
        encoding = read_header(path).value("encoding")  # refuses a header that leads elsewhere
        if encoding in ("bz2", "bzip2"):
            raise ValueError("its voxels are compressed by bzip2, which SimpleITK cannot read: save it with gzip")
        image = sitk.ReadImage(str(path), imageIO=READERS[path.suffix.lower()])
        array = sitk.GetArrayFromImage(image)  # (Z, Y, X) or (Z, Y, X, C)
        require_whole(path, array.nbytes)
    if image.GetDimension() != 3:
        sizes = "×".join(map(str, image.GetSize()))
        raise ValueError(f"{path} has {image.GetDimension()} axes ({sizes}), not 3: {AXES_REMEDY}")
    return _turned(image, array)


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
    lps = LPS_TO_RAS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    sitk.WriteImage(image, str(path), useCompression=True)


def _turned(image: Any, array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Array (X, Y, Z, C) and affine to RAS+ of a SimpleITK image, whose affine is to LPS+."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    array = array if array.ndim == 4 else array[..., None]
    return array.transpose(2, 1, 0, 3), LPS_TO_RAS @ affine


def _simpleitk() -> Any:
    try:
        import SimpleITK
    except ImportError as error:
        raise ValueError(
            "NRRD and MetaImage files need SimpleITK, which is not installed: pip install 'segexp[io]'"
        ) from error
    return SimpleITK
