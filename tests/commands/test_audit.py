"""``segexp audit`` as people run it: what it prints, writes and returns."""

from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import table, write_pairs


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_pairs(tmp_path, 6, 40, 50)


WORDS = ("data=folder", "data.source.images=images", "data.source.masks=masks")


def test_good_data(answer, folder):
    status, out, err = answer("audit", *WORDS)
    assert (status, err) == (0, "")
    assert "audit: 6 cases, no errors, no warnings" in out
    assert "report   outputs/audit/folder/audit.html" in out
    written = folder / "outputs" / "audit" / "folder"
    assert sorted(path.name for path in written.iterdir()) == ["audit.html", "audit.md", "cases.csv"]
    rows = table(written / "cases.csv")
    assert [(row["case"], row["px_object"], row["mask_values"]) for row in rows][:1] == [
        ("scan_0", "400", "0:1600 255:400")
    ]
    assert [row["split"] for row in rows] == ["train"] * 4 + ["val", "test"]
    assert (written / "audit.html").read_text(encoding="utf-8").count("<figure>") == 6


def test_warnings_end_well_and_errors_do_not(answer, folder):
    Image.new("L", (50, 40)).save(folder / "masks" / "scan_1.png")
    status, out, _ = answer("audit", *WORDS, "folder=here", "pictures=2")
    assert status == 0
    assert "warning 1 of 6 masks have no foreground: check that this is meant (scan_1)" in out
    page = (folder / "here" / "audit.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == 2
    assert page.index("alt='scan_1'") < page.index("alt='scan_0'")

    (folder / "images" / "scan_2.png").write_text("no image")
    (folder / "masks" / "scan_3.png").write_bytes(b"")
    status, out, err = answer("audit", *WORDS)
    assert status == 1
    lines = err.strip().splitlines()
    assert lines[0] == "segexp audit: the audit of 6 cases found 2 errors:"
    assert ["scan_2.png cannot be read" in lines[1], "scan_3.png cannot be read" in lines[2]] == [True, True]
    assert (folder / "outputs" / "audit" / "folder" / "audit.html").read_text(encoding="utf-8").count("<figure>") == 4


def test_data_that_are_not_there_get_one_sentence(answer, tmp_path):
    status, _, err = answer("audit", "data=folder", "data.source.images=nowhere", "data.source.masks=nowhere/m")
    assert status == 1
    assert err.splitlines() == ["segexp audit: nowhere is not a folder: check the path"]
    assert not list(tmp_path.rglob("audit.html"))


def test_pictures_must_be_a_number(answer):
    assert "pictures=-1 must be an integer of at least 0" in answer("audit", "pictures=-1")[2]
