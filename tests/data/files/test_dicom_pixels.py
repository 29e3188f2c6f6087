"""Pixels come out of every transfer syntax as GDCM and pydicom have them, or are refused."""

from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from pydicom.encaps import encapsulate, generate_frames

from segexp.data.files.dicom_headers import quiet
from segexp.data.files.dicom_pixels import read_stored
from tests.data.files.test_dicom import CT, header
from tests.data.files.test_volumes import same_locale

__all__ = ["same_locale"]  # a fixture
EXAMPLES = Path(pydicom.__file__).parent / "data" / "test_files"
FILES = (
    "693_J2KI.dcm",
    "ExplVR_BigEnd.dcm",
    "GDCMJ2K_TextGBR.dcm",
    "J2K_pixelrep_mismatch.dcm",
    "JPEG-lossy.dcm",
    "JPEG2000.dcm",
    "JPEGLSNearLossless_08.dcm",
    "MR_small_RLE.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_implicit.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "SC_jpeg_no_color_transform.dcm",
    "SC_rgb_dcmtk_+eb+cr.dcm",
    "SC_rgb_dcmtk_+eb+cy+s4.dcm",
    "SC_rgb_jls_lossy_line.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_rle.dcm",
    "SC_rgb_small_odd_big_endian.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "examples_overlay.dcm",
    "image_dfl.dcm",
)


@pytest.mark.parametrize("name", FILES)
def test_pixels_are_those_of_gdcm(name):
    with quiet():
        stored = read_stored(EXAMPLES / name)
        shift = float(pydicom.dcmread(EXAMPLES / name).get("RescaleIntercept", 0))  # all slopes are 1
    image = sitk.ReadImage(str(EXAMPLES / name))
    np.testing.assert_array_equal(stored.squeeze() + int(shift), sitk.GetArrayFromImage(image).squeeze())


def test_wide_colors_in_runs_are_those_of_pydicom():
    """GDCM mixes up the bytes of this one."""
    with quiet():
        stored = read_stored(EXAMPLES / "SC_rgb_rle_16bit_2frame.dcm")
        truth = pydicom.dcmread(EXAMPLES / "SC_rgb_rle_16bit_2frame.dcm").pixel_array
    np.testing.assert_array_equal(stored, truth)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        ("JPEGLosslessSV1", lambda page: imagecodecs.ljpeg_encode(page, bitspersample=12)),
        ("JPEGLSLossless", lambda page: imagecodecs.jpegls_encode(page)),
        ("JPEG2000Lossless", lambda page: imagecodecs.jpeg2k_encode(page, codecformat="j2k", level=0, reversible=True)),
    ],
)
def test_codecs_without_a_sign_give_that_of_the_header(tmp_path, syntax, encode, signed):
    low = -2048 if signed else 0
    pixels = np.random.default_rng(0).integers(low, low + 4096, (2, 8, 8)).astype(np.int16)
    data = header(CT, pixels)
    data.BitsStored, data.HighBit, data.NumberOfFrames, data.PixelRepresentation = 12, 11, 2, int(signed)
    data.file_meta.TransferSyntaxUID = getattr(pydicom.uid, syntax)
    data.PixelData = encapsulate([encode(page) for page in (pixels & 4095).astype(np.uint16)])
    data["PixelData"].VR = "OB"
    data.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    stored = read_stored(tmp_path / "a.dcm")
    assert stored.dtype == (np.int16 if signed else np.uint16)
    np.testing.assert_array_equal(stored[..., 0], pixels)


def save_ct(path: Path, pixels: np.ndarray, **attributes: object) -> Path:
    data = header(CT, pixels)
    for name, value in attributes.items():
        setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize(
    ("size", "words"),
    [(30, "its pixels take 30 bytes, by its header 32"), (34, "its pixels take 34 bytes, by its header 32")],
)
def test_pixels_of_another_number_are_refused(tmp_path, size, words):
    path = save_ct(tmp_path / "a.dcm", np.zeros((4, 4), np.uint16), PixelData=bytes(size))
    with pytest.raises(ValueError, match=rf"a\.dcm cannot be read \({words}\)"):
        read_stored(path)


def test_noise_after_the_pixels_is_refused(tmp_path):
    path = save_ct(tmp_path / "a.dcm", np.zeros((4, 4), np.uint8))
    whole = path.read_bytes()
    path.write_bytes(whole + b"\xfc\xff\xfc\xffOB\0\0\2\0\0\0\0\0")  # DataSetTrailingPadding
    assert read_stored(path).shape == (1, 4, 4, 1)
    path.write_bytes(whole + b"noise, of one more element")
    with pytest.raises(ValueError, match=r"a\.dcm cannot be read \(what follows its pixels is no DICOM\)"):
        read_stored(path)


def compressed(path: Path, syntax: str, frames: list[bytes], **attributes: object) -> Path:
    data = header(CT, np.zeros((4, 4), np.uint16))
    data.file_meta.TransferSyntaxUID = getattr(pydicom.uid, syntax)
    data.PixelData = encapsulate(frames)
    data["PixelData"].VR = "OB"
    for name, value in attributes.items():
        setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return path


def test_codecs_that_are_not_here_are_named(tmp_path):
    path = compressed(tmp_path / "a.dcm", "MPEG2MPML", [b"\0" * 32])
    with pytest.raises(ValueError, match=r"compressed as MPEG2 Main Profile / Main Level, for which .*: decompress it"):
        read_stored(path)


def test_values_beyond_the_bits_stored_are_refused(tmp_path):
    frame = imagecodecs.jpegls_encode(np.full((4, 4), 5000, np.uint16))
    path = compressed(tmp_path / "a.dcm", "JPEGLSLossless", [frame], BitsStored=12, HighBit=11)
    with pytest.raises(ValueError, match="it holds values from 5000 to 5000, beyond its 12 bits"):
        read_stored(path)


def test_damaged_streams_are_refused(tmp_path):
    frame = imagecodecs.jpegls_encode(np.arange(16, dtype=np.uint16).reshape(4, 4))
    path = compressed(tmp_path / "a.dcm", "JPEGLSLossless", [frame[:20]])
    with pytest.raises(ValueError, match=r"a\.dcm cannot be read"):
        read_stored(path)
    path = compressed(tmp_path / "b.dcm", "JPEGLSLossless", [frame], Rows=3)
    with pytest.raises(ValueError, match=r"b\.dcm cannot be read \(cannot reshape array of size 16"):
        read_stored(path)


@pytest.mark.parametrize(
    "name",
    [
        "JPEG-lossy.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
        pytest.param("MR_small_jpeg_ls_lossless.dcm", marks=pytest.mark.slow),
        "MR_small_jp2klossless.dcm",
        "MR_small_RLE.dcm",
    ],
)
def test_streams_that_are_cut_short_are_refused(tmp_path, name):
    path = tmp_path / "a.dcm"
    with quiet():
        data = pydicom.dcmread(EXAMPLES / name)
        whole = next(generate_frames(data.PixelData, number_of_frames=1))
        for share in (0.995,) if "jpeg_ls" in name else (0.3, 0.995):  # CharLS takes seconds
            data.PixelData = encapsulate([whole[: int(len(whole) * share)]])
            data.save_as(path)
            with pytest.raises(ValueError, match=r"a\.dcm cannot be read"):
                read_stored(path)


def test_a_file_without_pixels_is_named(tmp_path):
    path = save_ct(tmp_path / "a.dcm", np.zeros((4, 4), np.uint8))
    data = pydicom.dcmread(path)
    del data.PixelData
    data.save_as(path)
    with pytest.raises(ValueError, match=r"a\.dcm cannot be read \(it has no pixels \(PixelData\)\)"):
        read_stored(path)
