import os

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
