"""What the audit says of how files store their pixels, on files of its own and through a data module."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from segexp.build import build_data
from segexp.config import compose, plain
from segexp.data.audit import Audit
from segexp.data.case import Stored
from tests.conftest import write_pairs
from tests.data.audit.test_audit import case, found, look

PALETTE = ["#000000", "#ff0000", "#00ff00"]


def stored(number: int, image: Stored | None = None, mask: Stored | None = None):
    made = case(number)
    facts = made.facts | {"image_stored": image or Stored(), "mask_stored": mask or Stored(format="PNG")}
    return case(number, facts=facts)


def test_an_orientation_that_the_mask_does_not_note_deserves_a_look():
    turned = stored(0, Stored(orientation=6))
    both = stored(1, Stored(orientation=3), Stored(orientation=3))
    result = look(turned, both, case(2))
    assert found(result) == {"warning: orientation tags": ("case_0",), "note: turned images": ("case_1",)}
    assert result.findings[0].remedy == "data.split.exclude=[case_0]"


def test_mixed_photometric_meaning_and_color_spaces():
    white = [stored(i, Stored(white_is_zero=True)) for i in range(3)]
    assert found(look(*white)) == {"note: white is zero": ("case_0", "case_1", "case_2")}
    assert found(look(white[0], case(1), case(2))) == {"warning: mixed photometric meaning": ("case_0",)}
    assert found(look(stored(0, Stored(color="CMYK")), case(1), case(2))) == {
        "warning: mixed color spaces": ("case_0",)
    }


def test_palettes_of_another_order():
    masks = [stored(i, mask=Stored(palette=PALETTE)) for i in range(3)]
    for one in masks:
        one.facts["mask_values"] = {0: 364, 1: 36}
    assert found(look(*masks)) == {}
    masks[2].facts["mask_stored"] = Stored(palette=[PALETTE[0], *PALETTE[:0:-1]])
    result = look(*masks)
    assert found(result) == {"warning: palettes": ("case_2",)}
    assert "at index 1 of their palettes (#ff0000 in 2, #00ff00 in 1)" in result.findings[0].sentence
    masks[2].facts["mask_stored"] = Stored(palette=[*PALETTE[:2], "#123456"])  # a color that no pixel has
    assert found(look(*masks)) == {}


def test_what_files_hold_beside_is_told():
    result = look(stored(0, Stored(left_out=["alpha", "2 smaller copies"])), case(1), case(2))
    assert found(result) == {"note: alpha channels": ("case_0",), "note: parts of files": ("case_0",)}


def audited(folder: Path, *words: str) -> Audit:
    sources = [f"data.source.{kind}={folder / kind}" for kind in ("images", "masks")]
    return build_data(plain(compose(["data=folder", "data.cache=null", *sources, *words], run_dir="unused"))).audit()[0]


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_pairs(tmp_path, 5)


def test_folders_as_they_should_be_are_quiet(folder):
    assert found(audited(folder)) == {}


def test_files_tell_what_they_store(folder):
    pixels = np.asarray(Image.open(folder / "images" / "scan_0.png"))
    exif = Image.Exif()
    exif[274] = 3
    Image.fromarray(pixels).save(folder / "images" / "scan_0.png", exif=exif)
    (folder / "images" / "scan_1.png").unlink()
    tifffile.imwrite(folder / "images" / "scan_1.tif", 255 - pixels.T, photometric="miniswhite")
    (folder / "images" / "notes.txt").write_text("no image")
    result = audited(folder)
    assert found(result) == {
        "warning: orientation tags": ("scan_0",),
        "warning: mixed photometric meaning": ("scan_1",),
        "note: not taken": (),
    }
    assert "images/notes.txt" in result.of("note")[0].sentence


def test_excluded_cases_are_as_if_they_were_not_there(folder):
    (folder / "images" / "scan_2.png").write_bytes(b"broken")
    (error,) = audited(folder).of("error")
    assert error.remedy == "data.split.exclude=[scan_2]"
    result = audited(folder, error.remedy)
    assert found(result) == {}
    assert [one.name for one in result.measures] == ["scan_0", "scan_1", "scan_3", "scan_4"]
    with pytest.raises(ValueError, match=r"exclude names 'scan_9', which is no case .did you mean 'scan_\d'"):
        audited(folder, "data.split.exclude=[scan_9]")
