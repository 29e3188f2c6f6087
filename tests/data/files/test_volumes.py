"""One volume in every format and orientation reads the same; what cannot be used is refused."""

import gzip
import locale
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from segexp.data.files.volumes import (
    read_labels,
    read_volume,
    require_same_geometry,
    volume_files,
    volume_stem,
)

SPACING = np.array([0.5, 0.75, 2.0])  # along x, y, z of the file
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def rotation(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


DIRECTIONS = {  # columns: where the axes of the file point to in RAS
    "RAS": np.eye(3),
    "LPS": np.diag([-1.0, -1.0, 1.0]),
    "PSL": np.array([[0, 0, -1.0], [-1, 0, 0], [0, 1, 0]]),
    "LAI": np.diag([-1.0, 1.0, -1.0]) @ rotation(15),
}


@pytest.fixture(autouse=True)
def same_locale():
    """GDCM sets the locale to "C" when it writes DICOM; tests that come later could not read UTF-8."""
    kept = locale.setlocale(locale.LC_ALL)
    yield
    locale.setlocale(locale.LC_ALL, kept)


@pytest.fixture
def values():
    """Return an array (X, Y, Z) in the axes of the file."""
    return np.random.default_rng(0).integers(-900, 900, (7, 6, 5), dtype=np.int16)


def affine_of(direction: np.ndarray) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = direction * SPACING
    affine[:3, 3] = (-11.5, 20.25, 3)
    return affine


def save_nifti(path: Path, values: np.ndarray, affine: np.ndarray) -> Path:
    nib.save(nib.Nifti1Image(values, affine), path)
    return path


def to_itk(values: np.ndarray, affine: np.ndarray) -> sitk.Image:
    """Turn an array (X, Y, Z[, C]) and its affine to RAS into an image of SimpleITK, where the world is LPS."""
    image = sitk.GetImageFromArray(values.swapaxes(0, 2), isVector=values.ndim == 4)
    lps = LPS_TO_RAS @ affine
    sizes = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(sizes.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / sizes).ravel().tolist())
    return image


def save_itk(path: Path, values: np.ndarray, affine: np.ndarray) -> Path:
    sitk.WriteImage(to_itk(values, affine), str(path), useCompression=path.suffix != ".mhd")
    return path


def save_dicom(folder: Path, values: np.ndarray, affine: np.ndarray, series: str = "1.2.9", **tags: str) -> Path:
    """Write a series whose file names are not in the order of the slices."""
    folder.mkdir(exist_ok=True)
    image, writer = to_itk(values, affine), sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    axes = np.reshape(image.GetDirection(), (3, 3)).T
    for index in range(values.shape[2]):
        page = image[:, :, index : index + 1]
        known = {
            "0008|0060": "CT",
            "0008|0018": f"{series}.{index + 1}",
            "0020|000e": series,
            "0020|0013": str(index),
            "0020|0032": "\\".join(f"{value:.9f}" for value in page.GetOrigin()),
            "0020|0037": "\\".join(f"{value:.12f}" for value in [*axes[0], *axes[1]]),
        }
        for tag, value in (known | tags).items():
            page.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{series}_{(index * 7) % 11}.dcm"))
        writer.Execute(page)
    return folder


@pytest.mark.parametrize("axes", DIRECTIONS)
def test_all_formats_give_what_nibabel_makes_canonical(tmp_path, values, axes):
    affine = affine_of(DIRECTIONS[axes])
    truth = nib.as_closest_canonical(nib.Nifti1Image(values, affine))
    paths = [save_nifti(tmp_path / name, values, affine) for name in ("a.nii", "a.nii.gz")]
    paths += [save_itk(tmp_path / name, values, affine) for name in ("a.nrrd", "a.nhdr", "a.mha", "b.mhd")]
    paths += [save_dicom(tmp_path / "series", values, affine)]
    for path in paths:
        volume = read_volume(path)
        assert volume.image.dtype == np.int16, path
        np.testing.assert_array_equal(volume.image, truth.dataobj[:].transpose()[None], err_msg=path.name)
        np.testing.assert_allclose(volume.affine, truth.affine, atol=1e-5, err_msg=path.name)
        np.testing.assert_allclose(volume.spacing, truth.header.get_zooms()[::-1], rtol=1e-6, err_msg=path.name)
        assert volume.orientation == axes
        assert volume.image.flags.c_contiguous


def test_a_voxel_keeps_its_place_in_the_world(tmp_path, values):
    affine = affine_of(DIRECTIONS["PSL"])
    values[:] = 0
    values[6, 1, 3] = 99
    volume = read_volume(save_itk(tmp_path / "a.nrrd", values, affine))
    z, y, x = np.argwhere(volume.image[0] == 99)[0]
    np.testing.assert_allclose((volume.affine @ [x, y, z, 1])[:3], (affine @ [6, 1, 3, 1])[:3], atol=1e-9)
    assert volume.spacing == (0.75, 0.5, 2.0)  # the file's second axis runs up, its first and third lie flat


def test_channels(tmp_path):
    values = np.arange(7 * 6 * 5 * 2, dtype=np.float32).reshape(7, 6, 5, 2)
    affine = affine_of(DIRECTIONS["LPS"])
    turned = values[::-1, ::-1].transpose(3, 2, 1, 0)
    files = [save_nifti(tmp_path / "a.nii", values, affine), save_itk(tmp_path / "a.nrrd", values, affine)]
    itk_nifti = tmp_path / "itk.nii.gz"
    sitk.WriteImage(to_itk(values, affine), str(itk_nifti))
    for path in (*files, itk_nifti):
        np.testing.assert_array_equal(read_volume(path).image, turned, err_msg=path.name)


def test_slope_and_intercept_are_applied(tmp_path, values):
    affine = affine_of(np.eye(3))
    image = nib.Nifti1Image(values, affine)
    image.header.set_slope_inter(0.5, 10)
    nib.save(image, tmp_path / "a.nii")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii").image[0], values.T * 0.5 + 10)
    even = (values // 2 * 2).astype(np.int16)
    folder = save_dicom(tmp_path / "ct", even, affine, **{"0028|1053": "2", "0028|1052": "-1024"})
    np.testing.assert_array_equal(read_volume(folder).image[0], even.T)
    stored = sitk.ReadImage(str(next(folder.iterdir())))
    assert stored.GetMetaData("0028|1053").strip() == "2"


def test_big_endian_and_micrometres(tmp_path, values):
    image = nib.Nifti1Image(values, affine_of(np.eye(3))).as_reoriented([[0, 1], [1, 1], [2, 1]])
    image.header.set_xyzt_units("micron")
    swapped = nib.Nifti1Image(values, image.affine, image.header.as_byteswapped(">"))
    nib.save(swapped, tmp_path / "a.nii")
    volume = read_volume(tmp_path / "a.nii")
    assert volume.image.dtype.isnative
    np.testing.assert_array_equal(volume.image[0], values.T)
    np.testing.assert_allclose(volume.spacing, SPACING[::-1] / 1000)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.mha"])
def test_truncated_files_are_refused_at_every_length(tmp_path, name):
    values = np.random.default_rng(0).integers(0, 99, (20, 20, 20), dtype=np.uint8)
    save = save_nifti if ".nii" in name else save_itk
    path = save(tmp_path / name, values, np.eye(4))
    data = path.read_bytes()
    for length in range(0, len(data) - 64, len(data) // 7):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match=rf"{name} cannot be read \(.*\): check that it is complete$"):
            read_volume(path)


NAMES = ["a.nii.gz", "a.nrrd", "a.nhdr", "a.mha", "a.mhd"]


def save_compressed(path: Path) -> Path:
    """Write smooth voxels; return the file that holds the compressed ones."""
    ramp = np.arange(12 * 12 * 12, dtype=np.int16).reshape(12, 12, 12)
    if path.suffix == ".gz":
        return save_nifti(path, ramp, np.eye(4))
    sitk.WriteImage(sitk.GetImageFromArray(ramp), str(path), useCompression=True)
    return {".nhdr": path.with_suffix(".raw.gz"), ".mhd": path.with_suffix(".zraw")}.get(path.suffix, path)


@pytest.mark.parametrize("name", NAMES)
def test_no_flipped_bit_of_compressed_voxels_is_read(tmp_path, name):
    """Each flip in the stream is refused, or (bits of gzip's header that mean nothing) the voxels are right."""
    stream = save_compressed(tmp_path / name)
    truth, data = read_volume(tmp_path / name).image, stream.read_bytes()
    mark = {"a.nrrd": b"\n\n", "a.mha": b"LOCAL\n"}.get(name, b"")
    start = data.find(mark) + len(mark)
    reasons = []
    for bit in np.random.default_rng(0).choice(8 * (len(data) - start), 100, replace=False):
        flipped = bytearray(data)
        flipped[start + bit // 8] ^= 1 << bit % 8
        stream.write_bytes(flipped)
        try:
            np.testing.assert_array_equal(read_volume(tmp_path / name).image, truth)
        except ValueError as error:
            reasons.append(str(error))
    assert len(reasons) > 95
    assert all(f"{name} cannot be read" in reason for reason in reasons)


@pytest.mark.parametrize("name", ["a.nii", *NAMES, "b.mhd", "b.nrrd"])
@pytest.mark.parametrize("rest", [b"x", b"\x1f\x8b\x08", bytes(700)])
def test_what_follows_the_voxels_is_refused(tmp_path, name, rest):
    if name[0] == "b" or name == "a.nii":
        save = (
            save_nifti if name == "a.nii" else lambda path, v, _: sitk.WriteImage(sitk.GetImageFromArray(v), str(path))
        )
        save(tmp_path / name, np.zeros((3, 4, 5), np.uint8), np.eye(4))
        stream = tmp_path / ("b.raw" if name == "b.mhd" else name)
    else:
        stream = save_compressed(tmp_path / name)
    stream.write_bytes(stream.read_bytes() + rest)
    if name == "a.nii.gz" and not rest.strip(b"\0"):  # gzip allows zeros
        assert read_volume(tmp_path / name).image.any()
        return
    with pytest.raises(ValueError, match=rf"{name} cannot be read \(.*\): check that it is complete"):
        read_volume(tmp_path / name)


def test_gzip_of_several_members_is_read(tmp_path, values):
    plain = save_nifti(tmp_path / "a.nii", values, np.eye(4))
    data = plain.read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(data[:500]) + gzip.compress(data[500:]))
    np.testing.assert_array_equal(read_volume(tmp_path / "b.nii.gz").image, read_volume(plain).image)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.txt", "nowhere"])
def test_absent_file_is_named(tmp_path, name):
    with pytest.raises(ValueError, match=rf"{name} cannot be read \(.*[Nn]o such file"):
        read_volume(tmp_path / name)


def test_other_suffixes_and_numbers_of_axes(tmp_path):
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(ValueError, match=r"a\.txt cannot be read as a volume: volumes end with \.nii\.gz"):
        read_volume(tmp_path / "a.txt")
    sitk.WriteImage(sitk.Image([4, 4], sitk.sitkUInt8), str(tmp_path / "flat.mha"))
    with pytest.raises(ValueError, match=r"flat\.mha has 2 axes \(4×4\), not 3: save one image as PNG or TIFF"):
        read_volume(tmp_path / "flat.mha")
    sitk.WriteImage(sitk.Image([4, 4, 4, 2], sitk.sitkUInt8), str(tmp_path / "film.nrrd"))
    with pytest.raises(ValueError, match=r"film\.nrrd has 4 axes \(4×4×4×2\), not 3: .* each time point as a volume"):
        read_volume(tmp_path / "film.nrrd")
    for shape in ((4, 5), (2, 2, 2, 2, 2)):
        path = save_nifti(tmp_path / "other.nii", np.zeros(shape, np.uint8), np.eye(4))
        words = rf"other\.nii has {len(shape)} axes \({'×'.join(map(str, shape))}\), not 3, or 4 with channels: save"
        with pytest.raises(ValueError, match=words):
            read_volume(path)
    (tmp_path / "IM1").write_bytes(b"\0" * 128 + b"DICM")
    with pytest.raises(ValueError, match="IM1 is a DICOM file: give the folder of its series"):
        read_volume(tmp_path / "IM1")
    with pytest.raises(ValueError, match=r"c\.nii holds complex64 values: save real numbers"):
        read_volume(save_nifti(tmp_path / "c.nii", np.zeros((2, 2, 2), np.complex64), np.eye(4)))


@pytest.mark.parametrize("wrong", [0.0, np.nan])
def test_affine_without_inverse_is_refused(tmp_path, values, wrong):
    image = nib.Nifti1Image(values, np.eye(4))
    image.header["srow_x"] = image.header["srow_y"] = [1, 0, 0, 0]
    image.header["srow_z"] = [0, 0, wrong, 0]
    image.header["sform_code"], image.header["qform_code"], image.header["vox_offset"] = 1, 0, 352
    with (tmp_path / "a.nii").open("wb") as file:
        file.write(image.header.binaryblock + b"\0" * 4 + values.tobytes(order="F"))
    with pytest.raises(
        ValueError, match=r"a\.nii has an affine without inverse, \[\[1\.0, 0\.0, .*fix the orientation"
    ):
        read_volume(tmp_path / "a.nii")


def test_stem_and_files(tmp_path, values):
    assert volume_stem(Path("x/a.b.nii.gz")) == "a.b"
    assert volume_stem(Path("x/A.NRRD")) == "A"
    assert volume_stem(Path("x/a.png")) is None
    folder = save_dicom(tmp_path / "p.1", values, np.eye(4))
    (folder / "notes.txt").write_text("")
    assert volume_stem(folder) == "p.1"
    assert [file.suffix for file in volume_files(folder)] == [".dcm"] * 5
    (tmp_path / "none").mkdir()
    assert volume_stem(tmp_path / "none") is None
    for name, data in [("a.mhd", "a.raw"), ("b.nhdr", "b.raw.gz")]:
        files = volume_files(save_itk(tmp_path / name, values, np.eye(4)))
        assert [file.name for file in files] == [name, data]
    assert volume_files(Path("a.nrrd")) == (Path("a.nrrd"),)


def test_labels_must_be_whole_and_have_one_channel(tmp_path):
    whole = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    labels = read_labels(save_nifti(tmp_path / "whole.nii", whole, np.eye(4)))
    assert labels.image.dtype == np.int32
    assert labels.facts == {"mask_dtype": "float32"}
    np.testing.assert_array_equal(labels.image[0], whole.T)
    for wrong, words in ((0.5, r"holds fractions \(0\.5\)"), (np.nan, "has 1 of 8 values that are NaN")):
        whole[0, 0, 0] = wrong
        with pytest.raises(ValueError, match=rf"wrong\.nii {words}"):
            read_labels(save_nifti(tmp_path / "wrong.nii", whole, np.eye(4)))
    with pytest.raises(ValueError, match=r"two\.nii has 2 channels"):
        read_labels(save_nifti(tmp_path / "two.nii", np.zeros((2, 2, 2, 2), np.uint8), np.eye(4)))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
def test_labels_behind_a_slope_are_whole(tmp_path, dtype):
    """Nibabel stores floats as integers with a slope: labels come back as 0.9999999998."""
    labels = np.arange(8, dtype=np.float64).reshape(2, 2, 2) // 2
    image = nib.Nifti1Image(labels, np.eye(4))
    image.set_data_dtype(dtype)
    nib.save(image, tmp_path / "m.nii.gz")
    decoded = np.asanyarray(nib.load(tmp_path / "m.nii.gz").dataobj)
    assert (decoded != labels).any()
    np.testing.assert_array_equal(read_labels(tmp_path / "m.nii.gz").image[0], labels.T)


def test_geometries_must_agree_to_a_tenth_of_a_voxel(tmp_path, values):
    affine = affine_of(DIRECTIONS["LPS"])
    image = read_volume(save_nifti(tmp_path / "i.nii", values, affine))
    for move, agrees in [(0.04, True), (0.06, False)]:  # the smallest side is 0.5 mm
        moved = affine.copy()
        moved[2, 3] += move
        other = read_volume(save_nifti(tmp_path / "m.nii", values, moved))
        if agrees:
            require_same_geometry(image, other)
        else:
            with pytest.raises(ValueError, match=r"i\.nii and .*m\.nii lie up to 0\.06 mm apart .* 0\.05 mm"):
                require_same_geometry(image, other)
    turned = read_volume(save_nifti(tmp_path / "t.nii", values, affine @ np.diag([1.05, 1, 1, 1])))
    with pytest.raises(ValueError, match="lie up to"):  # first voxels agree, last ones do not
        require_same_geometry(image, turned)
    small = read_volume(save_nifti(tmp_path / "s.nii", values[1:], affine))
    with pytest.raises(ValueError, match=r"i\.nii has 5×6×7 voxels \(D×H×W\), but .*s\.nii has 5×6×6"):
        require_same_geometry(image, small)


def test_without_simpleitk_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(ValueError, match=r"need SimpleITK, which is not installed: pip install 'segexp\[io\]'"):
        read_volume(tmp_path / "a.nrrd")


def test_a_name_that_lies_about_compression_is_told(tmp_path, values):
    plain = save_nifti(tmp_path / "a.nii", values, np.eye(4))
    packed = tmp_path / "b.nii.gz"
    packed.write_bytes(plain.read_bytes())
    with pytest.raises(ValueError, match=r"b\.nii\.gz .*not compressed by gzip: rename it to end with \.nii "):
        read_volume(packed)
    plain.write_bytes(gzip.compress(plain.read_bytes()))
    with pytest.raises(ValueError, match=r"a\.nii .*it is compressed by gzip: rename it to end with \.nii\.gz"):
        read_volume(plain)
    packed.write_bytes(b"")
    with pytest.raises(ValueError, match="it is empty"):
        read_volume(packed)
