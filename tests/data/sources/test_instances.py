"""Numbers of objects: which are kept, and what is refused."""

import numpy as np
import pytest

from segexp.data.sources.instances import instances_of, numbered, objects_of


def test_objects_with_a_class_are_numbered_from_one_in_their_order():
    objects = np.array([[7, 7, 90000, 3, 3, 0, 5]])
    target = np.array([[1, 1, 2, 255, 1, 1, 0]], np.uint8)
    found = numbered(objects, target)
    assert found.dtype == np.int32
    assert found.tolist() == [[2, 2, 3, 0, 1, 0, 0]]
    assert numbered(0 * objects, target).tolist() == [[0] * 7]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
def test_numbers_of_masks_begin_above_their_least_value(dtype):
    raw = np.array([[9, 9, 10, 12]], dtype)
    assert objects_of([np.array([[0, 0, 1, 1]])], raw).tolist() == [[0, 0, 2, 4]]


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ([[1, -1]], "numbers.png holds -1: objects are numbered from 1, and 0 is none"),
        ([[4, 6]], r"numbers.png numbers objects that have no class in mask m.png: 6: give them one there, or 255"),
    ],
)
def test_objects_that_have_no_class_are_refused(objects, message):
    with pytest.raises(ValueError, match=message):
        instances_of(np.array(objects), np.array([[1, 0]], np.uint8), "numbers.png", "mask m.png")
    assert instances_of(np.array([[6, 6]]), np.array([[1, 0]], np.uint8), "n", "m").tolist() == [[1, 0]]
    assert instances_of(np.array([[6, 7]]), np.array([[1, 255]], np.uint8), "n", "m").tolist() == [[1, 0]]
