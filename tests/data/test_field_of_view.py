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
