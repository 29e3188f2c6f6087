"""Inputs are found as the docs say, and read as training reads them."""

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from segexp.data.files.images import read_image, read_pages, read_stack
from segexp.data.files.volumes import read_volume
from segexp.data.resample import resample
from segexp.prediction.inputs import at_spacing, find_inputs, is_stack, pages_of, read_input
from tests.data.files.test_volumes import DIRECTIONS, affine_of, same_locale, save_dicom, save_nifti  # noqa: F401


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def is_mapped(array: np.ndarray) -> bool:
    """Whether the values lie in a file."""
    while not isinstance(array, np.memmap) and isinstance(array.base, np.ndarray):
        array = array.base
    return isinstance(array, np.memmap)


def names(where: object, by_suffix: bool = False) -> list[str]:
    return [found.name for found in find_inputs(str(where), by_suffix)]


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in ("a10.png", "a2.PNG", "deep/b.png", ".hidden.png"):
        save(tmp_path / "in" / name, noise(8, 8)) if name != "a2.PNG" else save(tmp_path / "in" / "a2.png", noise(8, 8))
    (tmp_path / "in" / "notes.txt").write_text("no image")
    save_nifti(tmp_path / "in" / "scan.nii.gz", noise(4, 4, 4, dtype=np.int16), np.eye(4))
    save_dicom(tmp_path / "in" / "series", noise(5, 4, 3, dtype=np.int16), affine_of(DIRECTIONS["LPS"]))
    return tmp_path / "in"


def test_a_folder_gives_its_own_files_and_series_in_natural_order(folder):
    assert names(folder) == ["a2", "a10", "scan", "series"]


def test_files_patterns_and_series_are_found(folder, monkeypatch):
    assert names(folder / "a10.png") == ["a10"]
    assert names(folder / "series") == ["series"]
    assert names(folder / "**" / "*.png") == ["a2", "a10", "deep/b"]
    assert names(folder / "*" / "b.png") == ["deep/b"]
    monkeypatch.chdir(folder)
    assert names("*.png") == ["a2", "a10"]
    assert names("scan.nii.gz") == ["scan"]


def test_an_existing_name_is_no_pattern(tmp_path):
    save(tmp_path / "x[1].png", noise(4, 4))
    assert names(tmp_path / "x[1].png") == ["x[1]"]


def noted(folder: Path) -> Path:
    """The folder without its images and volumes."""
    for path in [*folder.glob("a*.png"), folder / "scan.nii.gz"]:
        path.unlink()
    shutil.rmtree(folder / "series")
    return folder


def test_nothing_to_predict_is_told(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    for where in (tmp_path / "empty", folder / "notes.txt", folder / "*.bmp"):
        with pytest.raises(FileNotFoundError, match=r"to predict \(found: .*\): .*\.nii\.gz.* a folder of DICOM"):
            find_inputs(str(where))
    with pytest.raises(FileNotFoundError, match=r"found: .*1 \.txt.*, 1 folder; images lie in deep: "):
        find_inputs(str(noted(folder)))
    with pytest.raises(FileNotFoundError, match="there is no such file or folder"):
        find_inputs(str(tmp_path / "nowhere"))


def test_two_files_of_one_name_are_refused(tmp_path):
    save(tmp_path / "a.png", noise(4, 4))
    save(tmp_path / "a.tif", noise(4, 4))
    with pytest.raises(ValueError, match=r"a\.png, .*a\.tif share the name a"):
        find_inputs(str(tmp_path))


def test_channels_named_as_by_nnunet_make_one_case(tmp_path):
    parts = [noise(4, 5, 6) + 50 * channel for channel in range(2)]
    for case in ("x", "y"):
        for channel, part in enumerate(parts):
            save_nifti(tmp_path / f"{case}_{channel:04d}.nii.gz", part, affine_of(DIRECTIONS["PSL"]))
    assert names(tmp_path) == ["x_0000", "x_0001", "y_0000", "y_0001"]
    found = find_inputs(str(tmp_path), True)
    assert [case.name for case in found] == ["x", "y"]
    image = read_input(found[0], 2).image
    singly = [read_volume(path).image[0] for path in found[0].files]
    assert np.array_equal(image, np.stack(singly))
    with pytest.raises(ValueError, match=r"x_0000.nii.gz has 2 channels \(x_0000.*\), the network takes 3"):
        read_input(found[0], 3)
    save_nifti(tmp_path / "x_0001.nii.gz", parts[1], np.diag([1, 1, 1.5, 1]) @ affine_of(DIRECTIONS["PSL"]))
    with pytest.raises(ValueError, match="lie up to"):
        read_input(found[0], 2)


def test_channels_are_joined_only_where_that_is_said(tmp_path):
    for channel in range(5):
        save(tmp_path / f"f_{channel:04d}.png", noise(6, 7) + channel)
    assert len(names(tmp_path)) == 5
    (found,) = find_inputs(str(tmp_path), True)
    assert read_input(found, 5).image[:, 0, 0].tolist() == (noise(6, 7)[0, 0] + np.arange(5)).tolist()
    save(tmp_path / "f_0003.png", noise(6, 8))
    with pytest.raises(ValueError, match="crop or resample"):
        read_input(found, 5)


def test_years_and_numbers_of_patients_are_no_channels(tmp_path):
    for name in ("scan_2019", "scan_2020", "patient_0003", "patient_0004"):
        save_nifti(tmp_path / f"{name}.nii.gz", noise(4, 5, 6), np.eye(4))
    assert names(tmp_path) == ["patient_0003", "patient_0004", "scan_2019", "scan_2020"]
    for found in find_inputs(str(tmp_path), True):
        with pytest.raises(ValueError, match=r"_0000 without gaps; .* channels_by_suffix=false"):
            read_input(found, 2)


@pytest.mark.parametrize("missing", ["x_0000.nii.gz", "x_0001.nii.gz"])
def test_a_missing_channel_costs_its_case_alone(tmp_path, missing):
    for name in ("x_0000", "x_0001", "x_0002", "y_0000", "y_0001", "y_0002"):
        save_nifti(tmp_path / f"{name}.nii.gz", noise(4, 5, 6), np.eye(4))
    (tmp_path / missing).unlink()
    broken, whole = find_inputs(str(tmp_path), True)
    assert read_input(whole, 3).image.shape == (3, 6, 5, 4)
    with pytest.raises(ValueError, match="without gaps"):
        read_input(broken, 3)


def test_a_case_beside_its_channels_is_refused(tmp_path):
    for name in ("x", "x_0000", "x_0001"):
        save_nifti(tmp_path / f"{name}.nii.gz", noise(4, 5, 6), np.eye(4))
    (found,) = find_inputs(str(tmp_path), True)
    with pytest.raises(ValueError, match="without gaps"):
        read_input(found, 3)


def test_one_channel_loses_its_number_too(tmp_path):
    save_nifti(tmp_path / "x_0000.nii.gz", noise(4, 5, 6), np.eye(4))
    assert names(tmp_path, True) == ["x"]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_flat_images_are_read_as_training_reads_them(channels, suffix, tmp_path):
    for pixels in (noise(6, 7), noise(6, 7, 3)):
        path = save(tmp_path / f"p{suffix}", pixels)
        case = read_input(find_inputs(str(path))[0], channels)
        assert np.array_equal(case.image, read_image(path, channels))
        assert (case.spacing, case.spacing_unit) == ((1.0, 1.0), "px")
    case = read_input(find_inputs(str(path))[0], channels, spacing=[0.5, 0.25])
    assert (case.spacing, case.spacing_unit) == ((0.5, 0.25), "mm")
    with pytest.raises(ValueError, match="must be 2 numbers above 0"):
        read_input(find_inputs(str(path))[0], channels, spacing=[0.5])


@pytest.mark.parametrize("order", ["<", ">"])
def test_plain_tiffs_stay_in_their_file(order, tmp_path):
    for shape in ((9, 8), (4, 9, 8), (9, 8, 3)):
        pixels, path = noise(*shape, dtype=np.uint16), tmp_path / "p.tif"
        photometric = "rgb" if shape[-1] == 3 else "minisblack"
        tifffile.imwrite(path, pixels, byteorder=order, photometric=photometric)
        channels = 3 if shape[-1] == 3 else 1
        case = read_input(find_inputs(str(path))[0], channels)
        assert is_mapped(case.image)
        plain = read_stack(path)[None] if len(shape) == 3 and channels == 1 else read_image(path, channels)
        assert np.array_equal(case.image, plain)
        tifffile.imwrite(path, pixels, compression="zlib", photometric=photometric)
        assert not is_mapped(read_pages(path, channels, mapped=True))
        assert np.array_equal(read_input(find_inputs(str(path))[0], channels).image, plain)


def test_white_is_zero_and_palettes_are_not_mapped(tmp_path):
    tifffile.imwrite(tmp_path / "w.tif", noise(5, 6), photometric="miniswhite")
    Image.fromarray(noise(5, 6)).convert("P").save(tmp_path / "p.tif")
    for name in ("w.tif", "p.tif"):
        assert not is_mapped(read_pages(tmp_path / name, 1, mapped=True))
        case = read_input(find_inputs(str(tmp_path / name))[0], 1)
        assert np.array_equal(case.image, read_image(tmp_path / name, 1))


@pytest.mark.parametrize("name", DIRECTIONS)
def test_an_uncompressed_nifti_stays_in_its_file(name, tmp_path):
    path = save_nifti(tmp_path / "v.nii", noise(7, 6, 5, dtype=np.int16), affine_of(DIRECTIONS[name]))
    case, plain = read_input(find_inputs(str(path))[0], 1), read_volume(path)
    assert np.shares_memory(case.image, case.image.base)
    assert np.array_equal(case.image, plain.image)
    assert np.array_equal(case.affine, plain.affine)
    assert plain.image.flags.c_contiguous
    assert plain.image.flags.owndata or name == "RAS"
    assert is_mapped(case.image)


def test_a_stack_falls_into_pages_and_a_volume_does_not(tmp_path):
    tifffile.imwrite(tmp_path / "s.tif", noise(4, 6, 5), photometric="minisblack")
    case = read_input(find_inputs(str(tmp_path / "s.tif"))[0], 1, spacing=[3.0, 1.0, 2.0])
    assert is_stack(case)
    pages = list(pages_of(case))
    assert [page.image.shape for page in pages] == [(1, 6, 5)] * 4
    assert np.array_equal(pages[2].image[0], noise(4, 6, 5)[2])
    assert pages[2].spacing == (1.0, 2.0)
    path = save_nifti(tmp_path / "v.nii.gz", noise(4, 6, 5), np.eye(4))
    assert not is_stack(read_input(find_inputs(str(path))[0], 1))


def test_a_case_near_the_wanted_spacing_stays_as_it_is(tmp_path):
    path = save_nifti(tmp_path / "v.nii", noise(40, 30, 20), np.diag([1.0, 1.0004, 2.0, 1.0]))
    case = read_input(find_inputs(str(path))[0], 1)
    assert at_spacing(case, None, "files") is at_spacing(case, [2.0, 1.0, 1.0], "files") is case
    wanted = [1.0, 1.0, 1.5]
    assert np.array_equal(at_spacing(case, wanted, "files").image, resample(case, wanted).image)


def test_broken_files_are_named(tmp_path):
    (tmp_path / "b.nii.gz").write_bytes(b"no volume")
    (tmp_path / "b.tif").write_bytes(b"II*\x00")
    for name in ("b.nii.gz", "b.tif"):
        with pytest.raises(ValueError, match=name):
            read_input(find_inputs(str(tmp_path / name))[0], 1)
    nib.save(nib.Nifti1Image(noise(4, 4, 4), np.eye(4)), tmp_path / "v.nii")
    with pytest.raises(ValueError, match=r"v\.nii has 1 channel, the network takes 4"):
        read_input(find_inputs(str(tmp_path / "v.nii"))[0], 4)
