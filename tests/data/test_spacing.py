"""Sizes of pixels that the network works at."""

from dataclasses import replace

import numpy as np
import pytest

from segexp.data.case import Case
from segexp.data.resample import resample
from segexp.data.spacing import has_spacing, spacing_of_network

IMAGE = np.zeros((1, 6, 9, 8), np.float32)
CASE = Case("v", IMAGE, None, (3.0, 1.0, 2.0), "mm")


def test_a_thousandth_is_no_other_spacing():
    assert has_spacing(CASE, (3.001, 1.0, 2.0))
    assert not has_spacing(CASE, (3.01, 1.0, 2.0))
    assert not has_spacing(CASE, (3.0, 1.0))


def test_unknown_spacing_is_refused():
    plain = Case("p", IMAGE, None, (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match=r"case p has a spacing of \[1.0, 1.0, 1.0\] px.*data.geometry.spacing=null"):
        spacing_of_network(plain, (2.0, 2.0, 2.0), "files")


def test_a_spacing_counts_pixels_of_each_image_or_the_unit_of_the_files():
    assert spacing_of_network(CASE, None, "files") is None
    assert spacing_of_network(CASE, [1, 2, 3], "files") == [1, 2, 3]
    assert spacing_of_network(CASE, [1, 2, 2], "px") == [3, 2, 4]
    assert resample(CASE, spacing_of_network(CASE, [2, 3, 2], "px")).image.shape == (1, 3, 3, 4)
    untold = replace(CASE, spacing=(1.0,) * 3, spacing_unit="px")
    assert spacing_of_network(untold, [1, 2, 2], "px") == [1, 2, 2]
    with pytest.raises(ValueError, match="spacing_unit=px for multiples of it"):
        spacing_of_network(untold, [1, 2, 2], "files")
    with pytest.raises(ValueError, match="give the source the true spacing, or leave"):
        spacing_of_network(CASE, [2, 2], "px")
