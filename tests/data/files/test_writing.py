"""What is written lies on its source, as nibabel, SimpleITK, tifffile and Pillow read both."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import tifffile
from PIL import Image, ImageOps

from segexp.data.case import Case
from segexp.data.files.segments import Segment
from segexp.data.files.volumes import read_volume, to_file
from segexp.data.files.writing import is_whole, label_dtype, suffix_for, write_colored, write_map
from segexp.prediction.inputs import find_inputs, read_input
from tests.data.files.test_volumes import DIRECTIONS, affine_of, same_locale, save_dicom, save_itk  # noqa: F401


def values() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 900, (7, 6, 5), dtype=np.int16)


def case_of(path: Path) -> Case:
    return read_input(find_inputs(str(path))[0], 1)


def written(case: Case, array: np.ndarray, folder: Path) -> Path:
    path = folder / f"out{suffix_for(case.files[0], array.dtype)}"
    write_map(array, case, path)
    return path


@pytest.mark.parametrize("name", DIRECTIONS)
def test_a_nifti_keeps_voxels_affine_and_orientation(name, tmp_path):
    """The image itself, written as if it were the mask, must come back voxel by voxel."""
    nib.save(nib.Nifti1Image(values(), affine_of(DIRECTIONS[name])), tmp_path / "scan.nii")
    case = case_of(tmp_path / "scan.nii")
    assert np.array_equal(to_file(case.image[0], case.orientation), values())
    found = nib.load(written(case, np.ascontiguousarray(case.image[0]), tmp_path))
    assert np.array_equal(np.asanyarray(found.dataobj), values())
    assert np.array_equal(found.affine, nib.load(tmp_path / "scan.nii").affine)
    assert found.get_data_dtype() == np.int16


def test_a_nifti_keeps_both_forms_and_units_and_drops_what_is_not_geometry(tmp_path):
    """Qform and sform differ here, the file is in microns, scaled, and has five axes and an extension."""
    qform, sform = affine_of(DIRECTIONS["LAI"]), affine_of(DIRECTIONS["PSL"])
    image = nib.Nifti1Image(values()[..., None, None], sform)
    image.set_qform(qform, 1)
    image.set_sform(sform, 4)
    image.header.set_xyzt_units("micron", "sec")
    image.header["cal_max"] = 500
    image.header.set_slope_inter(2.0, 5.0)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"a name"))
    nib.save(image, tmp_path / "scan.nii.gz")
    case = case_of(tmp_path / "scan.nii.gz")
    found = nib.load(written(case, (case.image[0] > 900).astype(np.uint8), tmp_path))
    assert np.array_equal(np.asanyarray(found.dataobj), values() * 2.0 + 5 > 900)
    assert found.shape == (7, 6, 5)
    for form, code in (("qform", 1), ("sform", 4)):
        affine, kept = getattr(found, f"get_{form}")(coded=True)
        assert kept == code
        assert np.allclose(affine, {"qform": qform, "sform": sform}[form], atol=1e-5)
    assert found.header.get_xyzt_units() == ("micron", "sec")
    assert found.header["cal_max"] == 0
    assert not found.header.extensions


def test_nifti_2_stays_nifti_2(tmp_path):
    nib.save(nib.Nifti2Image(values(), affine_of(DIRECTIONS["LPS"])), tmp_path / "scan.nii.gz")
    case = case_of(tmp_path / "scan.nii.gz")
    found = nib.load(written(case, np.zeros(case.image.shape[1:], np.float32), tmp_path))
    assert isinstance(found, nib.Nifti2Image)
    assert found.get_data_dtype() == np.float32


@pytest.mark.parametrize("name", DIRECTIONS)
@pytest.mark.parametrize(("suffix", "becomes"), [(".nrrd", ".nrrd"), (".mha", ".mha"), (".mhd", ".mha")])
def test_nrrd_and_metaimage_lie_where_simpleitk_sees_their_source(name, suffix, becomes, tmp_path):
    path = save_itk(tmp_path / f"scan{suffix}", values(), affine_of(DIRECTIONS[name]))
    case = case_of(path)
    out = written(case, np.ascontiguousarray(case.image[0]), tmp_path)
    assert out.suffix == becomes
    found, source = sitk.ReadImage(str(out)), sitk.ReadImage(str(path))
    assert np.array_equal(sitk.GetArrayFromImage(found), sitk.GetArrayFromImage(source))
    for fact in ("GetOrigin", "GetSpacing", "GetDirection"):
        assert np.allclose(getattr(found, fact)(), getattr(source, fact)(), atol=1e-9)


def test_a_dicom_series_becomes_nifti_in_its_place(tmp_path):
    folder = save_dicom(tmp_path / "series", values(), affine_of(DIRECTIONS["LPS"]))
    case = case_of(folder)
    out = written(case, np.ascontiguousarray(case.image[0]), tmp_path)
    found, source = read_volume(out), read_volume(folder)
    assert np.array_equal(found.image, source.image)
    assert np.allclose(found.affine, source.affine, atol=1e-4)
    itk = sitk.ReadImage(str(out))  # through qform
    assert np.allclose(sitk.GetArrayFromImage(itk), values().T)
    assert nib.load(out).header.get_xyzt_units()[0] == "mm"


def test_a_tiff_keeps_pages_resolution_and_distance_of_slices(tmp_path):
    stack = np.random.default_rng(0).integers(0, 255, (3, 12, 10), dtype=np.uint8)
    where = {"spacing": 2.5, "unit": "um", "axes": "ZYX"}
    tifffile.imwrite(tmp_path / "s.tif", stack, imagej=True, resolution=(4.0, 5.0), metadata=where)
    case = case_of(tmp_path / "s.tif")
    assert np.array_equal(case.image, stack[None])
    with tifffile.TiffFile(written(case, case.image[0], tmp_path)) as file:
        assert np.array_equal(file.asarray(), stack)
        assert len(file.pages) == 3
        assert file.imagej_metadata["spacing"] == 2.5
        assert file.imagej_metadata["unit"] == "um"
        assert file.pages.first.resolution == (4.0, 5.0)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_a_mask_lies_on_the_photograph_as_viewers_show_it(suffix, orientation, tmp_path):
    """Pillow's ImageOps.exif_transpose says how it is shown; the mask is upright and without a tag."""
    exif, path = Image.Exif(), tmp_path / f"photo{suffix}"
    exif[274] = orientation
    steps = np.tile(np.arange(0, 240, 10, dtype=np.uint8), (16, 1)) // 2 + np.arange(16, dtype=np.uint8)[:, None] * 7
    options = {"tiffinfo": {274: orientation, 282: 40.0, 283: 50.0, 296: 3}} if suffix == ".tif" else {"exif": exif}
    image = Image.fromarray(steps)
    image.save(path, **options, lossless=True, quality=98)
    image.getexif()[274] = orientation
    shown = np.asarray(ImageOps.exif_transpose(image)).astype(int)
    case = case_of(path)
    assert case.image.shape[1:] == shown.shape
    assert np.abs(case.image[0].astype(int) - shown).max() <= 3
    out = written(case, (case.image[0] > 99).astype(np.uint8), tmp_path)
    with Image.open(out) as mask:
        assert mask.size == shown.shape[::-1]
        assert mask.getexif().get(274, 1) == 1
        if suffix == ".tif":
            assert mask.info["dpi"] == pytest.approx((127.0, 101.6) if orientation > 4 else (101.6, 127.0))


def test_a_stack_of_numpy_becomes_a_tiff_of_pages(tmp_path):
    pages = np.random.default_rng(0).integers(0, 255, (3, 12, 10), dtype=np.uint8)
    np.save(tmp_path / "s.npy", pages)
    case = case_of(tmp_path / "s.npy")
    assert np.array_equal(tifffile.imread(written(case, case.image[0], tmp_path)), pages)


@pytest.mark.parametrize("shape", [(12, 10), (3, 12, 10)])
def test_a_colored_mask_is_an_indexed_image_of_imagej(shape, tmp_path):
    """As tifffile and Pillow read it: values, look-up table in both places, names, and the resolution of the source."""
    mask = np.random.default_rng(0).choice([0, 7, 200], shape).astype(np.uint8)
    tifffile.imwrite(tmp_path / "scan.tif", mask, photometric="minisblack", resolution=(4.0, 5.0))
    segments = [Segment("cell", 7, (86, 180, 233)), Segment("debris", 200, (230, 159, 0))]
    write_colored(mask, case_of(tmp_path / "scan.tif"), tmp_path / "out.tif", segments)
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.is_imagej
        assert np.array_equal(file.asarray(), mask)
        assert len(file.pages) == (1 if mask.ndim == 2 else 3)
        tables = [file.imagej_metadata["LUTs"], file.pages.first.colormap >> 8]
        assert file.imagej_metadata["Info"] == "7 cell\n200 debris\n"
        assert file.pages.first.resolution == (4.0, 5.0)
    for table in tables:
        assert table[:, [0, 7, 200]].T.tolist() == [[0, 0, 0], [86, 180, 233], [230, 159, 0]]
    with Image.open(tmp_path / "out.tif") as image:
        assert image.mode == "P"
        page = mask if mask.ndim == 2 else mask[0]
        assert np.array_equal(np.asarray(image), page)
        row, column = np.argwhere(page == 7)[0]
        assert image.convert("RGB").getpixel((int(column), int(row))) == (86, 180, 233)
    assert is_whole(tmp_path / "out.tif")


def test_a_damaged_mask_is_not_whole(tmp_path):
    mask = np.random.default_rng(0).integers(0, 3, (40, 50), dtype=np.uint8)
    for suffix in (".png", ".tif"):
        path = tmp_path / f"m{suffix}"
        Image.fromarray(mask).save(path, **({"compression": "tiff_adobe_deflate"} if suffix == ".tif" else {}))
        assert is_whole(path)
        data = bytearray(path.read_bytes())
        data[200] ^= 8
        path.write_bytes(data)
        assert not is_whole(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32, np.float32])
def test_an_image_becomes_png_where_png_holds_its_values(dtype, tmp_path):
    mask = np.array([[0, 1, 2], [9, 77, 100]], dtype)
    Image.fromarray(np.zeros((2, 3), np.uint8)).save(tmp_path / "photo.jpg")
    path = written(case_of(tmp_path / "photo.jpg"), mask, tmp_path)
    assert path.suffix == (".png" if dtype in (np.uint8, np.uint16) else ".tif")
    found = np.asarray(Image.open(path)) if path.suffix == ".png" else tifffile.imread(path)
    assert np.array_equal(found, mask)
    assert found.dtype == dtype


@pytest.mark.parametrize(
    ("given", "kind"),
    [([0, 255], "uint8"), ([0, 256], "uint16"), ([-1, 3], "int16"), ([-1, 40_000], "int32"), ([2**40], "int64")],
)
def test_labels_take_the_smallest_type(given, kind):
    assert label_dtype(given) == kind
