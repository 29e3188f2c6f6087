"""Steps together: their order, regions, and arrays and settings that cannot be."""

import numpy as np
import pytest

from segexp.postprocessing.postprocess import STEPS, PostProcess, in_words
from tests.postprocessing.labels import SIZES, apply, blobs

EACH = {"largest_component": {}, "min_size": {"size": 9}, "fill_holes": {}, "watershed": {}}


def regions(size: tuple[int, ...], seed: int) -> np.ndarray:
    return np.stack([blobs(size, seed + i, 2) == 1 for i in range(3)])


def degenerate() -> list[np.ndarray]:
    one = np.zeros((5, 6), np.uint8)
    one[2, 3] = 1
    plain = [
        np.zeros((5, 6), np.uint8),
        np.ones((5, 6), np.uint8),
        one,
        np.ones((1, 1), np.int64),
        np.ones((4, 4, 4), int),
    ]
    return [*plain, np.zeros((2, 5, 6), bool), np.ones((2, 5, 6), bool), one[None] == 1]


def test_steps_run_in_their_order_whatever_the_order_of_the_settings():
    labels = np.ones((9, 9), np.uint8)
    labels[4, 4] = 2  # a speck of another class: removed, then filled
    settings = {"fill_holes": {}, "min_size": {"size": 4}}
    assert (PostProcess(settings)(labels) == 1).all()
    assert list(PostProcess(settings).steps) == ["min_size", "fill_holes"]
    assert list(STEPS) == ["largest_component", "min_size", "fill_holes", "watershed"]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_each_region_is_treated_by_itself(size):
    both = regions(size, 4)
    for step, settings in EACH.items():
        together = apply(both, step, **settings)
        assert together.dtype == bool
        for part, done in zip(both, together, strict=True):
            assert np.array_equal(done, apply(part.astype(np.uint8), step, **settings))
        one = apply(both, step, classes=[1], **settings)
        assert np.array_equal(one[[0, 2]], both[[0, 2]])
        assert np.array_equal(one[1], together[1])


@pytest.mark.parametrize("array", degenerate(), ids=lambda array: f"{array.shape} {array.dtype} {array.sum()}")
def test_degenerate_arrays_pass(array):
    before = array.copy()
    everything = PostProcess({"largest_component": {}, "min_size": {"size": 1}, "fill_holes": {}, "watershed": {}})
    done = everything(array)
    assert np.array_equal(array, before)  # the input stays as it is
    assert np.array_equal(done, before)
    assert done.dtype == array.dtype
    assert not PostProcess({"min_size": {"size": 10_000}})(array).any()
    named = {"classes": [0], "line": 1} if array.dtype != bool else {}
    assert PostProcess({"watershed": named})(array).shape == array.shape


def test_nothing_is_done_without_steps_or_to_absent_classes():
    labels = blobs((40, 37), 0)
    assert np.array_equal(PostProcess({})(labels), labels)
    for step, settings in {
        "largest_component": {},
        "min_size": {"size": 99},
        "fill_holes": {},
        "watershed": {},
    }.items():
        assert np.array_equal(apply(labels, step, classes=[7], **settings), labels)


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        ({"fill_hole": {}}, "did you mean 'fill_holes'"),
        ({"min_size": {}}, "min_size has no size"),
        ({"min_size": {"size": -1}}, "min_size.size=-1 must be a number of at least 0"),
        ({"min_size": {"siez": 1}}, "min_size.siez: no such setting"),
        ({"min_size": {"size": 1, "unit": "cm"}}, "'cm' is not one of"),
        ({"largest_component": {"classes": []}}, "must list one or more classes"),
        ({"largest_component": {"connectivity": "face"}}, "did you mean 'faces'"),
        ({"watershed": {"depth": 0}}, "watershed.depth=0 would split"),
        ({"watershed": {"classes": [1], "line": 1}}, "is itself among classes"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused(steps, sentence):
    with pytest.raises(ValueError, match=sentence):
        PostProcess(steps)


@pytest.mark.parametrize(
    ("steps", "array", "spacing", "sentence"),
    [
        ({"min_size": {"size": 3, "unit": "mm"}}, np.ones((4, 4), int), None, "size of a pixel is not known"),
        ({}, np.ones((4, 4), int), (1.0,), "one size above 0 for each of 2 axes"),
        ({}, np.ones((4, 4)), None, "cannot be post-processed"),
        ({}, np.ones((4, 4), bool), None, "cannot be post-processed"),
        ({"fill_holes": {"classes": [0]}}, np.ones((4, 4), int), None, "class 0, the background"),
        ({"watershed": {"classes": [0]}}, np.ones((4, 4), int), None, "class 0, the background"),
        ({"fill_holes": {"classes": [2]}}, np.ones((2, 4, 4), bool), None, "classes: region=2 is not one of"),
        ({"watershed": {"line": 1}}, np.ones((2, 4, 4), bool), None, "lines are outside of them"),
    ],
    ids=str,
)
def test_arrays_that_do_not_fit_are_refused(steps, array, spacing, sentence):
    with pytest.raises(ValueError, match=sentence):
        PostProcess(steps)(array, spacing)


def test_steps_are_told_in_words():
    assert in_words({}) == "none"
    assert (
        in_words({"fill_holes": {}, "min_size": {"size": 30, "unit": "mm"}})
        == "fill_holes, min_size (size=30, unit=mm)"
    )
