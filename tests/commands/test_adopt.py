import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from segexp.cli import main
from segexp.commands.adopt import adopt


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Six 16-bit TIFF files with masks drawn in red beside them, in the working directory."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for n in range(6):
        mask = np.zeros((40, 40), np.uint8)
        mask[5 + n : 20, 8:25] = 255
        (tmp_path / "mine").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / f"mine/s{n}_DAPI.tif", rng.integers(0, 4000, mask.shape, dtype=np.uint16))
        Image.fromarray(np.stack([mask, 0 * mask, 0 * mask], -1)).save(tmp_path / f"mine/s{n}_seg.png")
    return tmp_path


def test_one_command_and_every_verb_takes_the_data(folder, monkeypatch, capsys):
    adopt(["images=mine", "name=dapi"])
    said = capsys.readouterr().out
    assert "s0_DAPI.tif goes with s0_seg.png" in said
    assert "segexp train data=dapi  #" in said
    monkeypatch.setattr(sys, "argv", ["segexp", "audit", "data=dapi", "pictures=0"])
    main()
    assert "audit: 6 cases, no errors" in capsys.readouterr().out


def test_an_option_elsewhere_is_named_with_its_folder(folder, capsys):
    adopt(["images=mine", "name=dapi", "folder=other"])
    assert "segexp train --config-dir other data=dapi" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["images=mine"], "name=<value> must be given"),
        (["images=mine", "name=isbi"], "segexp has an option data=isbi"),
        (["images=mine", "name=a/b"], "must be letters, digits"),
        (["name=dapi"], "give images=FOLDER .* or csv=FILE"),
        (["images=mine", "csv=a.csv", "name=dapi"], "give images=FOLDER .* or csv=FILE"),
        (["images=mone", "name=dapi"], "mone is not a folder"),
    ],
)
def test_what_cannot_be_adopted_is_refused(folder, words, said):
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        adopt(words)
    assert not Path("conf").exists()


def test_an_option_is_not_replaced_unless_that_is_said(folder):
    adopt(["images=mine", "name=dapi"])
    Path("conf/data/dapi.yaml").write_text("mine")
    with pytest.raises(ValueError, match="dapi.yaml is there"):
        adopt(["images=mine", "name=dapi"])
    adopt(["images=mine", "name=dapi", "overwrite=true"])
    assert "image_suffix: _DAPI" in Path("conf/data/dapi.yaml").read_text()
