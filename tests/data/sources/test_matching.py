"""Images and masks that do not pair: who lacks what, and what would help."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segexp.data.sources.matching import paired
from segexp.data.sources.patterns import Pattern, SuffixPattern


@pytest.fixture
def put(tmp_path):
    """Save empty pictures under tmp_path."""

    def put(*names: str) -> Path:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / name)
        return tmp_path

    return put


def pair(images: Path, masks: Path, image: str = "", mask: str = "", merge: bool = False):
    return paired(images, masks, [SuffixPattern(image, "image_suffix")], SuffixPattern(mask, "mask_suffix"), merge)


def test_all_that_is_left_out_is_told_by_reason(put):
    root = put("i/a.png", "i/a_small.png", "m/a_mask.png", "m/a_edge.png")
    for name in ("i/.DS_Store", "m/list.csv"):
        (root / name).write_text("")
    patterns = [Pattern("{name}", "image_pattern")], Pattern("{name}_mask", "mask_pattern")
    with pytest.raises(ValueError, match=r"masks missing in .*m: a_small_mask: add"):
        paired(root / "i", root / "m", *patterns, merge=False)
    (root / "i" / "a_small.png").unlink()
    assert pair(root / "i", root / "m", mask="_mask").left_out == {
        "hidden": ("i/.DS_Store",),
        "no mask_suffix '_mask'": ("m/a_edge.png",),
        "no image: .csv": ("m/list.csv",),
    }


def test_no_file_is_named_as_an_image(put):
    root = put("i/a_x.png", "i/b_x.png", "m/a_y.png", "m/b_y.png")
    with pytest.raises(ValueError, match=r"no file in .*i is named as an image, such as a_x\.png: names pair with"):
        pair(root / "i", root / "m", image="_z", mask="_y")


def test_masks_beside_images_without_an_image_of_their_own(put):
    root = put("a.png", "a_seg.png", "b_seg.png")
    with pytest.raises(ValueError, match=r"images missing in .* for the masks of b: add them"):
        pair(root, root, mask="_seg")


def test_a_numbered_mask_belongs_to_its_own_image_if_there_is_one(put):
    root = put("i/a.png", "i/a_1.png", "m/a.png", "m/a_1.png")
    assert [len(files.masks) for _, files in pair(root / "i", root / "m", merge=True).cases.values()] == [1, 1]
    put("m/a_2.png")
    with pytest.raises(ValueError, match=r"case a has 2 masks \(.*a\.png, .*a_2\.png\)"):
        pair(root / "i", root / "m")


def test_two_masks_of_one_name_are_no_further_masks(put):
    root = put("i/a.png", "m/a.png", "m/a.bmp")
    with pytest.raises(ValueError, match=r"a\.bmp and .*a\.png share the name 'a': rename or remove one of them"):
        pair(root / "i", root / "m", merge=True)


def test_a_name_that_is_nearly_right_is_named(put):
    root = put("i/Case1.png", "i/b.png", "m/case1.png", "m/b.png")
    with pytest.raises(
        ValueError, match=r"masks missing in .*m: Case1 \(did you mean 'case1'\?\): add them, .*skip_unlabeled=true"
    ):
        pair(root / "i", root / "m")
