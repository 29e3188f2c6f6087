import numpy as np
import pytest

from segexp.data.crop import crop


@pytest.mark.parametrize("shape", [(5, 7), (1, 4), (3, 4, 5)])
def test_crop_equals_numpy_pad(shape):
    array = np.random.default_rng(0).random((2, *shape))
    padded = np.pad(array, [(0, 0), *[(20, 20)] * len(shape)], mode="reflect")
    rng = np.random.default_rng(1)
    for _ in range(20):
        begin, size = rng.integers(-9, 6, len(shape)), rng.integers(1, 14, len(shape))
        wanted = padded[(slice(None), *(slice(b + 20, b + 20 + p) for b, p in zip(begin, size, strict=True)))]
        np.testing.assert_array_equal(crop(array, list(begin), list(size)), wanted)
