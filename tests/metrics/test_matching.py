"""Matching numbered objects, against MONAI, torchmetrics and an exhaustive search."""

from itertools import permutations

import numpy as np
import pytest
import torch
from skimage.measure import label
from torchmetrics.functional.detection import panoptic_quality

from segexp.metrics import ObjectScores, match_objects, object_scores

pytestmark = pytest.mark.filterwarnings("ignore:monai.metrics.utils:FutureWarning")  # of what monai 1.6 calls itself


def cells(seed, size=(24, 24), count=9):
    """(*S) int32: discs that touch, each with a number, which come in no order and with gaps."""
    rng = np.random.default_rng(seed)
    numbers = rng.permutation(np.arange(1, 3 * count))[:count]
    mask = np.zeros(size, dtype=np.int32)
    places = np.indices(size)
    for number in numbers:
        center, radius = [rng.integers(0, side) for side in size], rng.uniform(2, 5)
        mask[sum((axis - c) ** 2 for axis, c in zip(places, center, strict=True)) < radius**2] = number
    return mask


def moved(mask, seed):
    """The same objects, shifted, with other numbers, some lost and some split."""
    rng = np.random.default_rng(seed)
    shifted = np.roll(mask, rng.integers(-1, 2), axis=0)
    lost = rng.choice(np.unique(mask))
    halves = np.where(np.indices(mask.shape)[1] % 7 == 0, 100, 0)
    return np.where((shifted == 0) | (shifted == lost), 0, shifted + halves).astype(np.int32)


def iou_table(pred, truth):
    rows, columns = (np.unique(mask[mask > 0]) for mask in (truth, pred))
    table = [[((truth == i) & (pred == j)).sum() / ((truth == i) | (pred == j)).sum() for j in columns] for i in rows]
    return np.array(table).reshape(len(rows), len(columns))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("threshold", [0.2, 0.4, 0.5, 0.7])
def test_matches_and_their_iou_agree_with_monai(seed, threshold):
    compute = pytest.importorskip("monai.metrics").panoptic_quality.compute_panoptic_quality
    truth = cells(seed)
    pred = moved(truth, seed)
    pairs = match_objects(pred, truth, threshold)
    numbered = [torch.from_numpy(np.unique(mask, return_inverse=True)[1].reshape(mask.shape)) for mask in (pred, truth)]
    tp, fp, fn, iou = compute(*numbered, match_iou_threshold=threshold, output_confusion_matrix=True).tolist()
    assert len(pairs.iou) == tp
    assert float(pairs.iou.sum()) == pytest.approx(iou, rel=1e-6)
    assert (len(np.unique(truth)) - 1 - tp, len(np.unique(pred)) - 1 - tp) == (fn, fp)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.3])
def test_there_are_as_many_pairs_as_there_can_be(seed, threshold):
    truth, pred = cells(seed, (9, 9), 4), cells(seed + 100, (9, 9), 5)
    table = iou_table(pred, truth)
    if len(table) > len(table[0]):
        table = table.T
    options = [table[range(len(table)), list(chosen)] for chosen in permutations(range(table.shape[1]), len(table))]
    best = max(((iou > threshold).sum(), iou[iou > threshold].sum()) for iou in options)
    pairs = match_objects(pred, truth, threshold)
    assert (len(pairs.iou), float(pairs.iou.sum())) == (best[0], pytest.approx(best[1]))
    assert len(np.unique(pairs.truth)) == len(np.unique(pairs.pred)) == len(pairs.iou)


def test_pairs_carry_the_numbers_of_the_masks():
    truth, pred = np.array([[7, 7, 7, 0, 300, 300]]), np.array([[9, 9, 0, 0, 4, 4]])
    pairs = match_objects(pred, truth)
    assert (pairs.truth.tolist(), pairs.pred.tolist()) == ([7, 300], [9, 4])
    assert pairs.iou.tolist() == pytest.approx([2 / 3, 1])


def test_more_pairs_are_better_than_one_good_one():
    truth = np.array([[1, 1, 1, 1, 1, 2, 2, 2]])
    pred = np.array([[3, 3, 4, 4, 4, 4, 4, 4]])  # 1 and 3: 2/5, 1 and 4: 3/8, 2 and 4: 3/6
    assert match_objects(pred, truth, 0.3).pred.tolist() == [3, 4]


def test_monai_takes_the_greatest_sum_of_iou_though_it_makes_fewer_pairs():
    compute = pytest.importorskip("monai.metrics").panoptic_quality.compute_panoptic_quality
    truth = np.array([[1] * 10 + [2] * 2])
    pred = np.array([[2] + [1] * 11])  # 1 and 1: 9/12, 1 and 2: 1/10, 2 and 1: 2/11
    tensors = [torch.from_numpy(mask) for mask in (pred, truth)]
    assert compute(*tensors, match_iou_threshold=0.05, output_confusion_matrix=True)[0] == 1
    assert match_objects(pred, truth, 0.05).pred.tolist() == [2, 1]


@pytest.mark.parametrize("seed", range(4))
def test_touching_objects_are_told_apart_by_their_numbers_as_components_are_not(seed):
    truth = cells(seed)
    pred = moved(truth, seed)
    found = object_scores(pred, truth)
    targets = [torch.from_numpy(np.stack([(mask > 0).astype(np.int64), mask], axis=-1)[None]) for mask in (pred, truth)]
    assert found["object_pq"] == pytest.approx(
        float(panoptic_quality(*targets, things={1}, stuffs={0}, return_per_class=True)[0, 0])
    )
    assert object_scores(label(pred > 0, connectivity=1), label(truth > 0, connectivity=1)) != found


def test_panoptic_quality_per_class_agrees_with_torchmetrics():
    truth = cells(3)
    pred = moved(truth, 3)
    of_truth, of_pred = np.where(truth > 0, 1 + truth % 2, 0), np.where(pred > 0, 1 + pred % 2, 0)
    targets = [
        torch.from_numpy(np.stack([classes, mask], axis=-1)[None].astype(np.int64))
        for classes, mask in ((of_pred, pred), (of_truth, truth))
    ]
    expected = panoptic_quality(*targets, things={1, 2}, stuffs={0}, return_per_class=True)[0, :2]
    found = [
        object_scores(np.where(of_pred == k, pred, 0), np.where(of_truth == k, truth, 0))["object_pq"] for k in (1, 2)
    ]
    assert found == pytest.approx(expected.tolist())


def test_components_score_as_the_metric_of_a_run_scores_them():
    pred, truth = (torch.from_numpy((cells(seed) > 0).astype(np.int64))[None] for seed in (1, 2))
    thresholds = [0.1, 0.3, 0.5]
    metric = ObjectScores(["background", "cell"], thresholds=thresholds)
    metric.update(torch.nn.functional.one_hot(pred, 2).movedim(-1, 1).float(), truth, torch.tensor([0]))
    (row,) = metric.compute().rows
    assert row.scores == object_scores(*(label(mask[0].numpy(), connectivity=1) for mask in (pred, truth)), thresholds)
    assert row.scores["object_f1"] > 0


def test_masks_without_objects():
    empty, one = np.zeros((3, 3), dtype=np.uint8), np.eye(3, dtype=np.uint8)
    assert all(np.isnan(value) for value in object_scores(empty, empty).values())
    assert (
        object_scores(one, empty)
        == object_scores(empty, one)
        == dict.fromkeys(("object_f1", "object_ap", "object_pq"), 0)
    )
    assert len(match_objects(empty, one).iou) == 0


@pytest.mark.parametrize(
    ("pred", "threshold", "sentence"),
    [
        (np.zeros((2, 3)), 0.5, "pred of float64 must be a NumPy array of integers"),
        (torch.zeros(2, 3, dtype=torch.int64), 0.5, "pred of torch.int64 must be a NumPy array"),
        (np.full((2, 3), -1), 0.5, "pred of int64 must be"),
        (np.zeros((3, 2), dtype=int), 0.5, r"pred of shape \(3, 2\) must have the shape of truth \(2, 3\)"),
        (np.zeros((2, 3), dtype=int), 1, r"thresholds=\[1\] must be one or more IoU in \[0, 1\)"),
    ],
)
def test_refuses_what_are_no_instance_masks(pred, threshold, sentence):
    with pytest.raises(ValueError, match=sentence):
        match_objects(pred, np.zeros((2, 3), dtype=int), threshold)
