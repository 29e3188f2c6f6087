"""Metrics of torchmetrics, of MONAI and of one's own, brought to the contract of ours."""

from functools import partial

import monai.metrics
import pytest
import torch
import torchmetrics
from torchmetrics import classification, segmentation
from torchmetrics.functional.segmentation import dice_score

from segexp.metrics import CalibrationScores, OverlapScores, RankingScores
from segexp.metrics.adapter import adapted
from tests.metrics.foreign import NAMES, REGIONS, cases, made, ours, scores

PER_CLASS = {
    "labels": lambda: segmentation.DiceScore(3, average="none", include_background=False, input_format="index"),
    "one-hot": lambda: segmentation.DiceScore(3, average="none", aggregation_level="global"),
    "of monai": lambda: monai.metrics.DiceMetric(include_background=False),
    "function of monai": lambda: partial(monai.metrics.compute_dice, include_background=True),
    "function": lambda: partial(dice_score, num_classes=3, average="none", input_format="index"),
    "f1": lambda: classification.MulticlassF1Score(3, average=None),
}


@pytest.mark.parametrize("name", PER_CLASS)
def test_a_dice_of_others_is_our_dice(name):
    drawn = cases()
    found, expected = scores(made(PER_CLASS[name]()), drawn), ours(drawn)
    for label in ("", "_vessel", "_nerve"):
        assert found[f"mine{label}"] == pytest.approx(expected[f"dice{label}"], abs=1e-6)


def test_one_number_of_all_classes_stands_beside_the_classes():
    drawn = cases()
    metric = made(segmentation.DiceScore(3, include_background=False, input_format="index"))
    assert metric.parts == ("all",)
    assert scores(metric, drawn)["mine"] == pytest.approx(ours(drawn)["dice"], abs=1e-6)


def test_one_number_of_monai_is_of_all_classes():
    """It has an axis of the cases and one of the classes."""
    drawn = cases()
    metric = made(monai.metrics.GeneralizedDiceScore(include_background=False))
    assert metric.parts == ("all",)
    expected = ours(drawn, partial(OverlapScores, dice_averages=["generalized"]))["dice_generalized"]
    assert scores(metric, drawn)["mine"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("metric", "score"),
    [
        (lambda: monai.metrics.ConfusionMatrixMetric(False, "sensitivity", reduction="none"), "recall"),
        (lambda: monai.metrics.ConfusionMatrixMetric(False, "precision", reduction="none"), "precision"),
        (lambda: monai.metrics.FBetaScore(include_background=False, reduction="none"), "dice"),
    ],
    ids=["recall", "precision", "f1"],
)
def test_counts_of_monai_become_its_scores(metric, score):
    drawn = cases()
    found, expected = scores(made(metric()), drawn), ours(drawn)
    for label in ("_vessel", "_nerve"):
        assert found[f"mine{label}"] == pytest.approx(expected[f"{score}{label}"], abs=1e-6)


def test_probabilities_are_given_where_they_are_asked_for():
    drawn = cases()
    ranking, error = ours(drawn, RankingScores), ours(drawn, CalibrationScores)
    auc = made(classification.MulticlassAUROC(3, average=None))
    assert scores(auc, drawn)["mine_vessel"] == pytest.approx(ranking["roc_auc_vessel"], abs=1e-5)
    assert auc.computed_from == "probabilities"
    calibration = made(classification.MulticlassCalibrationError(3))
    assert not calibration.info["mine"].higher_is_better
    assert set(error) > {"ece"}


def test_regions_are_given_as_masks_or_probabilities():
    drawn = cases(regions=True)
    expected = ours(drawn, regions=REGIONS)
    metric = made(classification.MultilabelF1Score(2, average=None), REGIONS)
    found = scores(metric, drawn)
    assert metric.computed_from == "labels"
    assert found["mine_tissue"] == pytest.approx(expected["dice_tissue"], abs=1e-6)
    auc = made(classification.MultilabelAUROC(2, average=None), REGIONS)
    assert scores(auc, drawn)["mine_nerve"] == pytest.approx(
        ours(drawn, RankingScores, REGIONS)["roc_auc_nerve"], abs=1e-5
    )
    one = adapted(classification.BinaryF1Score(), "mine", NAMES[:2], ["tissue"], 2)
    single = [(probs[:, :1], target[:, :1]) for probs, target in drawn]
    assert scores(one, single)["mine"] == pytest.approx(expected["dice_tissue"], abs=1e-6)


def test_the_direction_is_found_out_where_a_metric_does_not_tell():
    def wrong_pixels(pred, truth):
        return (pred != truth).sum()

    assert not made(wrong_pixels).info["mine"].higher_is_better
    assert made(monai.metrics.DiceMetric()).info["mine"].higher_is_better
    assert "wrong_pixels of labels, per case; averaged over cases" in made(wrong_pixels).info["mine"].protocol


@pytest.mark.parametrize("axes", [2, 3])
def test_volumes_are_tried_as_volumes(axes):
    metric = made(segmentation.MeanIoU(3, per_class=True, input_format="index"), axes=axes)
    assert metric.parts == ("vessel", "nerve")


def test_our_own_stay_as_they_are_and_others_are_left_untouched():
    own = OverlapScores(NAMES)
    assert made(own) is own
    torch.manual_seed(2)
    expected = torch.rand(1)
    torch.manual_seed(2)
    foreign = classification.MulticlassF1Score(3)
    made(foreign)
    assert torch.equal(torch.rand(1), expected)
    assert foreign.update_count == 0


class Upside(classification.MulticlassF1Score):
    higher_is_better = False


@pytest.mark.parametrize(
    ("metric", "sentence"),
    [
        (classification.MulticlassConfusionMatrix(3), r"it gives values of shape \(3, 3\), not one number or one per"),
        (torchmetrics.MetricCollection([classification.MulticlassF1Score(3)]), "it returns a dict, not one number"),
        (Upside(3), "a right prediction scores 1 and a wrong one 0, but higher_is_better=False"),
        (lambda pred, truth: torch.ones(()), "a right prediction scores 1 and a wrong one 1"),
        (lambda pred: pred, "does not go with 3 classes: given labels .*takes 1 positional argument but 2 were given"),
        (partial(dice_score, num_classes=3, input_format="mixd"), "mixd"),
        (3, "metrics.mine int cannot be called"),
        # torchmetrics 1.9 gives 6 to a square that is predicted exactly
        (segmentation.HausdorffDistance(3, input_format="index"), "a right prediction scores"),
    ],
)
def test_what_does_not_go_is_told_in_one_sentence(metric, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        made(metric)
    assert "\n" not in str(caught.value)


def test_an_axis_of_the_image_is_not_taken_for_the_classes():
    """It would be a number between 0 and 1 that is best for a right prediction, and wrong."""
    metric = made(partial(dice_score, num_classes=3, include_background=False))
    assert metric.call.form.words == "one channel per class of 0 and 1"


def test_a_region_format_that_is_none_is_refused():
    with pytest.raises(ValueError, match="DiceScore does not go with 2 regions: 'index' is no form of theirs"):
        made(segmentation.DiceScore(2, input_format="index"), REGIONS)
