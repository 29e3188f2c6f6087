"""What tags say where they are missing or odd."""

import logging

import numpy as np
import pytest
import tifffile

from segexp.data.files import tiff_tags


def test_tags_of_a_page(tmp_path):
    path = tmp_path / "a.tif"
    pixels = np.zeros((4, 5), dtype=np.float32)
    tags = [(274, "H", 1, 9, True), (341, "f", 1, 2.5, True)]
    tifffile.imwrite(path, pixels, photometric="miniswhite", extratags=tags)
    with tiff_tags.opened(path) as file:
        page = file.pages.first
        assert (tiff_tags.photometric(page), tiff_tags.bits(page), tiff_tags.white(page)) == (0, 32, 2.5)
        assert tiff_tags.orientation(page) == 1  # there is no ninth


def test_a_palette_of_8_bits_in_place_of_16_is_taken_as_such(tmp_path):
    colors = np.random.default_rng(0).integers(0, 256, (3, 256), dtype=np.uint16)
    for factor in (1, 257):
        tifffile.imwrite(
            tmp_path / "p.tif", np.zeros((4, 5), np.uint8), photometric="palette", colormap=colors * factor
        )
        with tiff_tags.opened(tmp_path / "p.tif") as file:
            np.testing.assert_array_equal(tiff_tags.palette(file.pages.first), colors.T)


def test_messages_about_damage_are_raised_and_others_are_not(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((4, 5), np.uint8))
    with tiff_tags.opened(path):
        logging.getLogger("tifffile").warning("<tifffile.TiffTag 270> coercing invalid ASCII to bytes")
    with pytest.raises(ValueError, match="damaged or cut off: invalid page offset 7$"), tiff_tags.opened(path):
        logging.getLogger("tifffile").error("<tifffile.TiffPages @8> invalid page offset 7")
    assert not [one for one in logging.getLogger("tifffile").handlers if "Damage" in type(one).__name__]
