import json
from pathlib import Path

import numpy as np
import pytest

from segexp.data.files.mask_values import WHOLE, file_facts, map_values, whole_labels
from segexp.errors import some

HERE = Path("mask.png")


def test_values_become_classes():
    raw = np.array([[0, 255], [7, 0]], dtype=np.uint8)
    target = map_values(raw, {0: 0, 255: 1, 7: 5}, 0, HERE)
    assert target.dtype == np.uint8
    np.testing.assert_array_equal(target, [[0, 1], [5, 0]])


def test_values_may_be_negative_wide_and_swap_places():
    raw = np.array([-1, 70000, 1, 0], dtype=np.int32)
    np.testing.assert_array_equal(map_values(raw, {-1: 3, 70000: 2, 1: 0, 0: 1}, 0, HERE), [3, 2, 0, 1])


def test_tolerance_sends_to_the_nearest_and_a_tie_to_the_lower():
    raw = np.array([0, 3, 5, 7, 10, 13], dtype=np.uint8)
    np.testing.assert_array_equal(map_values(raw, {0: 4, 10: 9}, 5, HERE), [4, 4, 4, 9, 9, 9])


def test_undeclared_values_are_named():
    raw = np.array([[0, 255, 3], [128, 0, 3]], dtype=np.uint8)
    message = (
        r"mask mask\.png has values without a class: 3, 128 \(declared are 0, 255\): declare .* tolerance \(now 1\)"
    )
    with pytest.raises(ValueError, match=message):
        map_values(raw, {0: 0, 255: 1}, 1, HERE)


def test_many_undeclared_values_are_counted():
    with pytest.raises(ValueError, match=r"1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 245 more \(declared are 0\)"):
        map_values(np.arange(256), {0: 0}, 0, HERE)


def test_facts_are_plain_values_of_the_files():
    image, mask = np.zeros((1, 2, 3), np.uint16), np.array([[0, 0, 7], [7, 7, 0]], np.float32)
    facts = file_facts(image, mask)
    assert facts == {"image_dtype": "uint16", "mask_dtype": "float32", "mask_values": {0: 3, 7: 3}}
    assert json.loads(json.dumps(facts))["mask_values"] == {"0": 3, "7": 3}
    assert file_facts(image, None) == {"image_dtype": "uint16"}


def test_some_counts_what_it_leaves_out():
    assert some("abc") == "a, b, c"
    assert some(range(12)).endswith("8, 9 and 2 more")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_labels_that_went_through_floats_become_integers(dtype):
    raw = np.array([[0, 1], [-3, 200]], dtype)
    whole = whole_labels(raw + np.array(WHOLE / 2, dtype) * (np.abs(raw) < 5), HERE)
    assert whole.dtype == np.int32
    np.testing.assert_array_equal(whole, [[0, 1], [-3, 200]])


def test_integers_stay_as_they_are():
    raw = np.array([2**63 - 1], np.int64)
    assert whole_labels(raw, HERE) is raw
    assert whole_labels(np.array([2.0**40]), HERE).dtype == np.int64


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.002, r"holds fractions \(0\.002\): save class numbers as integers"),
        (-1.5, r"holds fractions \(-1\.5\)"),
        (np.nan, r"has 1 of 3 values that are NaN or infinite: put class numbers"),
        (np.inf, r"has 1 of 3 values that are NaN or infinite"),
        (1e30, r"holds numbers up to 1e\+30: save class numbers as integers"),
    ],
)
def test_what_is_no_label_is_named(value, words):
    with pytest.raises(ValueError, match=rf"mask mask\.png {words}"):
        whole_labels(np.array([0, 1, value]), HERE)
