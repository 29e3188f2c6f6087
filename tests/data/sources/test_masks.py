"""Masks by values, by colors and by objects: three pixels by hand, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segexp.data.files.images import read_mask
from segexp.data.sources.masks import MaskRules


@pytest.fixture
def put(tmp_path):
    """Save an array as tmp_path/<name> and give its path."""

    def put(name: str, pixels: list | np.ndarray, dtype: type = np.uint8) -> Path:
        Image.fromarray(np.array(pixels, dtype)).save(tmp_path / name)
        return tmp_path / name

    return put


def classes(paths: list[Path], **rules) -> list:
    return MaskRules(**rules).read(paths, read_mask).target.tolist()


def test_other_is_whatever_is_not_declared(put):
    path = put("a.png", [[0, 1, 7, 255]])
    assert classes([path], values={0: 0, "other": 1}) == [[0, 1, 1, 1]]
    assert classes([path], values={0: 0, 255: 255, "other": 2}) == [[0, 2, 2, 255]]
    assert classes([path], values={0: 0, "other": 1}, tolerance=5) == [[0, 0, 1, 1]]
    many = put("b.png", [[0, 1000, 65535]], np.uint16)
    assert classes([many], values={0: 0, "other": 1}) == [[0, 1, 1]]


def test_values_near_a_declared_one_are_not_drawn_to_one_that_is_not(put):
    assert classes([put("a.png", [[8, 11]])], values={0: 0, "other": 1}, tolerance=10) == [[0, 1]]


COLORS = [[[0, 0, 0], [255, 0, 0], [0, 128, 0], [12, 34, 56]]]


@pytest.mark.parametrize(
    "colors",
    [
        {"black": 0, "red": 1, "green": 2, "#0c2238": 255},
        {"0/0/0": 0, "255/0/0": 1, "0/128/0": 2, "12/34/56": 255},
        {"#000": 0, "#FF0000": 1, "#008000": 2, "other": 255},
    ],
)
def test_colors_by_word_by_number_and_by_channel(put, colors):
    assert classes([put("a.png", COLORS)], colors=colors) == [[0, 1, 2, 255]]


def test_colors_of_a_palette_of_gray_and_with_alpha(put, tmp_path):
    picture = Image.fromarray(np.array([[3, 1]], np.uint8), "P")
    picture.putpalette([0, 0, 0, 255, 0, 0, 9, 9, 9, 0, 0, 255])
    picture.save(tmp_path / "p.png")
    assert classes([tmp_path / "p.png"], colors={"red": 1, "blue": 2}) == [[2, 1]]
    assert classes([put("g.png", [[0, 255]])], colors={"black": 0, "white": 1}) == [[0, 1]]
    assert classes([put("t.png", [[[255, 0, 0, 0]]])], colors={"red": 1}) == [[1]]


def test_colors_that_jpeg_blurred_become_the_nearest_declared_one(put):
    half = np.zeros((16, 32, 3), np.uint8)
    half[:, 16:] = (255, 0, 0)
    blurred = put("a.jpg", half)
    with pytest.raises(ValueError, match=r"a\.jpg has colors without a class: #.* \(declared are #000000, #ff0000\).*"):
        classes([blurred], colors={"black": 0, "red": 1})
    assert classes([blurred], colors={"black": 0, "red": 1}, tolerance=127) == (half[..., 0] // 255).tolist()


def test_other_would_take_the_blur_of_jpeg(put):
    square = np.zeros((32, 32), np.uint8)
    square[8:24, 8:24] = 255
    path = put("a.jpg", square)
    for rules in ({"values": {0: 0, "other": 1}}, {"colors": {"black": 0, "other": 1}}):
        with pytest.raises(ValueError, match=r"a\.jpg is compressed with loss: .*set data\.source\.mask_tolerance"):
            classes([path], **rules)
        assert classes([path], **rules, tolerance=100) == (square // 255).tolist()


def test_masks_in_color_are_predicted_as_numbers_and_tell_no_values(put):
    rules = MaskRules(colors={"black": 0, "red": 1})
    assert rules.mask_values == {}
    assert rules.read([put("a.png", [[[255, 0, 0]]])], read_mask).raw is None
    assert MaskRules(values={0: 0, 9: 1, "other": 255}).mask_values == {0: 0, 9: 1}


def test_masks_of_an_image_are_laid_over_each_other_if_that_is_said(put):
    paths = [put("a.png", [[255, 255, 0, 0]]), put("b.png", [[0, 255, 255, 0]])]
    assert classes(paths, merge=True) == [[1, 1, 1, 0]]
    with pytest.raises(ValueError, match=r"2 masks \(.*a\.png, .*b\.png\): set data\.source\.merge_masks=true"):
        classes(paths)
    with pytest.raises(ValueError, match=r"b\.png gives pixels another class than a\.png do"):
        classes([paths[0], put("b.png", [[0, 7, 0, 0]])], values={0: 0, 255: 1, 7: 2}, merge=True)
    with pytest.raises(ValueError, match=r"a\.png and .*b\.png differ in size"):
        classes([paths[0], put("b.png", [[0]])], merge=True)


def test_border_between_numbered_objects_and_between_masks_of_one_object_each(put):
    touching = [[0, 1, 1, 1, 2, 2, 2, 0]] * 3
    expected = [[0, 2, 1, 2, 2, 1, 2, 0]] * 3
    assert classes([put("a.png", touching)], values={0: 0, "other": 1}, border_width=1) == expected
    each = [put(f"{number}.png", np.equal(touching, number) * 255) for number in (1, 2)]
    assert classes(each, border_width=1, merge=True) == expected
    assert classes([put("c.png", np.array(touching) + 9)], values={9: 0, "other": 1}, border_width=1) == expected


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"values": {0: 0}, "colors": {"red": 1}}, "values and colors are both given"),
        ({"values": {"other": 1}}, r"values={'other': 1} must give each mask value .* and may give one to 'other'"),
        ({"values": {0: 0, "rest": 1}}, "must give each mask value"),
        ({"values": {0: 0, "other": 256}}, "a class from 0 to 255"),
        ({"colors": {"reddish": 1}}, "colors: 'reddish' is no color: write a word"),
        ({"colors": {"255/0/256": 1}}, "is no color"),
        ({"colors": {0: 1}}, "colors: 0 is no color"),
        ({"border_width": -1}, "border_width=-1 must be"),
        ({"instances": True, "tolerance": 9}, r"blurred values \(mask_tolerance=9\) are none: number the objects, or"),
        ({"instances": True, "colors": {"red": 1}}, "instances=true takes the numbers in a mask"),
    ],
)
def test_rules_that_make_no_sense(rules, message):
    with pytest.raises(ValueError, match=message):
        MaskRules(**rules)


def instances(paths: list[Path], **rules) -> tuple[list, list]:
    read = MaskRules(instances=True, **rules).read(paths, read_mask)
    assert read.instances.dtype == np.int32
    return read.target.tolist(), read.instances.tolist()


def test_objects_are_the_numbers_in_a_mask(put):
    path = put("a.png", [[0, 40000, 40000, 7, 255, 0]], np.uint16)
    assert instances([path]) == ([[0, 1, 1, 1, 1, 0]], [[0, 3, 3, 1, 2, 0]])
    assert instances([path], values={0: 0, 255: 255, 7: 2, "other": 1}) == (
        [[0, 1, 1, 2, 255, 0]],
        [[0, 2, 2, 1, 0, 0]],
    )
    assert instances([path], values={7: 0, 0: 1, "other": 2})[1] == [[1, 3, 3, 0, 2, 1]]  # 0 is an object there
    assert instances([put("b.png", [[0, 0]])]) == ([[0, 0]], [[0, 0]])
    assert MaskRules().read([put("c.png", [[0, 255]])], read_mask).instances is None


def test_objects_are_the_masks_of_an_image_that_has_several(put):
    paths = [put("a.png", [[255, 255, 0, 0]]), put("b.png", [[0, 9, 9, 0]]), put("c.png", [[0, 0, 0, 0]])]
    assert instances(paths, merge=True) == ([[1, 1, 1, 0]], [[1, 2, 2, 0]])  # the later one lies on top
    kinds = instances([paths[0], put("d.png", [[0, 0, 7, 0]])], values={0: 0, 255: 1, 7: 2}, merge=True)
    assert kinds == ([[1, 1, 2, 0]], [[1, 1, 2, 0]])
    blurred = [put("e.png", [[255, 250, 3, 0]]), put("f.png", [[0, 0, 251, 255]])]
    assert instances(blurred, merge=True, tolerance=9, values={0: 0, 255: 1})[1] == [[1, 1, 2, 2]]
    with pytest.raises(
        ValueError, match=r"f\.png has the values 251, 255 and is one of 2 masks of its image, which are"
    ):
        instances([paths[0], blurred[1]], merge=True)


def test_objects_end_at_the_border_between_them(put):
    target, numbers = instances([put("a.png", [[0, 1, 1, 1, 2, 2, 2, 0]] * 3)], border_width=1)
    assert target == [[0, 2, 1, 2, 2, 1, 2, 0]] * 3
    assert numbers == [[0, 0, 1, 0, 0, 2, 0, 0]] * 3


def test_values_that_may_number_objects_are_answered_with_the_setting(put, tmp_path):
    numbered = put("a.png", [[0, 1, 2, 3, 4, 5]])
    with pytest.raises(
        ValueError, match=r"values without a class: .*; if its 6 values are numbers of objects.*source\.instances=true"
    ):
        classes([numbered])
    few = put("b.png", [[0, 1, 255]])
    blurred = put("c.jpg", np.kron(np.eye(4), np.full((5, 5), 255)))
    for path in (few, blurred):
        with pytest.raises(ValueError, match="without a class") as caught:
            classes([path])
        assert "instances" not in str(caught.value)
