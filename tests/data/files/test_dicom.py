"""DICOM series: slices of one file each and frames in one file, in whatever order, each by its own slope."""

import locale
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from segexp.data.files.dicom import is_dicom
from segexp.data.files.dicom_headers import quiet
from segexp.data.files.volumes import file_affine, read_volume, to_file
from tests.data.files.test_volumes import same_locale, save_dicom, values

__all__ = ["same_locale", "values"]  # fixtures
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
Change = Callable[[Dataset, int], Any]


def header(kind: str, pixels: np.ndarray) -> Dataset:
    """Header of an image of this SOP class, with pixels (..., H, W) as they are stored."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = kind
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    data.SeriesInstanceUID = "1.2.3"
    data.Rows, data.Columns = pixels.shape[-2:]
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 8 * pixels.itemsize
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    data.PixelData = pixels.tobytes()
    return data


def save_slices(folder: Path, pixels: np.ndarray, change: Change = lambda data, index: None) -> Path:
    """Write slices (Z, H, W) of 1 x 0.5 mm, 2 mm apart, as a file each; ``change`` alters their headers."""
    folder.mkdir()
    for index, page in enumerate(pixels):
        data = header(CT, page)
        data.ImagePositionPatient, data.ImageOrientationPatient = [3, 4, 2 * index], [1, 0, 0, 0, 1, 0]
        data.PixelSpacing, data.SliceThickness = [1, 0.5], 5
        with quiet():
            change(data, index)
            data.save_as(folder / f"{(index * 7) % 11:02}.dcm", enforce_file_format=True)
    return folder


def item(**attributes: Any) -> list[Dataset]:
    """Sequence of one item."""
    data = Dataset()
    for name, value in attributes.items():
        setattr(data, name, value)
    return [data]


def save_enhanced(folder: Path, pixels: np.ndarray, change: Change = lambda frame, index: None) -> Path:
    """Write frames (Z, H, W) of 1 x 0.5 mm, 2 mm apart, as an Enhanced MR; ``change`` alters their groups."""
    folder.mkdir()
    data = header(ENHANCED_MR, pixels)
    data.NumberOfFrames = len(pixels)
    data.DimensionIndexSequence = item(DimensionIndexPointer=pydicom.datadict.tag_for_keyword("EffectiveEchoTime"))
    data.SharedFunctionalGroupsSequence = item(
        PixelMeasuresSequence=item(PixelSpacing=[1, 0.5], SliceThickness=5),
        PlaneOrientationSequence=item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0]),
        PixelValueTransformationSequence=item(RescaleSlope=2, RescaleIntercept=-1),
    )
    frames = []
    for index in range(len(pixels)):
        frame = item(
            PlanePositionSequence=item(ImagePositionPatient=[3, 4, 2 * index]),
            FrameContentSequence=item(DimensionIndexValues=[index + 1]),
        )
        change(frame[0], index)
        frames += frame
    data.PerFrameFunctionalGroupsSequence = frames
    data.save_as(folder / "IM_0001", enforce_file_format=True)
    return folder


def upright(pixels: np.ndarray) -> np.ndarray:
    """Turn (Z, H, W) of LPS axes as a volume is read: to (1, D, H, W) of RAS axes."""
    return pixels[None, :, ::-1, ::-1]


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 4096, (4, 6, 5), np.uint16)


@pytest.mark.parametrize("save", [save_slices, save_enhanced])
def test_slices_come_in_the_order_of_their_places(tmp_path, pixels, save):
    def upside_down(data: Dataset, index: int) -> None:
        where = data.PlanePositionSequence[0] if "PlanePositionSequence" in data else data
        where.ImagePositionPatient = [3, 4, -2 * index]

    case = read_volume(save(tmp_path / "s", pixels, upside_down))
    expected = pixels[::-1] if save is save_slices else pixels[::-1].astype(int) * 2 - 1
    np.testing.assert_array_equal(case.image, upright(expected))
    assert case.spacing == (2, 1, 0.5)
    np.testing.assert_array_equal((case.affine @ [4, 5, 0, 1])[:3], [-3, -4, -6])  # the corner of the last one


def test_each_slice_has_its_own_slope(tmp_path, pixels):
    slopes = [1, 0.25, 3, 7.5]

    def rescaled(data: Dataset, index: int) -> None:
        data.RescaleSlope, data.RescaleIntercept = slopes[index], index

    case = read_volume(save_slices(tmp_path / "pet", pixels, rescaled))
    factors = np.array(slopes)[:, None, None]
    np.testing.assert_array_equal(case.image, upright(pixels * factors + np.arange(4)[:, None, None]))


def test_each_frame_has_its_own_slope(tmp_path, pixels):
    def rescaled(frame: Dataset, index: int) -> None:
        frame.PixelValueTransformationSequence = item(RescaleSlope=index + 1, RescaleIntercept=0)

    case = read_volume(save_enhanced(tmp_path / "mr", pixels, rescaled))
    np.testing.assert_array_equal(case.image, upright(pixels * np.arange(1, 5)[:, None, None]))


@pytest.mark.parametrize(
    ("stored", "slope", "shift", "expected"),
    [("u2", 1, -1024, "i4"), ("i2", 1, 0, "i2"), ("u1", 1, 0, "u1"), ("u1", 2, 0, "i2"), ("u2", 0.5, 0, "f8")],
)
def test_the_type_holds_all_that_the_bits_can(tmp_path, stored, slope, shift, expected):
    pixels = np.zeros((2, 2, 2), stored)
    pixels[0, 0] = np.iinfo(stored).min, np.iinfo(stored).max

    def rescaled(data: Dataset, _: int) -> None:
        data.RescaleSlope, data.RescaleIntercept = slope, shift

    image = read_volume(save_slices(tmp_path / "s", pixels, rescaled)).image
    assert image.dtype == expected
    np.testing.assert_array_equal(image, upright(pixels.astype(float) * slope + shift))


def test_twelve_bits_below_zero_stay_in_sixteen(tmp_path, pixels):
    def hounsfield(data: Dataset, _: int) -> None:
        data.BitsStored, data.HighBit, data.RescaleSlope, data.RescaleIntercept = 12, 11, 1, -1024

    image = read_volume(save_slices(tmp_path / "ct", pixels, hounsfield)).image
    assert image.dtype == np.int16
    np.testing.assert_array_equal(image, upright(pixels.astype(int) - 1024))


def test_sizes_of_the_header_are_not_believed_before_the_pixels(tmp_path, pixels):
    def huge(data: Dataset, _: int) -> None:
        data.Rows = data.Columns = 60000

    folder = save_slices(tmp_path / "ct", pixels, huge)
    with pytest.raises(ValueError, match="its pixels take 60 bytes, by its header 7200000000"):
        read_volume(folder)


def test_frames_may_lie_in_several_files_of_any_direction(tmp_path, pixels):
    """As two Enhanced files of one series; SimpleITK takes the distance along z for that of oblique slices."""
    axes = np.array([[0.8, 0.6, 0], [0, 0, -1], [-0.6, 0.8, 0]])  # of rows, columns, slices

    def oblique(first: int) -> Change:
        def change(frame: Dataset, index: int) -> None:
            frame.PlaneOrientationSequence = item(ImageOrientationPatient=axes[:2].ravel().tolist())
            frame.PlanePositionSequence = item(ImagePositionPatient=(axes[2] * 2 * (first + index)).tolist())

        return change

    folder = save_enhanced(tmp_path / "mr", pixels[:3], oblique(0))
    (save_enhanced(tmp_path / "rest", pixels[3:], oblique(3)) / "IM_0001").rename(folder / "IM_0002")
    case = read_volume(folder)
    assert sorted(case.spacing) == pytest.approx([0.5, 1, 2])
    back = to_file(case.image[0], case.orientation)
    np.testing.assert_array_equal(back, pixels.transpose(2, 1, 0).astype(int) * 2 - 1)
    expected = np.diag([-1.0, -1.0, 1.0]) @ axes.T * [0.5, 1, 2]
    np.testing.assert_allclose(file_affine(case)[:3, :3], expected, atol=1e-12)


@pytest.mark.parametrize(("dtype", "bits"), [("u1", 8), ("u2", 12), ("i2", 12), ("i2", 16)])
def test_white_is_more_whatever_the_photometric_interpretation(tmp_path, dtype, bits):
    """MONOCHROME1 shows the least value white."""
    low = -(2 ** (bits - 1)) if dtype[0] == "i" else 0
    pixels = np.random.default_rng(0).integers(low, low + 2**bits, (3, 6, 5)).astype(dtype)
    pixels[0, 0, :2] = low, low + 2**bits - 1

    def inverted(data: Dataset, index: int) -> None:
        data.BitsStored, data.HighBit, data.PhotometricInterpretation = bits, bits - 1, "MONOCHROME1"
        data.RescaleSlope, data.RescaleIntercept = 2, 1

    folder = save_slices(tmp_path / "cr", pixels, inverted)
    image = read_volume(folder).image
    np.testing.assert_array_equal(image, upright((2 * low + 2**bits - 1 - pixels.astype(int)) * 2 + 1))
    if (dtype, bits) != ("i2", 12):  # which GDCM does not read; the others it turns round, too
        by_gdcm = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "00.dcm")))
        np.testing.assert_array_equal(image[:, :1], upright(by_gdcm))


def test_a_single_slice_has_its_thickness(tmp_path, pixels):
    assert read_volume(save_slices(tmp_path / "one", pixels[:1])).spacing == (5, 1, 0.5)


def test_a_single_image_without_a_place_lies_at_the_origin(tmp_path, pixels):
    def projection(data: Dataset, _: int) -> None:
        del data.ImagePositionPatient, data.ImageOrientationPatient, data.PixelSpacing, data.SliceThickness
        data.ImagerPixelSpacing = [0.2, 0.1]

    case = read_volume(save_slices(tmp_path / "dx", pixels[:1], projection))
    assert case.spacing == (1, 0.2, 0.1)
    np.testing.assert_array_equal(case.image, upright(pixels[:1]))


def refused(data: Dataset, index: int, **attributes: Any) -> None:
    """Set attributes of the slice with index 2."""
    for name, value in attributes.items() if index == 2 else ():
        setattr(data, name, value)


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, 1]}, r"00\.dcm and 03\.dcm lie in other planes, as .* localizer"),
        ({"PixelSpacing": [1, 1]}, r"pixels of other sizes, \(1\.0, 0\.5\) and \(1\.0, 1\.0\) mm"),
        ({"ImagePositionPatient": None}, r"1 of its 4 slices or frames, such as 03\.dcm, have no place in space"),
        ({"SeriesInstanceUID": "1.2\x1b[31m"}, r"2 DICOM series .*: 1\.2\\u001b\[31m, 1\.2\.3: give each"),
        ({"Rows": 5, "PixelData": bytes(50)}, r"differ in size, \(6, 5, 1\) and \(5, 5, 1\)"),
        (
            {"ImagePositionPatient": [3, 4, 2]},
            "03\\.dcm and 07\\.dcm, which differ in nothing: a volume has each place once",
        ),
        (
            {"ImagePositionPatient": [3, 4, 2], "AcquisitionTime": "101010"},
            r"1 of its 4 .* lie where another one does, such as 03\.dcm and 07\.dcm, which differ in AcquisitionTime: ",
        ),
    ],
)
def test_slices_of_no_one_volume_are_named(tmp_path, pixels, attributes, words):
    folder = save_slices(tmp_path / "s", pixels, lambda data, index: refused(data, index, **attributes))
    with pytest.raises(ValueError, match=words):
        read_volume(folder)


def test_frames_of_two_echoes_are_named_by_their_dimension(tmp_path, pixels):
    def second_echo(frame: Dataset, index: int) -> None:
        frame.PlanePositionSequence[0].ImagePositionPatient = [3, 4, 2 * (index // 2)]

    folder = save_enhanced(tmp_path / "mr", pixels, second_echo)
    with pytest.raises(
        ValueError, match=r"2 of its 4 .* frame 1 of IM_0001 and frame 2 .* differ in .*EffectiveEchoTi"
    ):
        read_volume(folder)


@pytest.mark.parametrize("size", [0, 100])
def test_a_slice_that_was_cut_before_its_mark_is_missed(tmp_path, pixels, size):
    folder = save_slices(tmp_path / "ct", pixels)
    (folder / "00.dcm").write_bytes(bytes(size))
    with pytest.raises(ValueError, match=r"ct has files without the mark of DICOM: 00\.dcm: check that they are comp"):
        read_volume(folder)


@pytest.mark.parametrize("save", [save_slices, save_enhanced])
def test_damaged_headers_are_read_or_refused_by_their_name(tmp_path, pixels, save):
    """Bits turned anywhere in a file, and files of any length."""
    folder = save(tmp_path / "s", pixels)
    file = sorted(folder.iterdir())[0]
    whole, reasons = file.read_bytes(), []
    rng = np.random.default_rng(0)
    damaged = [whole[:length] for length in rng.choice(len(whole), 20, replace=False)]
    for bit in rng.choice(8 * len(whole), 80, replace=False):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.append(bytes(flipped))
    for content in damaged:
        file.write_bytes(content)
        try:
            read_volume(folder)
        except ValueError as error:
            reasons.append(str(error))
    assert len(reasons) > 25
    assert all(str(folder) in reason for reason in reasons)


def test_directories_and_hidden_files_are_no_slices(tmp_path):
    for name in ("a.dcm", ".a.dcm", "DICOMDIR", "dicomdir"):
        (tmp_path / name).write_bytes(b"\0" * 128 + b"DICM")
    (tmp_path / "notes.txt").write_text("no slice")
    assert [path.name for path in tmp_path.iterdir() if is_dicom(path)] == ["a.dcm"]


def test_folder_of_other_than_one_series(tmp_path, values):
    folder = save_dicom(tmp_path / "ct", values, np.eye(4), series="1.2.9")
    save_dicom(folder, values, np.eye(4), series="1.2.10")
    with pytest.raises(ValueError, match=r"ct has 2 DICOM series where one is expected: 1\.2\.10, 1\.2\.9: give each"):
        read_volume(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty has 0 DICOM series where one is expected: give each"):
        read_volume(tmp_path / "empty")


def test_dicom_slices_that_lack_or_are_cut_short(tmp_path, values):
    folder = save_dicom(tmp_path / "ct", values, np.eye(4))
    first = folder / "1.2.9_0.dcm"
    data = first.read_bytes()
    first.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"1\.2\.9_0\.dcm cannot be read \(it has no Rows"):
        read_volume(folder)
    first.write_bytes(data)
    (folder / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    (folder / "notes.txt").write_text("no slice")
    assert read_volume(folder).image.shape == (1, 5, 6, 7)
    (folder / "1.2.9_7.dcm").unlink()
    with pytest.raises(
        ValueError, match=r"off an even grid.* 1 to 2 mm apart, the latter 1\.2\.9_0\.dcm and 1\.2\.9_3\.dcm"
    ):
        read_volume(folder)


def test_dicom_slices_sheared_by_a_tilted_gantry_are_refused(tmp_path, values):
    folder = save_dicom(tmp_path / "ct", values, np.eye(4))
    for index, file in enumerate(sorted(folder.iterdir(), key=lambda path: read_position(path)[2])):
        x, y, z = read_position(file)
        image, writer = sitk.ReadImage(str(file)), sitk.ImageFileWriter()
        image.SetMetaData("0020|0032", f"{x}\\{y + 0.3 * index}\\{z}")
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(file))
        writer.Execute(image)
    before = locale.setlocale(locale.LC_ALL)
    with pytest.raises(ValueError, match=r"ct cannot be read \(slices are up to .* mm off an even grid, .* tilt"):
        read_volume(folder)
    assert locale.setlocale(locale.LC_ALL) == before  # GDCM sets it to "C" here


def read_position(file: Path) -> list[float]:
    return [float(number) for number in sitk.ReadImage(str(file)).GetMetaData("0020|0032").split("\\")]
