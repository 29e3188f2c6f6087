"""Post-processing chosen on real labels."""

import numpy as np
import pytest
import torch
from scipy import stats

from segexp.build import build_data
from segexp.config import compose, plain
from segexp.evaluation.rescoring import LabelScorer, Predictions
from segexp.evaluation.tuning import Tuner, gain, grid
from segexp.metrics import ObjectScores, OverlapScores, PartitionScores, RankingScores, certain_probs
from segexp.postprocessing.postprocess import PostProcess
from tests.conftest import SMALL


@pytest.fixture(scope="module")
def scorer() -> LabelScorer:
    """Twelve synthetic cases with a truth."""
    words = [*SMALL, "name=test", "data.source.count=15", "data.split.val=0-11", "data.split.test=12"]
    data = build_data(plain(compose(words)))
    data.setup()
    return LabelScorer(data, data.cases("val"))


def certain(labels: np.ndarray) -> torch.Tensor:
    return certain_probs(torch.from_numpy(labels.astype(np.int64)), 2)[None]


def tuner(scorer: LabelScorer, labels: list[np.ndarray], figure: str = "dice") -> Tuner:
    """A tuner of labels in place of a network's predictions."""
    predictions = Predictions(False, [])
    for index, array in enumerate(labels):
        probs = certain(array)
        predictions.on_test_batch_end(None, None, {"probs": probs}, {"case_index": torch.tensor([index])})
    metrics = [RankingScores(["interior", "membrane"]), OverlapScores(["interior", "membrane"])]
    metrics.append(ObjectScores(["interior", "membrane"]))
    for metric in metrics:
        for index, array in enumerate(labels):
            target = torch.from_numpy(scorer.cases[index].target.astype(np.int64))[None]
            metric.update(certain(array), target, torch.tensor([index]))
    return Tuner(metrics, scorer, predictions, f"val/{figure}", {})


def speckled(scorer: LabelScorer, cases: int) -> list[np.ndarray]:
    """The truth, but for specks of 4 pixels inside the cells of the first cases."""
    found = []
    for index, case in enumerate(scorer.cases):
        labels = case.target.copy()
        for row in range(4, 44, 6):
            for column in range(4, 44, 6):
                if index < cases and not case.target[row - 3 : row + 5, column - 3 : column + 5].any():
                    labels[row : row + 2, column : column + 2] = 1
        found.append(labels)
    return found


def test_a_step_that_helps_in_all_cases_is_kept_with_its_best_setting(scorer):
    labels = speckled(scorer, cases=12)
    tuning = tuner(scorer, labels).run()
    assert tuning.kept
    assert tuning.after > tuning.before
    assert tuning.steps["min_size"].alone[0].low > 0
    first = tuning.steps["largest_component"]
    assert first.on_top.low == max(trial.low for trial in first.alone)
    clean = scorer.processed(labels, tuning.kept)
    wrong = [
        sum((array != case.target).sum() for array, case in zip(arrays, scorer.cases, strict=True))
        for arrays in (labels, clean)
    ]
    assert wrong[1] < wrong[0]
    assert tuning.steps["fill_holes"].kept is False  # the best that holes can do is nothing


def test_a_step_that_helps_in_one_case_is_chance(scorer):
    labels = speckled(scorer, cases=1)
    tuning = tuner(scorer, labels).run()
    assert tuning.kept == {}
    assert tuning.steps["min_size"].alone[0].gain > 0
    assert tuning.after == tuning.before


def test_perfect_labels_keep_nothing_and_watershed_is_tried_for_objects(scorer):
    tuning = tuner(scorer, [case.target for case in scorer.cases], "object_f1").run()
    assert tuning.kept == {}
    assert tuning.before == 1
    assert list(tuning.steps) == ["largest_component", "min_size", "fill_holes", "watershed"]


def test_steps_are_tried_on_what_the_metric_scores():
    names = ["background", "nucleus", "border"]
    of_nuclei = grid(ObjectScores(names, only=["nucleus"]), [1, 2])
    assert {tuple(one["classes"]) for tried in of_nuclei.values() for one in tried} == {(1,)}
    of_cells = grid(PartitionScores(boundary_class=1), [1])
    assert of_cells["watershed"][0] == {"depth": 1.0, "classes": [0], "line": 1}
    assert "watershed" not in grid(OverlapScores(names), [1, 2])
    for metric, parts in ((OverlapScores(names), [1, 2]), (ObjectScores(names, only=["border"]), [1, 2])):
        for step, tried in grid(metric, parts).items():
            for settings in tried:
                assert PostProcess({step: settings})(np.ones((4, 4), np.uint8)).shape == (4, 4)


def test_a_figure_of_probabilities_chooses_nothing(scorer):
    with pytest.raises(ValueError, match=r"val/roc_auc is not measured .* give monitor=val/<one of dice, iou"):
        tuner(scorer, [case.target for case in scorer.cases], "roc_auc")


def test_the_interval_of_few_cases_is_students():
    rng = np.random.default_rng(2)
    before, after = rng.random(6), rng.random(6)
    found = gain(dict(zip("abcdef", before, strict=True)), dict(zip("abcdef", after, strict=True)), 1.0, 0.99)
    truth = stats.ttest_1samp(after - before, 0).confidence_interval(0.99)
    assert (found.low, found.high) == pytest.approx((truth.low, truth.high))
    falls = gain(dict(zip("abcdef", before, strict=True)), dict(zip("abcdef", after, strict=True)), -1.0, 0.99)
    assert falls.low == pytest.approx(-truth.high)
    assert np.isnan(gain({"a": 0.1}, {"a": 0.9}, 1.0, 0.95).low)  # one case proves nothing
    assert gain({"a": 0.1, "b": np.nan}, {"a": np.nan, "b": 0.9}, 1.0, 0.95).cases == 0
