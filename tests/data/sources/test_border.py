"""The border between touching objects: by hand, by brute force, and as scikit-image has it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import label
from skimage.segmentation import find_boundaries

from segexp.data.sources.border import border_of


def test_gap_between_nuclei_is_border_if_narrow():
    row = np.zeros((3, 11), dtype=int)
    row[:, :3], row[:, 4:7], row[:, 9:] = 7, 9, 300
    middle = border_of(row, 1)[1]
    #        nucleus  gap  nucleus  wide gap  nucleus
    assert [*map(int, middle)] == [0, 0, 1, 1, 1, 0, 1, 0, 0, 1, 0]
    assert [*map(int, border_of(row, 2)[1])] == [0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]


def test_one_nucleus_alone_has_no_gap_in_its_bays():
    bay = np.ones((5, 5), dtype=int)
    bay[1:4, 2] = 0
    assert not border_of(bay, 2)[bay == 0].any()


def brute_force(instances: np.ndarray, width: int) -> np.ndarray:
    """Look at every pair of pixels."""
    places = np.argwhere(np.ones_like(instances))
    values = instances.ravel()
    near = ((places[:, None] - places) ** 2).sum(axis=2) <= width**2
    found = []
    for value, around in zip(values, near, strict=True):
        others = set(values[around])
        found.append(len(others - {value}) > 0 if value else len(others - {0}) > 1)
    return np.reshape(found, instances.shape)


INSTANCES = arrays(np.uint16, st.tuples(st.integers(1, 8), st.integers(1, 8)), elements=st.sampled_from([0, 1, 2, 300]))


@given(instances=INSTANCES, width=st.integers(1, 4))
def test_border_against_every_pair_of_pixels(instances, width):
    np.testing.assert_array_equal(border_of(instances, width), brute_force(instances, width))


@given(instances=INSTANCES)
def test_rim_of_width_1_is_the_inner_boundary_of_scikit_image(instances):
    rim = border_of(instances, 1) & (instances > 0)
    np.testing.assert_array_equal(rim, find_boundaries(instances, connectivity=1, mode="inner"))


@given(instances=INSTANCES)
def test_no_component_of_nucleus_holds_two_nuclei(instances):
    inner = (instances > 0) & ~border_of(instances, 1)
    pieces = label(inner, connectivity=2)
    for piece in range(1, pieces.max() + 1):
        assert len(np.unique(instances[pieces == piece])) == 1
