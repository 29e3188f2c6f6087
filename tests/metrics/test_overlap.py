import math

import pytest
import torch
from sklearn.metrics import recall_score
from torch.nn.functional import one_hot
from torchmetrics.functional.classification import (
    multiclass_f1_score,
    multiclass_fbeta_score,
    multiclass_jaccard_index,
    multiclass_precision,
    multiclass_recall,
    multiclass_specificity,
    multilabel_f1_score,
    multilabel_jaccard_index,
    multilabel_precision,
    multilabel_recall,
    multilabel_specificity,
)
from torchmetrics.functional.segmentation import dice_score, generalized_dice_score

from segexp.metrics import OverlapScores

NAMES = ["background", "cup", "disc"]


def probs_of(pred, classes):
    """Probabilities whose argmax is `pred` (B, *S)."""
    return one_hot(pred, classes).movedim(-1, 1).float()


def scored(pred, target, names=NAMES, **options):
    metric = OverlapScores(names, **options)
    metric.update(probs_of(pred, len(names)), target, torch.arange(len(pred)))
    return metric.compute()


def test_four_pixels_by_hand():
    pred, target = torch.tensor([[[1, 1, 0, 0]]]), torch.tensor([[[1, 0, 1, 0]]])
    (row,) = scored(pred, target, ["background", "vessel"]).rows
    ratios = {"dice": 0.5, "iou": 1 / 3, "precision": 0.5, "recall": 0.5, "specificity": 0.5, "volume_difference": 0.0}
    assert (row.case, row.label, row.scores) == (0, "vessel", ratios)
    assert next(iter(ratios)) == next(iter(OverlapScores(["background", "vessel"]).info))  # what is watched


def test_precision_and_recall_are_not_mixed_up():
    pred, target = torch.tensor([[[1, 1, 1, 1]]]), torch.tensor([[[1, 0, 0, 0]]])
    (row,) = scored(pred, target, ["background", "vessel"]).rows
    assert (row.scores["precision"], row.scores["recall"]) == (0.25, 1.0)
    assert (row.scores["specificity"], row.scores["volume_difference"]) == (0.0, 3.0)


@pytest.mark.parametrize("size", [(9, 7), (5, 6, 4)])
def test_agrees_with_torchmetrics_in_two_and_three_dimensions(size):
    generator = torch.Generator().manual_seed(1)
    pred, target = (torch.randint(0, 3, (4, *size), generator=generator) for _ in range(2))
    target[torch.rand(target.shape, generator=generator) < 0.2] = 255
    rows = scored(pred, target).rows
    assert [(row.case, row.label) for row in rows] == [(c, name) for c in range(4) for name in NAMES[1:]]
    truth = {
        "iou": multiclass_jaccard_index,
        "precision": multiclass_precision,
        "recall": multiclass_recall,
        "specificity": multiclass_specificity,
    }
    for metric, function in truth.items():
        for case in range(4):
            expected = function(pred[case], target[case], num_classes=3, average=None, ignore_index=255)[1:]
            found = [row.scores[metric] for row in rows if row.case == case]
            assert found == pytest.approx(expected.tolist(), abs=1e-6)


def test_dice_agrees_with_monai_also_where_a_class_is_absent():
    compute_dice = pytest.importorskip("monai.metrics").compute_dice
    generator = torch.Generator().manual_seed(2)
    pred, target = (torch.randint(0, 3, (3, 8, 8), generator=generator) for _ in range(2))
    pred[0] %= 2  # no disc, in truth and prediction
    target[0] %= 2
    target[1] %= 2  # a disc in the prediction only
    expected = compute_dice(probs_of(pred, 3), probs_of(target, 3), include_background=False, ignore_empty=False)
    found = torch.tensor([row.scores["dice"] for row in scored(pred, target).rows]).view(3, 2)
    assert math.isnan(found[0, 1])
    assert expected[0, 1] == 1  # monai's word for what is undefined here
    assert found[1, 1] == expected[1, 1] == 0
    found[0, 1] = 1
    torch.testing.assert_close(found, expected)


def test_pooled_dice_counts_the_pixels_of_all_cases_together():
    generator = torch.Generator().manual_seed(3)
    pred, target = (torch.randint(0, 3, (5, 6, 6), generator=generator) for _ in range(2))
    pooled = scored(pred, target).overall
    expected = multiclass_f1_score(pred.flatten(), target.flatten(), num_classes=3, average=None)
    assert pooled == pytest.approx(
        {"dice_pooled_cup": expected[1].item(), "dice_pooled_disc": expected[2].item()}, abs=1e-6
    )


@pytest.mark.parametrize(
    ("pred", "target", "dice", "iou", "precision", "recall", "specificity", "volume_difference"),
    [
        (0, 0, math.nan, math.nan, math.nan, math.nan, 1.0, math.nan),  # the class is nowhere
        (1, 1, 1.0, 1.0, 1.0, 1.0, math.nan, 0.0),  # it is everywhere
        (1, 0, 0.0, 0.0, 0.0, math.nan, 0.0, math.nan),  # only predicted
        (0, 1, 0.0, 0.0, math.nan, 0.0, math.nan, 1.0),  # only true
        (1, 255, *[math.nan] * 6),  # nothing counts
        (1, -1, *[math.nan] * 6),
    ],
)
@pytest.mark.parametrize("size", [(1, 1), (3, 5)])
@pytest.mark.parametrize("regions", [None, ["vessel"]])
def test_degenerate_cases(pred, target, dice, iou, precision, recall, specificity, volume_difference, size, regions):
    metric = OverlapScores(["background", "vessel"], regions)
    labels, truth = torch.full((1, *size), pred), torch.full((1, *size), target)
    metric.update(
        *((labels[None].double(), truth[None]) if regions else (probs_of(labels, 2), truth)), torch.tensor([0])
    )
    result = metric.compute()
    expected = {"dice": dice, "iou": iou, "precision": precision, "recall": recall, "specificity": specificity}
    expected["volume_difference"] = volume_difference
    (row,) = result.rows
    assert (row.case, row.label) == (0, "vessel")
    assert row.scores == pytest.approx(expected, nan_ok=True)
    assert result.overall["dice_pooled_vessel"] == pytest.approx(dice, nan_ok=True)
    assert result.chosen == {}


@pytest.mark.parametrize("regions", [None, ["cup", "disc"]])
def test_specificity_and_volume_agree_with_monai_and_scikit_learn(regions):
    confusion = pytest.importorskip("monai.metrics").get_confusion_matrix
    generator = torch.Generator().manual_seed(5)
    pred, target = (torch.randint(0, 3, (4, 6, 5, 3), generator=generator) for _ in range(2))
    target[0] %= 2  # no disc in the truth
    probs, truth = probs_of(pred, 3), probs_of(target, 3)
    metric = OverlapScores(NAMES, regions)
    metric.update(*((probs[:, 1:], truth[:, 1:]) if regions else (probs, target)), torch.arange(4))
    rows = metric.compute().rows
    tp, fp, tn, fn = confusion(probs, truth, include_background=False).view(8, 4).double().T
    torch.testing.assert_close(
        metric.measured[1][:, :, 0, :4].reshape(8, 4).double(), torch.stack([tp, fp, fn, tn], dim=1)
    )
    found = torch.tensor([row.scores["volume_difference"] for row in rows], dtype=torch.float64)
    volumes, true_volumes = ((labels.flatten(2).sum(2)[:, 1:]).double() for labels in (probs, truth))
    torch.testing.assert_close(
        found.view(4, 2),
        ((volumes - true_volumes).abs() / true_volumes).where(true_volumes > 0, math.nan),
        equal_nan=True,
    )
    for row in rows:
        label = NAMES.index(row.label)
        masks = [(labels[row.case] == label).flatten() for labels in (target, pred)]
        assert row.scores["specificity"] == pytest.approx(recall_score(*masks, pos_label=False))


def test_ignored_pixels_do_not_change_the_score():
    generator = torch.Generator().manual_seed(4)
    pred, target = (torch.randint(0, 3, (1, 6, 6), generator=generator) for _ in range(2))
    wide_pred, wide_target = torch.cat([pred, 2 - pred], dim=1), torch.cat([target, torch.full_like(target, 9)], dim=1)
    assert scored(wide_pred, wide_target, ignore_index=9) == scored(pred, target)


def test_a_target_in_bytes_is_left_as_it_is():
    target = torch.tensor([[[0, 1], [2, 1]]], dtype=torch.uint8)
    metric, kept = OverlapScores(NAMES), target.clone()
    metric.measure(probs_of(torch.tensor([[[0, 1], [2, 2]]]), 3), target, torch.ones(1, 2))
    assert torch.equal(target, kept)


def test_exact_beyond_what_float32_can_count():
    side = 4097  # side² > 2^24
    probs = torch.zeros(1, 2, side, side, dtype=torch.bfloat16)
    probs[:, 1] = 1
    target = torch.ones(1, side, side, dtype=torch.int64)
    target[0, 0, 0] = 0
    metric = OverlapScores(["background", "vessel"])
    metric.update(probs, target, torch.tensor([0]))
    (row,) = metric.compute().rows
    assert row.scores["precision"] == (side**2 - 1) / side**2
    assert row.scores["dice"] == 2 * (side**2 - 1) / (2 * side**2 - 1)


def test_a_channel_without_name_is_refused():
    with pytest.raises(ValueError, match=r"probs have 4 channels but there are 3 classes"):
        OverlapScores(NAMES).update(torch.rand(1, 4, 2, 2), torch.zeros(1, 2, 2), torch.tensor([0]))


def test_a_target_without_name_is_refused():
    with pytest.raises(ValueError, match=r"target holds class 3 but .* ignore_index=255"):
        scored(torch.zeros(1, 2, 2, dtype=torch.int64), torch.full((1, 2, 2), 3))


def test_a_single_class_is_refused():
    with pytest.raises(ValueError, match="number of class_names=1"):
        OverlapScores(["vessel"])


def test_every_figure_has_its_protocol():
    result = scored(torch.zeros(1, 2, 2, 2, dtype=torch.int64), torch.zeros(1, 2, 2, 2, dtype=torch.int64))
    figures = set(result.rows[0].scores) | set(result.overall)
    assert set(OverlapScores(NAMES).info) == figures


REGIONS = {"whole": [1, 2], "core": [2]}


@pytest.mark.parametrize("size", [(9, 7), (5, 6, 4)])
def test_overlapping_regions_agree_with_torchmetrics(size):
    generator = torch.Generator().manual_seed(3)
    probs = torch.rand((4, 2, *size), generator=generator)
    target = torch.randint(0, 2, (4, 2, *size), generator=generator)
    target[torch.rand(target.shape, generator=generator) < 0.2] = 255
    metric = OverlapScores(NAMES, REGIONS)
    metric.update(probs, target, torch.arange(4))
    result = metric.compute()
    assert [(row.case, row.label) for row in result.rows] == [(c, name) for c in range(4) for name in REGIONS]
    truth = {
        "dice": multilabel_f1_score,
        "iou": multilabel_jaccard_index,
        "precision": multilabel_precision,
        "recall": multilabel_recall,
        "specificity": multilabel_specificity,
    }
    for name, function in truth.items():
        expected = [
            function(p[None], t[None], 2, average=None, ignore_index=255).tolist()
            for p, t in zip(probs, target, strict=True)
        ]
        found = [row.scores[name] for row in result.rows]
        assert found == pytest.approx([value for case in expected for value in case], abs=1e-6)
    pooled = multilabel_f1_score(probs, target, 2, average=None, ignore_index=255)
    assert list(result.overall.values()) == pytest.approx(pooled.tolist(), abs=1e-6)


def test_a_region_is_predicted_above_a_half_whatever_the_others_say():
    metric = OverlapScores(NAMES, ["whole", "core"])
    probs = torch.tensor([[[[0.5, 0.6, 0.9]], [[0.4, 0.9, 0.51]]]])
    target = torch.tensor([[[[1, 1, 1]], [[0, 1, 0]]]])
    metric.update(probs, target, torch.tensor([0]))
    whole, core = metric.compute().rows
    assert (whole.scores["precision"], whole.scores["recall"]) == (1.0, 2 / 3)
    assert (core.scores["precision"], core.scores["recall"]) == (0.5, 1.0)


def test_regions_have_a_protocol_of_their_own():
    protocol = {name: info.protocol for name, info in OverlapScores(NAMES, REGIONS).info.items()}
    assert set(protocol) == set(OverlapScores(NAMES).info) - {"dice_pooled_cup", "dice_pooled_disc"} | {
        "dice_pooled_whole",
        "dice_pooled_core",
    }
    assert all("region" in text and "probability is above 0.5" in text for text in protocol.values())
    assert "argmax" in OverlapScores(NAMES).info["dice"].protocol


def test_targets_that_are_no_regions_are_refused():
    metric, probs, case = OverlapScores(NAMES, REGIONS), torch.rand(1, 2, 2, 2), torch.tensor([0])
    with pytest.raises(ValueError, match=r"must be \(B, C, \*S\), \(B, C, \*S\) and \(B,\)"):
        metric.update(probs, torch.zeros(1, 2, 2), case)
    with pytest.raises(ValueError, match="target holds 2 but regions"):
        metric.update(probs, torch.full((1, 2, 2, 2), 2), case)
    with pytest.raises(ValueError, match="3 channels but there are 2 regions"):
        metric.update(torch.rand(1, 3, 2, 2), torch.zeros(1, 3, 2, 2), case)
    with pytest.raises(ValueError, match="number of regions"):
        OverlapScores(NAMES, [])


def random_labels(cases=4, classes=3, seed=3):
    generator = torch.Generator().manual_seed(seed)
    pred, target = (torch.randint(0, classes, (cases, 9, 7), generator=generator) for _ in range(2))
    target[torch.rand(target.shape, generator=generator) < 0.4] = 1  # one class is frequent
    return pred, target


@pytest.mark.parametrize("beta", [0.5, 2, 3.0])
def test_f_scores_agree_with_torchmetrics(beta):
    pred, target = random_labels()
    result = scored(pred, target, betas=[beta])
    for case in range(4):
        expected = multiclass_fbeta_score(pred[case], target[case], beta=float(beta), num_classes=3, average=None)[1:]
        found = [row.scores[f"f{beta:g}"] for row in result.rows if row.case == case]
        assert found == pytest.approx(expected.tolist(), abs=1e-6)


def test_an_f_score_by_hand():
    pred, target = torch.tensor([[[1, 1, 1, 0]]]), torch.tensor([[[1, 0, 0, 0]]])  # precision 1/3, recall 1
    metric = OverlapScores(["background", "vessel"], betas=[2])
    metric.update(probs_of(pred, 2), target, torch.tensor([0]))
    assert metric.compute().rows[0].scores["f2"] == pytest.approx(5 * 1 / 3 / (4 / 3 + 1))
    assert metric.info["f2"].protocol.startswith("(1 + 4) TP / ((1 + 4) TP + 4 FN + FP), F-score of beta 2, per case")


@pytest.mark.filterwarnings("ignore:dice_score metric currently defaults")
@pytest.mark.parametrize("average", ["micro", "weighted"])
def test_averages_of_dice_agree_with_torchmetrics(average):
    pred, target = random_labels()
    expected = dice_score(pred, target, num_classes=3, include_background=False, average=average, input_format="index")
    found = scored(pred, target, dice_averages=[average]).overall[f"dice_{average}"]
    assert found == pytest.approx(float(expected.mean()), abs=1e-6)


def test_the_generalized_dice_agrees_with_torchmetrics_and_monai():
    compute_generalized_dice = pytest.importorskip("monai.metrics").compute_generalized_dice
    pred, target = random_labels(classes=4)
    names = ["background", "a", "b", "c"]
    found = scored(pred, target, names, dice_averages=["generalized"]).overall["dice_generalized"]
    theirs = generalized_dice_score(
        pred, target, num_classes=4, include_background=False, per_class=False, input_format="index"
    )
    assert found == pytest.approx(float(theirs.mean()), abs=1e-5)
    theirs = compute_generalized_dice(probs_of(pred, 4), probs_of(target, 4), False, sum_over_classes=True)
    assert found == pytest.approx(float(theirs.mean()), abs=1e-5)


def test_an_absent_class_weighs_as_the_rarest_present_one_as_in_monai():
    compute_generalized_dice = pytest.importorskip("monai.metrics").compute_generalized_dice
    pred, target = random_labels(cases=1, classes=4)
    target[target == 2] = 0
    names = ["background", "a", "b", "c"]
    found = scored(pred, target, names, dice_averages=["generalized"]).overall["dice_generalized"]
    theirs = compute_generalized_dice(probs_of(pred, 4), probs_of(target, 4), False, sum_over_classes=True)
    assert found == pytest.approx(float(theirs.mean()), abs=1e-5)


def test_averages_leave_out_cases_without_any_class_and_count_inventions_as_zero():
    averages = ["micro", "weighted", "generalized"]
    pred, target = torch.zeros(3, 1, 4, dtype=torch.int64), torch.zeros(3, 1, 4, dtype=torch.int64)
    pred[1] = 1  # invented
    pred[2] = target[2] = torch.tensor([[1, 1, 2, 0]])
    found = scored(pred, target, dice_averages=averages).overall
    assert [found[f"dice_{average}"] for average in averages] == [0.5] * 3  # of case 1 and 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"betas": [0]}, r"betas=\[0\] must be above 0"),
        ({"betas": [2, 2.0]}, "each once"),
        ({"betas": ["2"]}, "beta='2' must be a number"),
        ({"dice_averages": ["macro"]}, "dice_averages='macro' is not one of"),
    ],
)
def test_refuses_unknown_averages_and_betas(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        OverlapScores(NAMES, **options)
