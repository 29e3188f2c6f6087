"""DRIVE from files made here, its errors, and the real photographs where SEGEXP_DATA_DIR is set."""

import os
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from PIL import Image

from segexp.config import compose, plain
from segexp.data.field_of_view import fundus
from segexp.data.sources import Drive
from segexp.data.splits import make_split
from tests.data.sources import names

NAMES = [f"{number:02d}" for number in range(1, 41)]


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def root(tmp_path):
    """Make the files of cases 01 and 21, the first observer's vessels in row 2, the second one's in row 3."""
    view = np.full((6, 8), 255, np.uint8)
    view[:, :2] = 0
    for name, kind in (("01", "test"), ("21", "training")):
        vessels = np.zeros((6, 8), np.uint8)
        vessels[2] = 255
        save(tmp_path / kind / "images" / f"{name}_{kind}.tif", np.full((6, 8, 3), 50, np.uint8))
        save(tmp_path / kind / "1st_manual" / f"{name}_manual1.gif", vessels)
        save(tmp_path / kind / "mask" / f"{name}_{kind}_mask.gif", view)
    second = Image.fromarray(np.roll(vessels, 1, axis=0) // 255, "P")
    second.putpalette([0, 0, 0, 255, 255, 255])
    (tmp_path / "test" / "2nd_manual").mkdir()
    second.save(tmp_path / "test" / "2nd_manual" / "01_manual2.gif")
    return tmp_path


def test_truth_field_of_view_and_second_observer(root):
    source = Drive(root)
    assert names(source) == NAMES
    case = source.read("01")
    assert case.image.shape == (3, 6, 8)
    assert [int(row) for row in case.target.max(axis=1)] == [0, 0, 1, 0, 0, 0]
    assert [int(row) for row in case.others["2nd_manual"].max(axis=1)] == [0, 0, 0, 1, 0, 0]
    assert case.valid.dtype == bool
    assert [bool(column) for column in case.valid.all(axis=0)] == [False] * 2 + [True] * 6
    assert source.entries()[0].files == case.files
    assert source.read("21").others == {}
    with pytest.raises(ValueError, match=r"name='41' is not one of"):
        source.read("41")


def test_the_split_is_the_authors():
    config = plain(compose(["data=drive", "name=test"], run_dir="unused"))["data"]
    split = make_split(Drive("nowhere").entries(), instantiate(config["split"]))
    assert split.test == tuple(NAMES[:20])
    assert (len(split.train), len(split.val)) == (16, 4)


def test_missing_files_are_named_with_the_remedy(root):
    message = r"DRIVE is incomplete in .*: missing are test/images/02_test\.tif, .* more of training/ and test/"
    with pytest.raises(FileNotFoundError, match=message):
        Drive(root).prepare()


@pytest.mark.skipif("SEGEXP_DATA_DIR" not in os.environ, reason="SEGEXP_DATA_DIR is not set: no real data")
def test_real_photographs():
    root = Path(os.environ["SEGEXP_DATA_DIR"]) / "DRIVE"
    if not root.is_dir():
        pytest.skip(f"{root} is missing")
    source = Drive(root)
    source.prepare()
    dice, overlap = [], []
    for name in NAMES[:20]:
        case = source.read(name)
        assert case.image.shape == (3, 584, 565)
        truth, other = (labels[case.valid] == 1 for labels in (case.target, case.others["2nd_manual"]))
        dice.append(2 * (truth & other).sum() / (truth.sum() + other.sum()))
        found = fundus(case.image)
        overlap.append((found & case.valid).sum() / (found | case.valid).sum())
    assert np.mean(dice) == pytest.approx(0.7881, abs=0.0001)
    assert np.mean(overlap) > 0.995  # the field of view that is found, and the one that is given
    assert min(overlap) > 0.98
