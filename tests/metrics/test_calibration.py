import json
from dataclasses import asdict
from math import nan

import numpy as np
import pytest
import torch
from monai.metrics import CalibrationErrorMetric
from sklearn.calibration import calibration_curve
from torchmetrics.classification import BinaryCalibrationError

from segexp.metrics import CalibrationScores

NAMES = ["background", "a", "b"]


def draw(*size, classes=3, samples=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    probs = torch.randn(samples, classes, *size, generator=generator).mul(2).softmax(1)
    return probs, torch.randint(0, classes, (samples, *size), generator=generator)


def scored(metric, probs, target):
    metric.update(probs, target, torch.arange(len(probs)))
    return metric.compute()


@pytest.mark.parametrize("size", [(24, 17), (6, 9, 7)])
def test_errors_are_those_of_monai(size):
    probs, target = draw(*size, samples=2)
    rows = scored(CalibrationScores(NAMES, bins=10), probs, target).rows
    other = CalibrationErrorMetric(num_bins=10, include_background=False, calibration_reduction="expected")
    onehot = torch.nn.functional.one_hot(target, 3).movedim(-1, 1)
    wanted = other(probs, onehot)
    assert [row.scores["ece"] for row in rows] == pytest.approx(wanted.flatten().tolist(), abs=1e-6)
    assert [(row.case, row.label) for row in rows] == [(0, "a"), (0, "b"), (1, "a"), (1, "b")]


def test_the_diagram_is_that_of_scikit_learn_with_all_cases_counted_together():
    probs, target = draw(30, 30, samples=3)
    result = scored(CalibrationScores(NAMES), probs, target)
    for index, name in enumerate(NAMES[1:], start=1):
        flat = (target == index).flatten().numpy(), probs[:, index].flatten().double().numpy()
        share, probability = calibration_curve(*flat, n_bins=15)
        diagram = result.curves["reliability"][name]
        filled = [count for count in diagram["pixels"] if count]
        assert [value for value in diagram["share"] if value is not None] == pytest.approx(share.tolist())
        assert [value for value in diagram["probability"] if value is not None] == pytest.approx(probability.tolist())
        assert sum(filled) == target.numel()
        gaps = np.abs(share - probability) * np.array(filled)
        assert result.overall[f"ece_pooled_{name}"] == pytest.approx(gaps.sum() / target.numel())
    plain = asdict(result)
    assert json.loads(json.dumps(plain)) == plain


def test_three_pixels_by_hand_and_an_ignored_one():
    probs = torch.tensor([0.9, 0.8, 0.3, 0.0]).view(1, 1, 1, 4)
    target = torch.tensor([1, 0, 0, 255]).view(1, 1, 4)
    result = scored(CalibrationScores(["background", "a"], bins=2), torch.cat([1 - probs, probs], 1), target)
    # upper bin: mean 0.85, half true, two pixels; lower bin: 0.3, none true, one pixel
    assert result.rows[0].scores["ece"] == pytest.approx((2 * 0.35 + 1 * 0.3) / 3)
    assert result.curves["reliability"]["a"] == {
        "probability": pytest.approx([0.3, 0.85]),
        "share": [0.0, 0.5],
        "pixels": [1, 2],
    }


def test_sure_and_right_is_perfect_sure_and_wrong_the_worst():
    target = torch.tensor([[[0, 1], [1, 0]]])
    right = torch.nn.functional.one_hot(target, 2).movedim(-1, 1).float()
    rows = scored(CalibrationScores(["background", "a"]), torch.cat([right, 1 - right]), target.repeat(2, 1, 1)).rows
    assert [row.scores["ece"] for row in rows] == [0.0, 1.0]


def test_nothing_labelled_is_undefined_and_does_not_spoil_the_pool():
    probs, target = draw(8, 8, samples=2)
    target[1] = 255
    result = scored(CalibrationScores(NAMES), probs, target)
    assert result.rows[2].scores["ece"] == pytest.approx(nan, nan_ok=True)
    assert result.overall["ece_pooled_a"] == pytest.approx(result.rows[0].scores["ece"])


def test_regions_are_judged_each_for_itself():
    generator = torch.Generator().manual_seed(1)
    probs = torch.rand(1, 2, 20, 20, generator=generator)
    target = torch.randint(0, 2, probs.shape, generator=generator)
    target[0, 0, :5] = 255
    rows = scored(CalibrationScores(NAMES, regions=["whole", "part"]), probs, target).rows
    for index, row in enumerate(rows):
        single = CalibrationScores(["background", "x"])
        two = torch.stack([1 - probs[:, index], probs[:, index]], dim=1)
        assert row.scores["ece"] == pytest.approx(scored(single, two, target[:, index]).rows[0].scores["ece"])


def test_a_bin_without_pixels_is_empty():
    probs = torch.full((1, 2, 4, 4), 0.5)
    result = scored(CalibrationScores(["background", "a"], bins=4), probs, torch.zeros(1, 4, 4))
    assert result.curves["reliability"]["a"]["share"] == [None, None, 0.0, None]


def test_no_bin_is_refused():
    with pytest.raises(ValueError, match="bins=0"):
        CalibrationScores(NAMES, bins=0)


def test_of_one_class_against_background_it_is_that_of_torchmetrics():
    probs, target = draw(40, 30, classes=2)
    row = scored(CalibrationScores(["background", "a"]), probs, target).rows[0]
    other = BinaryCalibrationError(n_bins=15, norm="l1")
    assert row.scores["ece"] == pytest.approx(float(other(probs[:, 1].flatten(), target.flatten())), abs=1e-6)
