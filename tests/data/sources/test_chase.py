"""CHASE_DB1 from files made here, its field of view, its errors, and the real data where SEGEXP_DATA_DIR is set."""

import os
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from PIL import Image
from scipy.spatial import distance
from skimage.draw import disk

from segexp.config import compose, plain
from segexp.data.sources import Chase
from segexp.data.splits import make_split
from tests.data.sources import names

NAMES = [f"{child:02d}{eye}" for child in range(1, 15) for eye in "LR"]


@pytest.fixture
def root(tmp_path):
    """Make the 84 files, 40 × 50 pixels: a disk of its own brightness per case, vessels at random."""
    for index, name in enumerate(NAMES):
        photo = np.zeros((40, 50, 3), dtype=np.uint8)
        photo[disk((20, 25), 15)] = 100 + index
        Image.fromarray(photo).save(tmp_path / f"Image_{name}.jpg", quality=100)
        for seed, observer in enumerate(["1stHO", "2ndHO"]):
            vessels = np.random.default_rng([index, seed]).random((40, 50)) < 0.2
            Image.fromarray(vessels).save(tmp_path / f"Image_{name}_{observer}.png")
    return tmp_path


def vessels(root: Path, name: str, observer: str) -> np.ndarray:
    return np.array(Image.open(root / f"Image_{name}_{observer}.png")).astype(int)


@pytest.mark.parametrize(("truth", "other"), [("1stHO", "2ndHO"), ("2ndHO", "1stHO")])
def test_target_is_one_observer_and_the_other_is_kept(root, truth, other):
    source = Chase(root, truth)
    source.prepare()
    assert names(source) == NAMES
    case = source.read("03R")
    assert case.image.shape == (3, 40, 50)
    assert abs(int(case.image[0, 20, 25]) - 105) <= 1
    assert case.target.dtype == case.others[other].dtype == np.uint8
    np.testing.assert_array_equal(case.target, vessels(root, "03R", truth))
    np.testing.assert_array_equal(case.others[other], vessels(root, "03R", other))
    assert list(case.others) == [other]
    assert [file.name for file in case.files][:2] == ["Image_03R.jpg", f"Image_03R_{truth}.png"]
    assert (case.spacing, case.spacing_unit) == ((1.0, 1.0), "px")
    count = int(vessels(root, "03R", truth).sum())
    assert (case.facts["mask_dtype"], case.facts["mask_values"]) == ("uint8", {0: 2000 - count, 255: count})
    assert case.facts["image_stored"] == {"format": "JPEG", "bits": 8, "axes": "YXS", "lossy": True}


def test_group_is_the_child(root):
    assert [(entry.name, entry.group) for entry in Chase(root).entries()][:3] == [
        ("01L", "01"), ("01R", "01"), ("02L", "02")
    ]  # fmt: skip


def test_default_split_keeps_children_whole():
    config = plain(compose(["data=chase", "name=test"], run_dir="unused"))["data"]
    split = make_split(Chase("nowhere").entries(), instantiate(config["split"]))
    assert split.train == tuple(NAMES[:16])
    assert split.val == tuple(NAMES[16:20])
    assert split.test == tuple(NAMES[20:])
    assert len(config["labels"]["class_names"]) == config["labels"]["num_classes"]


def test_missing_files_are_named_with_the_remedy(root):
    (root / "Image_07L_2ndHO.png").unlink()
    message = r"CHASE_DB1 is incomplete in .*: missing are Image_07L_2ndHO\.png of its 84 files"
    with pytest.raises(FileNotFoundError, match=message):
        Chase(root).prepare()
    with pytest.raises(FileNotFoundError, match=r"missing are Image_01L.jpg, .* and 81 more"):
        Chase(root / "nowhere").prepare()


def test_what_is_refused(root):
    with pytest.raises(ValueError, match=r"truth='1stH0' is not one of .*did you mean '1stHO'"):
        Chase(root, "1stH0")
    with pytest.raises(ValueError, match=r"name='15L' is not one of"):
        Chase(root).read("15L")
    Image.fromarray(np.zeros((40, 49), dtype=bool)).save(root / "Image_01L_2ndHO.png")
    with pytest.raises(ValueError, match=r"Image_01L.jpg is 40×50 .*Image_01L_2ndHO.png is 40×49"):
        Chase(root).read("01L")


@pytest.mark.skipif("SEGEXP_DATA_DIR" not in os.environ, reason="SEGEXP_DATA_DIR is not set: no real data")
def test_real_photographs():
    root = Path(os.environ["SEGEXP_DATA_DIR"]) / "CHASE_DB1"
    if not root.is_dir():
        pytest.skip(f"{root} is missing")
    source = Chase(root)
    source.prepare()
    dice, outside, shares = [], [], []
    for name in NAMES:
        case = source.read(name)
        other = case.others["2ndHO"]
        assert case.image.shape == (3, 960, 999)
        assert 0.65 < case.valid.mean() < 0.70  # a disk of 900 to 920 pixels
        dice.append(1 - distance.dice(case.target.ravel() == 1, other.ravel() == 1))
        outside += [truth[~case.valid].sum() / truth.sum() for truth in (case.target, other)]
        shares.append(case.target.mean())
    assert np.mean(dice) == pytest.approx(0.777, abs=0.001)
    assert np.mean(shares) == pytest.approx(0.069, abs=0.001)
    assert max(outside) < 0.006
    assert np.mean(outside) < 0.001
