import numpy as np
from skimage.draw import disk

from segexp.data.field_of_view import fundus


def test_field_of_view_is_the_largest_region_without_holes():
    image = np.full((3, 60, 60), 10, dtype=np.uint8)
    expected = np.zeros((60, 60), dtype=bool)
    expected[disk((30, 30), 20)] = True
    image[0, expected] = 11  # dark red is enough
    image[:, 28:33, 28:33] = 0  # a black vessel crossing
    image[:, 2:5, 2:5] = 255  # burnt-in text
    np.testing.assert_array_equal(fundus(image), expected)
    assert fundus(np.zeros((3, 5, 6), dtype=np.uint8)).all()


def test_a_surround_that_is_not_black_is_surround_all_the_same():
    image = np.random.default_rng(0).integers(10, 20, (3, 64, 64), dtype=np.uint8)
    expected = np.zeros((64, 64), dtype=bool)
    expected[disk((32, 32), 25)] = True
    image[:, expected] = 120
    np.testing.assert_array_equal(fundus(image), expected)


def test_a_photograph_that_fills_its_frame_is_all_view():
    image = np.random.default_rng(0).integers(60, 200, (3, 64, 64), dtype=np.uint8)
    assert fundus(image).all()
