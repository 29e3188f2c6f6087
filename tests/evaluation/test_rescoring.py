import numpy as np
import pytest
import torch
from skimage.measure import label

from segexp.build import build_data
from segexp.config import compose, plain
from segexp.evaluation.rescoring import LabelScorer, Predictions, rescored
from segexp.metrics import (
    CalibrationScores,
    DecisionRule,
    ObjectScores,
    OverlapScores,
    PartitionScores,
    object_scores,
)
from tests.conftest import SMALL
from tests.data.test_datamodule import Numbered, ready

NAMES = ["interior", "membrane"]
STEPS = {"min_size": {"size": 30}}


@pytest.fixture(scope="module")
def scorer() -> LabelScorer:
    data = build_data(plain(compose([*SMALL, "name=test"])))
    data.setup()
    return LabelScorer(data, data.cases("test"))


@pytest.fixture
def scored(scorer):
    """Metrics that have scored noisy probabilities of all cases, and the labels of these."""
    generator = torch.Generator().manual_seed(0)
    metrics = [OverlapScores(NAMES), CalibrationScores(NAMES), PartitionScores(thresholds=[0.4, 0.6])]
    metrics[2].chosen = {"threshold": 0.6}
    predictions = Predictions(False, [DecisionRule(1, 0.6)])
    for index, case in enumerate(scorer.cases):
        target = torch.from_numpy(case.target.astype(np.int64))[None]
        membrane = (0.3 + 0.4 * target + 0.4 * torch.rand(target.shape, generator=generator)).clamp(0, 1)
        probs = torch.stack([1 - membrane, membrane], dim=1)
        for metric in metrics:
            metric.update(probs, target, torch.tensor([index]))
        predictions.on_test_batch_end(None, None, {"probs": probs}, {"case_index": torch.tensor([index])})
    return metrics, predictions


def test_steps_change_scores_of_labels_and_leave_those_of_probabilities(scorer, scored):
    metrics, predictions = scored
    result = rescored(metrics, scorer, predictions, STEPS)
    overlap, calibration, partition = metrics
    cleaned = scorer.processed(predictions.by(DecisionRule()), STEPS)
    wanted = scorer.score(overlap, cleaned)
    assert [row.scores["dice"] for row in result.rows if "dice" in row.scores] == [
        row.scores["dice"] for row in wanted.rows
    ]
    assert wanted.overall["dice_pooled_membrane"] != overlap.compute().overall["dice_pooled_membrane"]
    assert result.scores["ece_pooled_membrane"] == calibration.compute().overall["ece_pooled_membrane"]
    assert result.curves == calibration.compute().curves
    assert result.scores["v_rand"] != pytest.approx(np.mean([row.scores["v_rand"] for row in partition.compute().rows]))


def test_maxima_over_thresholds_are_left_out_and_the_protocol_names_the_steps(scorer, scored):
    metrics, predictions = scored
    result = rescored(metrics, scorer, predictions, STEPS)
    assert "v_rand_max" not in result.scores
    assert "v_rand_max" not in result.info
    assert result.scores["threshold"] == result.chosen["threshold"] == 0.6
    assert result.info["v_rand"].protocol.endswith("; labels post-processed: min_size (size=30)")
    assert "post-processed" not in result.info["ece"].protocol


def test_without_steps_labels_score_as_their_probabilities(scorer, scored):
    metrics, predictions = scored
    result = rescored(metrics, scorer, predictions, {})
    plain_rows = {(row.case, row.label): row.scores for metric in metrics[::2] for row in metric.compute().rows}
    for row in result.rows:
        for name, value in plain_rows[row.case, row.label].items():
            assert row.scores[name] == pytest.approx(value, nan_ok=True)


def test_true_objects_keep_their_numbers():
    data = ready(source=Numbered(), spacing=[0.5, 0.5])
    scorer = LabelScorer(data, data.cases("test"))
    (row, *_) = scorer.score(ObjectScores(NAMES), [case.target for case in scorer.cases]).rows
    case = scorer.cases[0]
    wanted = object_scores(label(case.target, connectivity=1), case.instances)
    assert row.scores == wanted
    assert wanted["object_f1"] < 1
