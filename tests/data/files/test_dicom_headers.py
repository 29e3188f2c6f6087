"""Files of DICOM that hold no image of one grid are refused by what they hold."""

import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from segexp.data.files.dicom_headers import quiet, read_frames
from segexp.data.files.volumes import read_volume
from tests.data.files.test_dicom import CT, header, item, save_enhanced, save_slices

EXAMPLES = Path(pydicom.__file__).parent / "data" / "test_files"
SIZE = np.zeros((1, 4, 4), np.uint8)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("rtplan.dcm", "RT Plan"),
        ("rtdose.dcm", "RT Dose"),
        ("reportsi.dcm", "Basic Text SR"),
        ("test-SR.dcm", "Comprehensive SR"),
        ("liver_1frame.dcm", "Segmentation"),
        ("waveform_ecg.dcm", "12-lead ECG Waveform"),
    ],
)
def test_what_is_no_image_is_named(name, kind):
    with quiet(), pytest.raises(ValueError, match=rf"{name} holds {kind}, no image: move it out of the folder"):
        read_frames(EXAMPLES / name)


@pytest.mark.parametrize(
    ("uid", "kind"),
    [
        ("1.2.840.10008.5.1.4.1.1.481.3", "RT Structure Set"),
        ("1.2.840.10008.5.1.4.1.1.11.1", "Grayscale Softcopy Presentation State"),
    ],
)
def test_a_series_with_another_object_names_it(tmp_path, uid, kind):
    folder = save_slices(tmp_path / "ct", SIZE)
    other = header(uid, SIZE)
    del other.Rows, other.Columns, other.PixelData
    other.save_as(folder / "other.dcm", enforce_file_format=True)
    with pytest.raises(ValueError, match=rf"other\.dcm holds {kind}, no image"):
        read_volume(folder)


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"PhotometricInterpretation": "PALETTE COLOR"}, r"pixels of the kind PALETTE COLOR \(1 samples\): save it in"),
        ({"PhotometricInterpretation": "A\x1b[0m"}, r"pixels of the kind A\\u001b\[0m"),
        (
            {"ModalityLUTSequence": item(ModalityLUTType="US")},
            r"values by a table \(ModalityLUTSequence\): save it with",
        ),
        ({"BitsAllocated": 12}, r"BitsAllocated=12, BitsStored=8: save it with 8, 16 or 32 bits"),
        ({"BitsStored": 9}, r"BitsAllocated=8, BitsStored=9"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "MOSAIC"]}, r"mosaic of slices \(ImageType MOSAIC\): .* dcm2niix does"),
        ({"PixelSpacing": None}, r"it has a place in space, but no PixelSpacing"),
        ({"NumberOfFrames": 3}, r"its 3 frames have no places in space, but are views, or times of a film"),
        ({"Rows": None}, r"cannot be read \(it has no Rows and Columns\): check that it is complete"),
        ({"RescaleSlope": "0"}, r"its RescaleSlope is 0"),
        ({"PixelSpacing": [0, 1]}, r"its PixelSpacing \[0\.0, 1\.0\] is not above 0"),
        ({"ImagePositionPatient": [1, 2]}, r"its ImagePositionPatient is \[1\.0, 2\.0\], not 3 numbers"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, r"has no two directions at right angles"),
    ],
)
def test_headers_that_cannot_be_used_are_named(tmp_path, attributes, words):
    def change(data: Any, _: int) -> None:
        for name, value in attributes.items():
            setattr(data, name, value)

    folder = save_slices(tmp_path / "ct", SIZE, change)
    with pytest.raises(ValueError, match=rf"00\.dcm.*{words}"):
        read_volume(folder)


@pytest.mark.parametrize("content", [b"", b"\xff" * 500])
def test_the_mark_alone_is_no_image(tmp_path, content):
    (tmp_path / "a.dcm").write_bytes(b"\0" * 128 + b"DICM" + content)
    with pytest.raises(ValueError, match=r"a\.dcm cannot be read \(it has no Rows and Columns\)"):
        read_volume(tmp_path)


def test_a_frame_without_groups_of_its_own_is_named(tmp_path):
    folder = save_enhanced(tmp_path / "mr", np.zeros((3, 4, 4), np.uint8))
    data = pydicom.dcmread(folder / "IM_0001")
    del data.PerFrameFunctionalGroupsSequence[2]
    data.save_as(folder / "IM_0001")
    with pytest.raises(ValueError, match=r"IM_0001 cannot be read \(its 3 frames have no places in space"):
        read_volume(folder)


def test_nothing_of_the_metadata_is_logged(tmp_path, caplog, recwarn):
    def strange(data: Any, _: int) -> None:
        data.add_new("SpecificCharacterSet", "CS", "ISO \x1b[31m")
        data.add_new("SeriesDescription", "LO", "\x1b]0;title\x07")
        data.add_new("PatientID", "LO", "x" * 99)

    folder = save_slices(tmp_path / "ct", SIZE, strange)
    assert read_volume(folder).image.shape == (1, 1, 4, 4)
    assert not caplog.records
    assert not recwarn.list
    assert logging.getLogger("pydicom").propagate
    assert CT in str(pydicom.dcmread(folder / "00.dcm").SOPClassUID)


def test_without_pydicom_it_says_what_to_install(tmp_path, monkeypatch):
    folder = save_slices(tmp_path / "ct", SIZE)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(ValueError, match=r"need pydicom, which is not installed: pip install 'segexp\[io\]'"):
        read_volume(folder)
