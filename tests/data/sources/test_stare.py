"""STARE from files made here in the layout of its authors: observers, field of view, folds, and errors."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from PIL import Image
from skimage.draw import disk

from segexp.config import compose, plain
from segexp.data.sources import Stare
from segexp.data.sources.stare import NAMES
from segexp.data.splits import make_split
from tests.data.sources import names


@pytest.fixture
def root(tmp_path):
    """Make the 60 files, 61 × 70 pixels: a disk in a surround that is not black, vessels at random."""
    for folder in ("stare-images", "labels-ah", "labels-vk"):
        (tmp_path / folder).mkdir()
    for index, name in enumerate(NAMES):
        photo = np.random.default_rng(index).integers(8, 14, (61, 70, 3), dtype=np.uint8)
        photo[disk((30, 35), 28)] = 100 + index
        Image.fromarray(photo).save(tmp_path / "stare-images" / f"{name}.ppm")
        for seed, observer in enumerate(("ah", "vk")):
            Image.fromarray(vessels(index, seed)).save(tmp_path / f"labels-{observer}" / f"{name}.{observer}.ppm")
    return tmp_path


def vessels(index: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng([index, seed]).random((61, 70)) < 0.2
    return np.repeat((drawn * 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize(("truth", "other"), [("ah", "vk"), ("vk", "ah")])
def test_target_is_one_observer_and_the_other_is_kept(root, truth, other):
    source = Stare(root, truth)
    source.prepare()
    assert names(source) == NAMES
    case = source.read("im0044")
    seeds = {"ah": 0, "vk": 1}
    np.testing.assert_array_equal(case.target * 255, vessels(5, seeds[truth])[..., 0])
    np.testing.assert_array_equal(case.others[other] * 255, vessels(5, seeds[other])[..., 0])
    assert case.image.shape == (3, 61, 70)
    expected = np.zeros((61, 70), bool)
    expected[disk((30, 35), 28)] = True
    np.testing.assert_array_equal(case.valid, expected)
    assert source.entries()[5].files == case.files


def test_five_folds_test_every_photograph_once():
    config = plain(compose(["data=stare", "name=test"], run_dir="unused"))["data"]["split"]
    splits = [make_split(Stare("nowhere").entries(), instantiate(config | {"fold": fold})) for fold in range(5)]
    assert sorted(name for split in splits for name in split.test) == NAMES
    assert [len(split.test) for split in splits] == [4] * 5


def test_missing_and_packed_files_are_named_with_the_remedy(root):
    (root / "labels-vk" / "im0001.vk.ppm").unlink()
    message = r"STARE is incomplete in .*: missing are labels-vk/im0001\.vk\.ppm of the folders stare-images"
    with pytest.raises(FileNotFoundError, match=message):
        Stare(root).prepare()
    photo = root / "stare-images" / "im0324.ppm"
    Path(f"{photo}.gz").write_bytes(gzip.compress(photo.read_bytes()))
    photo.unlink()
    with pytest.raises(FileNotFoundError, match=r"still compressed in .*im0324\.ppm\.gz: unpack them with  gunzip"):
        Stare(root).prepare()
    with pytest.raises(ValueError, match=r"truth='hoover' is not one of \['ah', 'vk'\]"):
        Stare(root, "hoover")
