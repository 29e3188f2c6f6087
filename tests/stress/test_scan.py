import numpy as np
import pytest

from segexp.stress.scan import Scan, is_photograph
from tests.stress.examples import case_of, photograph, volume


def test_the_window_of_a_photograph_is_that_of_its_8_bits_and_of_others_their_percentiles():
    scan = Scan.of(photograph())
    assert (scan.low.ravel(), scan.width.ravel()) == (pytest.approx([0] * 3), pytest.approx([255] * 3))
    case = case_of(40, 48, channels=2)
    low, high = np.percentile(case.image[1], [0.5, 99.5])
    assert Scan.of(case).low[1] == pytest.approx(low)
    assert Scan.of(case).image[1].ravel() == pytest.approx((case.image[1].ravel() - low) / (high - low), abs=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_what_was_stored_comes_back_and_stays_in_the_range_of_its_type(dtype):
    case = case_of(20, 24, dtype=dtype)
    scan = Scan.of(case)
    assert scan.stored(scan.image) == pytest.approx(case.image, rel=1e-5, abs=1e-4)
    assert scan.stored(scan.image).dtype == dtype
    if dtype != "float32":
        far = scan.stored(np.full_like(scan.image, 1e6))
        assert (far == np.iinfo(dtype).max).all()


def test_slices_lie_across_the_largest_pixels():
    assert Scan.of(volume()).slice_axis == 0
    turned = Scan.of(case_of(12, 14, 16, spacing=(1.0, 1.0, 2.0)))
    assert (turned.slice_axis, turned.plane) == (2, (0, 1))
    assert Scan.of(case_of(12, 14)).plane == (0, 1)


def test_a_photograph_has_three_channels_of_8_bits_in_a_plane():
    assert is_photograph(photograph())
    assert not is_photograph(case_of(8, 8, channels=3))
    assert not is_photograph(case_of(8, 8, 8, channels=3, dtype="uint8"))


def test_a_flat_image_has_a_window():
    case = case_of(8, 8)
    case.image[:] = 7
    assert np.isfinite(Scan.of(case).image).all()
