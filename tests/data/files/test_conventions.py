"""Rules for samples, against Pillow and figures by hand."""

import numpy as np
import pytest
from benchmarks.formats.tiff import lab_of
from PIL import Image, ImageOps

from segexp.data.files import conventions


@pytest.mark.parametrize("orientation", range(10))
def test_orientations_are_undone_as_pillow_undoes_them(orientation):
    stored = np.random.default_rng(0).integers(0, 256, (5, 7), dtype=np.uint8)
    image = Image.fromarray(stored)
    image.getexif()[274] = orientation
    shown = np.array(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(conventions.upright(stored, orientation, 0), shown)
    stack = np.stack([stored, stored + 1])[..., None]
    np.testing.assert_array_equal(conventions.upright(stack, orientation, 1)[0, ..., 0], shown)


def test_white_becomes_high():
    twelve = np.array([0, 1, 4095], dtype=np.uint16)
    assert conventions.turned_round(twelve, 12).tolist() == [4095, 4094, 0]
    assert conventions.turned_round(twelve, 16).tolist() == [65535, 65534, 61440]
    assert conventions.turned_round(np.array([-128, 0, 127], dtype=np.int8), 8).tolist() == [127, -1, -128]
    assert conventions.turned_round(np.array([True, False]), 1).tolist() == [False, True]
    real = np.array([0, 0.25, np.nan, 1], dtype=np.float32)
    np.testing.assert_array_equal(conventions.turned_round(real, 32), np.float32([1, 0.75, np.nan, 0]))
    np.testing.assert_array_equal(conventions.turned_round(real, 32, white=2), np.float32([2, 1.75, np.nan, 1]))


@pytest.mark.parametrize(("bits", "high"), [(1, 255), (2, 85), (4, 17)])
def test_few_bits_are_spread_and_eight_stay(bits, high):
    shades = np.arange(2**bits, dtype=np.uint8)
    assert conventions.full_range(shades, bits).tolist() == [high * shade for shade in shades.tolist()]
    assert conventions.full_range(shades, 8) is shades


def test_colors_of_a_palette():
    palette = np.array([[0, 0, 0], [255, 0, 0], [7, 7, 7], [7, 7, 7]], dtype=np.uint8)
    assert conventions.looked_up(np.array([[1, 0]]), palette).tolist() == [[[255, 0, 0], [0, 0, 0]]]
    assert conventions.color_names(palette) == ["#000000", "#ff0000", "#070707"]
    with pytest.raises(ValueError, match="index 4 in a palette of 4 colors"):
        conventions.looked_up(np.array([4]), palette)


def test_cmyk_and_ycbcr_as_pillow_turns_them():
    inks = np.random.default_rng(0).integers(0, 256, (6, 5, 4), dtype=np.uint8)
    for stored, mode, turn in (
        (inks, "CMYK", conventions.rgb_from_cmyk),
        (inks[..., :3], "YCbCr", conventions.rgb_from_ycbcr),
    ):
        pillow = np.array(Image.frombytes(mode, (5, 6), stored.tobytes()).convert("RGB")).astype(int)
        assert np.abs(turn(stored).astype(int) - pillow).max() <= 1
        # Sixteen bits are the same colors.
        wide = turn(stored.astype(np.uint16) * 257) / 257
        assert np.abs(wide - pillow).max() <= 2


def test_cielab_of_muted_colors():
    rgb = np.random.default_rng(0).integers(90, 160, (4, 6, 3), dtype=np.uint8)
    lab = np.rint(lab_of(rgb) * [2.55, 1, 1]).astype(np.int16).astype(np.uint8)
    assert np.abs(conventions.rgb_from_lab(lab, offset=False).astype(int) - rgb).max() <= 3
    icc = lab ^ np.array([0, 128, 128], dtype=np.uint8)
    assert np.abs(conventions.rgb_from_lab(icc, offset=True).astype(int) - rgb).max() <= 3
