import numpy as np

from segexp.evaluation.worst_cases import _plane, worst_cases
from segexp.metrics import CaseScores


def test_cases_are_ranked_by_the_mean_of_their_defined_classes():
    nan = float("nan")
    table = [
        CaseScores(0, "a", {"dice": 0.9, "hd95_mm": 1.0}),
        CaseScores(0, "b", {"dice": nan, "hd95_mm": 9.0}),
        CaseScores(1, "a", {"dice": 0.4, "hd95_mm": 2.0}),
        CaseScores(1, "b", {"dice": 0.6, "hd95_mm": 2.0}),
        CaseScores(2, "a", {"dice": nan, "hd95_mm": nan}),
        CaseScores(3, "a", {"dice": 0.5}),
    ]
    assert worst_cases(table, "dice", 8) == [(1, 0.5), (3, 0.5), (0, 0.9)]
    assert worst_cases(table, "hd95_mm", 1, higher_is_better=False) == [(0, 5.0)]
    assert worst_cases(table, "dice", 0) == []


def test_of_a_volume_the_slice_with_most_wrong_voxels_is_shown():
    target = np.zeros((4, 5, 6), np.uint8)
    target[1] = 255
    target[2, 1:3] = 1
    maps = np.stack([np.ones((4, 5, 6)), np.zeros((4, 5, 6))])
    image = np.arange(120.0).reshape(1, 4, 5, 6)
    shown = _plane(image, target, maps)
    assert np.array_equal(shown[0], image[:, 2:3])
    assert np.array_equal(shown[1], target[2:3])
    assert shown[2].shape == (2, 1, 5, 6)
