import numpy as np

from segexp.pictures.figures import COLORS, HEADER
from segexp.pictures.sheets import UNLABELED, draw_sheet, sheet


def test_outlines_lie_on_the_border_pixels_of_each_class():
    mask = np.zeros((200, 200), np.uint8)
    mask[20:60, 20:60], mask[100:140, 30:90], mask[150:170, 150:170] = 1, 2, 255
    sheet = draw_sheet([[(np.zeros((1, 200, 200)), mask)]], ["before"])[HEADER : HEADER + 200, :200]
    for rows, columns, color in [
        ((20, 60), (20, 60), COLORS[0]),
        ((100, 140), (30, 90), COLORS[1]),
        ((150, 170), (150, 170), UNLABELED),
    ]:
        expected = np.zeros((200, 200), bool)
        expected[slice(*rows), slice(*columns)] = True
        expected[rows[0] + 1 : rows[1] - 1, columns[0] + 1 : columns[1] - 1] = False
        np.testing.assert_array_equal((sheet == color).all(-1), expected)


def test_a_row_has_one_gray_scale_and_small_patches_are_enlarged():
    before = np.linspace(0, 0.8, 64 * 64).reshape(1, 64, 64)
    mask = np.zeros((64, 64), np.uint8)
    sheet = draw_sheet([[(before, mask), (before / 2, mask)]], ["before", "draw 1"])
    assert sheet.shape == (HEADER + 194, 2 * 194, 3)
    bright, dark = sheet[HEADER + 180, 100, 0], sheet[HEADER + 180, 294, 0]
    assert abs(int(bright) - 2 * int(dark)) <= 4


def test_the_middle_of_channels_and_of_slices_is_shown():
    image = np.zeros((5, 3, 200, 200))
    image[2, 1] = np.linspace(0, 1, 200)
    sheet = draw_sheet([[(image, np.zeros((3, 200, 200), np.uint8))]], ["before"])
    assert sheet[HEADER + 100, 190, 0] > sheet[HEADER + 100, 10, 0] + 200


def test_pictures_of_all_sizes_fit_on_a_sheet():
    small, wide = np.zeros((10, 20, 3), np.uint8), np.zeros((40, 3200, 3), np.uint8)
    drawn = sheet([("one", small), ("two", wide)])
    assert drawn.shape == (16 + 16 + 16 + 26, 1600, 3)
    assert (drawn[16:26, :20] == 0).all()
    assert (drawn[16:26, 20:] == 255).all()
