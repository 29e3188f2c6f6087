"""``segexp audit`` as people run it: what it prints, writes and returns."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segexp.cli import main


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command in an empty folder; return its exit status and what it printed."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["segexp", "audit", *words])
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.chdir(tmp_path)
        status = 0
        try:
            main()
        except SystemExit as stop:
            status = int(stop.code or 0)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


@pytest.fixture
def folder(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for i in range(6):
        Image.fromarray(rng.integers(0, 255, (40, 50), np.uint8)).save(tmp_path / "images" / f"scan_{i}.png")
        mask = np.zeros((40, 50), np.uint8)
        mask[5:25, 5:25] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"scan_{i}.png")
    return tmp_path


WORDS = ("data=folder", "data.source.images=images", "data.source.masks=masks")


def test_good_data(run, folder):
    status, out, err = run(*WORDS)
    assert (status, err) == (0, "")
    assert "audit: 6 cases, no errors, no warnings" in out
    assert "report   outputs/audit/folder/audit.html" in out
    written = folder / "outputs" / "audit" / "folder"
    assert sorted(path.name for path in written.iterdir()) == ["audit.html", "audit.md", "cases.csv"]
    with (written / "cases.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["case"], row["px_object"], row["mask_values"]) for row in rows][:1] == [
        ("scan_0", "400", "0:1600 255:400")
    ]
    assert [row["split"] for row in rows] == ["train"] * 4 + ["val", "test"]
    assert (written / "audit.html").read_text(encoding="utf-8").count("<figure>") == 6


def test_warnings_end_well_and_errors_do_not(run, folder):
    Image.new("L", (50, 40)).save(folder / "masks" / "scan_1.png")
    status, out, _ = run(*WORDS, "folder=here", "pictures=2")
    assert status == 0
    assert "warning 1 of 6 masks have no foreground: check that this is meant (scan_1)" in out
    page = (folder / "here" / "audit.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == 2
    assert page.index("alt='scan_1'") < page.index("alt='scan_0'")

    (folder / "images" / "scan_2.png").write_text("no image")
    (folder / "masks" / "scan_3.png").write_bytes(b"")
    status, out, err = run(*WORDS)
    assert status == 1
    lines = err.strip().splitlines()[1:]  # the first is Hydra's
    assert lines[0] == "segexp audit: the audit of 6 cases found 2 errors:"
    assert ["scan_2.png cannot be read" in lines[1], "scan_3.png cannot be read" in lines[2]] == [True, True]
    assert (folder / "outputs" / "audit" / "folder" / "audit.html").read_text(encoding="utf-8").count("<figure>") == 4


def test_data_that_are_not_there_get_one_sentence(run, tmp_path):
    status, _, err = run("data=folder", "data.source.images=nowhere", "data.source.masks=nowhere/m")
    assert status == 1
    assert err.splitlines()[1:] == ["segexp audit: nowhere is not a folder: check the path"]
    assert not list(tmp_path.rglob("audit.html"))


def test_pictures_must_be_a_number(run):
    assert "pictures=-1 must be an integer of at least 0" in run("pictures=-1")[2]
