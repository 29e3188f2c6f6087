import gzip
import os
import zlib

import numpy as np
import pytest

from segexp.data.files.detached import detached_files
from segexp.data.files.volumes import opened_files, read_volume
from segexp.prediction.inputs import find_inputs, read_input

sitk = pytest.importorskip("SimpleITK")

META = "NDims = 3\nDimSize = 4 4 4\nElementType = MET_UCHAR\nElementDataFile = {}\n"
NRRD = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 4 4 4\nencoding: raw\ndata file: {}\n\n"
KINDS = {".mhd": META, ".mha": META, ".nhdr": NRRD, ".nrrd": NRRD}


@pytest.fixture
def place(tmp_path):
    """A folder with voxels beside it, below it, and a link in it that leads out."""
    folder = tmp_path / "case"
    (folder / "below").mkdir(parents=True)
    voxels = np.arange(64, dtype=np.uint8).tobytes()
    for path in (tmp_path / "secret.raw", folder / "a.raw", folder / "below" / "b.raw"):
        path.write_bytes(voxels)
    (folder / "link.raw").symlink_to(tmp_path / "secret.raw")
    (folder / "linked").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.raw")
    return folder


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize("name", ["a.raw", "below/b.raw"])
def test_voxels_beside_the_header_are_read(place, suffix, name):
    header = place / f"case{suffix}"
    header.write_text(KINDS[suffix].format(name))
    assert detached_files(header) == (place / name,)
    assert opened_files([header]) == (header, place / name)
    assert sorted(read_volume(header).image.ravel()) == list(range(64))


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize("name", ["../secret.raw", "link.raw", "linked/secret.raw", "/dev/stdin", "pipe.raw", "", "-"])
def test_voxels_elsewhere_are_not(place, suffix, name):
    header = place / f"case{suffix}"
    for told in (name, str(place.parent / "secret.raw")):
        header.write_text(KINDS[suffix].format(told))
        with pytest.raises(ValueError, match="names the data file"):
            read_input(find_inputs(str(header))[0], 1)


def test_lists_and_patterns_of_files_are_looked_at_one_by_one(place):
    for number in range(1, 5):
        (place / f"s{number}.raw").write_bytes(bytes([number] * 16))
    header = place / "case.mhd"
    for told in ("s%d.raw 1 4 1", "LIST 2\n" + "".join(f"s{number}.raw\n" for number in range(1, 5))):
        header.write_text(META.format(told))
        assert [path.name for path in detached_files(header)] == ["s1.raw", "s2.raw", "s3.raw", "s4.raw"]
        assert sorted(set(read_volume(header).image.ravel())) == [1, 2, 3, 4]
    for told in ("../s%d.raw 1 4 1", "LIST\n../secret.raw\n", "s%d.raw 1 999999 1"):
        header.write_text(META.format(told))
        with pytest.raises(ValueError, match="names (the|its) data file"):
            read_volume(header)


def test_a_header_that_names_two_files_is_refused(place):
    header = place / "case.nhdr"
    header.write_text(NRRD.format("a.raw\nDATAFILE: ../secret.raw"))
    with pytest.raises(ValueError, match="names its data files 2 times"):
        read_volume(header)


def test_what_looks_like_a_name_among_the_voxels_is_none(tmp_path):
    header = tmp_path / "case.mha"
    header.write_bytes(META.format("LOCAL").encode() + b"\nElementDataFile = /etc/passwd\n".ljust(64, b" "))
    assert detached_files(header) == ()
    assert read_volume(header).image.shape == (1, 4, 4, 4)


def test_a_list_without_a_line_break_at_its_end_is_refused(place):
    """SimpleITK reads the last slice from the text of the header, without a word."""
    for number in range(1, 5):
        (place / f"s{number}.raw").write_bytes(bytes([number] * 16))
    header = place / "case.mhd"
    header.write_text(META.format("LIST\n" + "\n".join(f"s{number}.raw" for number in range(1, 5))).rstrip())
    with pytest.raises(ValueError, match=r"case\.mhd lists its data files without a line break at the end: add one"):
        read_volume(header)


VOXELS = np.arange(64, dtype=np.uint8).tobytes()
SHORT = META.replace("ElementDataFile = {}\n", "")
NRRD_HERE = NRRD.replace("data file: {}\n\n", "")
GZIP = NRRD_HERE.replace("raw", "gzip")
UNTOLD = SHORT + "CompressedData = True\n"
PACKED = SHORT + "CompressedData = True\nCompressedDataSize = {}\nElementDataFile = LOCAL\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bytes.nrrd", NRRD_HERE.encode() + b"byte skip: 7\n\n1234567" + VOXELS),
        ("last.nrrd", NRRD_HERE.encode() + b"byte skip: -1\n\n1234567" + VOXELS),
        ("lines.nrrd", NRRD_HERE.encode() + b"line skip: 2\n\none\ntwo\n" + VOXELS),
        ("hex.nrrd", NRRD_HERE.replace("raw", "hex").encode() + b"\n" + VOXELS.hex().encode()),
        ("crlf.nrrd", NRRD_HERE.replace("\n", "\r\n").encode() + b"\r\n" + VOXELS),
        ("bytes_in_gzip.nrrd", GZIP.encode() + b"byte skip: 3\n\n" + gzip.compress(b"123" + VOXELS)),
        ("members.nrrd", GZIP.encode() + b"\n" + gzip.compress(VOXELS[:9]) + gzip.compress(VOXELS[9:])),
        ("crlf.mha", SHORT.replace("\n", "\r\n").encode() + b"ElementDataFile = LOCAL\r\n" + VOXELS),
        ("packed.mha", PACKED.format(len(zlib.compress(VOXELS))).encode() + zlib.compress(VOXELS)),
    ],
)
def test_what_lies_before_the_voxels_is_skipped(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    np.testing.assert_array_equal(np.sort(read_volume(tmp_path / name).image.ravel()), np.arange(64))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.nrrd", NRRD_HERE.encode() + b"byte skip: 3\n\n1234567" + VOXELS, "take 64 bytes by the header, but 68"),
        ("a.nrrd", NRRD_HERE.replace("4 4 4", "4 4 3").encode() + b"\n" + VOXELS, "take 48 bytes .* but 64 are there"),
        ("a.nrrd", GZIP.replace("4 4 4", "4 4 3").encode() + b"\n" + gzip.compress(VOXELS), "take 48 bytes"),
        ("a.nrrd", NRRD_HERE.replace("raw", "bzip2").encode() + b"\n", "compressed by bzip2, .*: save it with gzip"),
        (
            "a.mha",
            SHORT.encode() + b"HeaderSize = 0\nElementDataFile = LOCAL\n" + VOXELS + b"x",
            "take 64 bytes .* but 65",
        ),
        (
            "a.mha",
            PACKED.format(9).encode() + zlib.compress(VOXELS),
            "take 72 bytes, by the header CompressedDataSize=9",
        ),
        (
            "a.mha",
            UNTOLD.encode() + b"ElementDataFile = LOCAL\n" + zlib.compress(VOXELS),
            "take 72 bytes, .*CompressedDataSize=None",
        ),
    ],
)
def test_sizes_that_disagree_are_told(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} cannot be read \(its (compressed )?voxels (are )?{words}"):
        read_volume(tmp_path / name)


def test_the_length_of_compressed_voxels_in_a_file_of_their_own_need_not_be_told(tmp_path):
    (tmp_path / "a.mhd").write_text(UNTOLD + "ElementDataFile = a.zraw\n")
    (tmp_path / "a.zraw").write_bytes(zlib.compress(VOXELS))
    np.testing.assert_array_equal(np.sort(read_volume(tmp_path / "a.mhd").image.ravel()), np.arange(64))
