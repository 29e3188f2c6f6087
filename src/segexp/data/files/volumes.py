"""Volumes from NIfTI, NRRD, MetaImage and DICOM files, turned to one orientation.

Whatever the format, a volume comes as (C, D, H, W) with an affine to RAS+ (x to the right, y to anterior, z to
superior; mm). Nibabel reads NIfTI; of the extra ``io``, SimpleITK reads NRRD and MetaImage, and pydicom DICOM. NIfTI is
not left to SimpleITK, since that fills up a truncated file without a word.
"""

import gzip
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from segexp.data.case import Case, FileFacts
from segexp.data.files.detached import READERS, detached_files
from segexp.data.files.dicom import TOLERANCE, is_dicom, read_series
from segexp.data.files.itk import AXES_REMEDY, read_itk
from segexp.data.files.mask_values import whole_labels
from segexp.errors import naming

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
_MM = {"meter": 1000.0, "micron": 0.001}  # of NIfTI; all else is mm


def volume_stem(path: Path) -> str | None:
    """Name of a volume without its suffix; None if the path is neither a volume's nor a folder of DICOM files."""
    if path.is_dir():
        return path.name if any(is_dicom(file) for file in sorted(path.iterdir())) else None
    suffix = _suffix(path)
    return path.name[: -len(suffix)] if suffix else None


def volume_files(path: Path) -> tuple[Path, ...]:
    """All files that reading a volume opens: those of a DICOM folder, and what a header of .mhd or .nhdr points at."""
    if path.is_dir():
        return tuple(sorted(file for file in path.iterdir() if is_dicom(file)))
    if _suffix(path) not in READERS or not path.is_file():
        return (path,)
    return (path, *detached_files(path))


def opened_files(paths: Iterable[Path]) -> tuple[Path, ...]:
    """All files that reading these images and volumes opens, for ``Entry.files``."""
    return tuple(file for path in paths for file in volume_files(path))


def read_volume(path: Path, mapped: bool = False) -> Case:
    """Read a volume as a case without truth: image (C, D, H, W) in the dtype of the file, turned as by ``to_ras``.

    The last of four axes of a NIfTI file is taken as channels, as are the components of a pixel elsewhere. Slope and
    intercept of the values are applied where a file has them.

    Args:
        path: .nii, .nii.gz, .nrrd, .nhdr, .mha, .mhd, or a folder with the files of one DICOM series.
        mapped: Whether to give a view of what was read, in any order in memory and bytes; voxels of an uncompressed
            NIfTI without slope stay in the file until they are used. Else the array is a contiguous one of its own.

    Raises:
        ValueError: The file cannot be read, has no three axes, or its affine has no inverse; SimpleITK is missing.
    """
    if path.is_dir():
        return to_ras(*read_series(path, volume_files(path)), path, mapped)
    if ".nii" in _suffix(path):
        return to_ras(*_read_nifti(path), path, mapped)
    if is_dicom(path):
        raise ValueError(f"{path} is a DICOM file: give the folder of its series, which may hold this file alone")
    if path.exists() and not _suffix(path):
        raise ValueError(f"{path} cannot be read as a volume: volumes end with {', '.join(SUFFIXES)}")
    return to_ras(*read_itk(path), path, mapped)


def to_ras(array: np.ndarray, affine: np.ndarray, path: Path, view: bool = False) -> Case:
    """Turn and flip a volume so that its axes run as nearly as they can to superior, anterior and right.

    Args:
        array: (X, Y, Z, C) in the axes of the file.
        affine: (4, 4), from index (x, y, z, 1) to mm (right, anterior, superior).
        path: Path to the file.
        view: Whether to turn without copying.

    Returns:
        Image (C, D, H, W), with its affine and its spacing in mm; there is no target.

    Raises:
        ValueError: The values are not real numbers, or the affine has no inverse.
    """
    from nibabel.affines import voxel_sizes
    from nibabel.orientations import aff2axcodes, apply_orientation, inv_ornt_aff, io_orientation

    if array.dtype.kind not in "biuf":
        kind = "colors" if array.dtype.names else f"{array.dtype} values"
        raise ValueError(f"{path} holds {kind}: save real numbers, colors as channels of a fourth axis")
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:3, :3]) < 3:
        raise ValueError(
            f"{path} has an affine without inverse, {affine[:3].tolist()}: fix the orientation in its header"
        )
    turn = io_orientation(affine)
    turned = apply_orientation(array, turn).T
    if not view:
        turned = np.ascontiguousarray(turned, dtype=turned.dtype.newbyteorder("="))
    affine_ras = affine @ inv_ornt_aff(turn, array.shape[:3])
    spacing = tuple(float(size) for size in voxel_sizes(affine_ras)[::-1])
    axes = "".join(aff2axcodes(affine))
    return Case(path.name, turned, None, spacing, "mm", (path,), affine=affine_ras, orientation=axes)


def to_file(array: np.ndarray, orientation: str) -> np.ndarray:
    """Turn (..., D, H, W) back to (..., X, Y, Z) of its file, as a view; ``orientation`` is that of ``to_ras``."""
    from nibabel.orientations import apply_orientation, axcodes2ornt, ornt_transform

    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(orientation))
    channels_last = np.moveaxis(array, (-1, -2, -3), (0, 1, 2))  # (X, Y, Z, ...)
    return np.moveaxis(apply_orientation(channels_last, turn), (0, 1, 2), (-3, -2, -1))


def file_affine(case: Case) -> np.ndarray:
    """Affine (4, 4) of the file from which ``to_ras`` made the image of a case."""
    from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform

    assert case.affine is not None, "only volumes have one"
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(case.orientation))
    return case.affine @ inv_ornt_aff(turn, case.image.shape[:0:-1])


def read_labels(path: Path) -> Case:
    """Read a volume of labels: like ``read_volume``, image (1, D, H, W) of integers, not yet classes.

    The facts of the case tell the type that they have in the file.

    Raises:
        ValueError: As for ``read_volume`` and ``whole_labels``, or the labels have channels.
    """
    labels = read_volume(path)
    if len(labels.image) != 1:
        raise ValueError(f"mask {path} has {len(labels.image)} channels: save class numbers in one")
    facts = FileFacts(mask_dtype=str(labels.image.dtype))
    return replace(labels, image=whole_labels(labels.image, path), facts=facts)


def read_channels(paths: Sequence[Path], mapped: bool = False) -> Case:
    """Read images of one geometry as the channels of one case, stacked in this order; see ``read_volume``.

    Raises:
        ValueError: As for ``read_volume``, or the geometries differ.
    """
    volumes = [read_volume(path, mapped) for path in paths]
    for other in volumes[1:]:
        require_same_geometry(volumes[0], other)
    alone = mapped and len(volumes) == 1
    image = volumes[0].image if alone else np.concatenate([volume.image for volume in volumes])
    return replace(volumes[0], image=image, files=tuple(paths))


def require_same_geometry(image: Case, other: Case) -> None:
    """Refuse two volumes that do not cover each other voxel by voxel.

    Raises:
        ValueError: The shapes differ, or the affines set a corner apart by more than a tenth of the smallest side of a
            voxel; names both files.
    """
    shape = image.image.shape[1:]
    remedy = "resample one of them to the grid of the other"
    if shape != other.image.shape[1:]:
        sizes = ["×".join(map(str, volume.image.shape[1:])) for volume in (image, other)]
        raise ValueError(
            f"{image.files[0]} has {sizes[0]} voxels (D×H×W), but {other.files[0]} has {sizes[1]}: {remedy}"
        )
    # Affine maps lie farthest apart at a corner.
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(shape[::-1]) - 1)
    assert image.affine is not None
    assert other.affine is not None
    change = image.affine - other.affine
    apart = np.linalg.norm(corners @ change[:3, :3].T + change[:3, 3], axis=1).max()
    allowed = TOLERANCE * min(image.spacing)
    if apart > allowed:
        raise ValueError(
            f"{image.files[0]} and {other.files[0]} lie up to {apart:.3g} mm apart (affines differ; a tenth of a "
            f"voxel, {allowed:.3g} mm, is allowed): {remedy}"
        )


def _suffix(path: Path) -> str:
    return next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), "")


def _read_nifti(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Array (X, Y, Z, C) and its affine."""
    import nibabel

    with naming(path):
        _require_named_as_it_is(path)
        image: Any = nibabel.load(path)
        array = _decompressed(image, path) if _suffix(path) == ".nii.gz" else _mapped(image, path)
        unit = _MM.get(image.header.get_xyzt_units()[0], 1.0)
    if array.ndim == 5 and array.shape[3] == 1:  # ITK puts channels fifth, behind time
        array = array[:, :, :, 0]
    if array.ndim not in (3, 4):
        sizes = "×".join(map(str, array.shape))
        raise ValueError(f"{path} has {array.ndim} axes ({sizes}), not 3, or 4 with channels: {AXES_REMEDY}")
    return array[..., None] if array.ndim == 3 else array, np.diag(np.array([unit, unit, unit, 1.0])) @ image.affine


def _require_named_as_it_is(path: Path) -> None:
    """Refuse a NIfTI file whose name says that it is compressed while it is not, or the other way round."""
    with path.open("rb") as file:
        start = file.read(2)
    if not start:
        raise ValueError("it is empty")
    is_compressed, other = start == b"\x1f\x8b", {".nii": ".nii.gz", ".nii.gz": ".nii"}[_suffix(path)]
    if is_compressed != (_suffix(path) == ".nii.gz"):
        what = "compressed by gzip" if is_compressed else "not compressed by gzip"
        raise ValueError(f"it is {what}: rename it to end with {other} if it is NIfTI")


def _mapped(image: Any, path: Path) -> np.ndarray:
    """Voxels, scaled only if the header says so, else in the dtype of the file."""
    whole = image.dataobj.offset + math.prod(image.shape) * image.get_data_dtype().itemsize
    if path.stat().st_size != whole:
        raise ValueError(f"it takes {whole} bytes by its header, but {path.stat().st_size} are there")
    return np.asanyarray(image.dataobj)


def _decompressed(image: Any, path: Path) -> np.ndarray:
    """Like ``_mapped``; reads to the end of the stream, where gzip compares its checksum (nibabel stops before)."""
    with gzip.open(path) as stream:
        array = np.asanyarray(type(image).from_stream(stream).dataobj)
        rest = len(stream.read(1 << 20))
    if rest:
        raise ValueError(f"{rest} bytes or more follow its voxels")
    return array
