"""Counts along the slices against a plain loop over slices, by hand, and as the metric reports them."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from segexp.metrics import OverlapScores
from segexp.metrics.positions import BINS, COUNTS, count_by_position

NAMES = ["background", "front", "back"]


def scored(pred, target, regions=None, **options):
    metric = OverlapScores(NAMES, regions, **options)
    probs = pred.float() if regions else one_hot(pred, len(NAMES)).movedim(-1, 1).float()
    metric.update(probs, target, torch.arange(len(pred)))
    return metric


def plainly(pred, target):
    """Dice and slices of each tenth of one class of one volume, (D, H, W) bool each, slice by slice in NumPy."""
    occupied = [z for z in range(len(pred)) if pred[z].any() or target[z].any()]
    tenths = [[] for _ in range(10)]
    for rank, z in enumerate(occupied):
        tenths[int(10 * (rank + 0.5) / len(occupied))].append(z)
    return [(dice(pred[z], target[z]), list(z), wrong(pred[z], target[z])) for z in tenths]


def dice(pred, target):
    whole = int(pred.sum()) + int(target.sum())
    return 2 * int((pred & target).sum()) / whole if whole else math.nan


def wrong(pred, target):
    there = pred.any(axis=(1, 2)), target.any(axis=(1, 2))
    return int((there[0] & ~there[1]).sum()), int((there[1] & ~there[0]).sum())


def volumes(seed, depth):
    """Two volumes of blobs that occupy some of the slices, others in the prediction than in the truth."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (2, 2, depth, 5, 4))
    labels[rng.random((2, 2, depth)) < 0.3] = 0
    return torch.from_numpy(labels[0]), torch.from_numpy(labels[1])


@pytest.mark.parametrize("regions", [None, {"front": [1], "back": [2]}], ids=["classes", "regions"])
@pytest.mark.parametrize("depth", [2, 3, 9, 10, 37])
def test_tenths_agree_with_a_loop_over_slices(depth, regions):
    pred, target = volumes(depth, depth)
    if regions:
        result = scored(*(torch.stack([x == 1, x == 2], 1).long() for x in (pred, target)), regions).compute()
    else:
        result = scored(pred, target).compute()
    assert [(row.case, row.label, row.bin) for row in result.bins] == [
        (case, name, place) for case in range(2) for name in NAMES[1:] for place in range(1, 11)
    ]
    for row in result.rows:
        label = NAMES.index(row.label)
        masks = [(labels[row.case] == label).numpy() for labels in (pred, target)]
        expected = plainly(*masks)
        own = [item for item in result.bins if (item.case, item.label) == (row.case, row.label)]
        for found, (score, slices, counts) in zip(own, expected, strict=True):
            assert found.scores["dice"] == pytest.approx(score, nan_ok=True)
            assert (found.slices, found.slices_invented, found.slices_missed) == (len(slices), *counts)
        for name, places in (("dice_ends", (0, 1, 8, 9)), ("dice_middle", range(2, 8))):
            there = sorted(z for place in places for z in expected[place][1])
            assert row.scores[name] == pytest.approx(dice(*(mask[there] for mask in masks)), nan_ok=True)
        assert (row.scores["slices_invented"], row.scores["slices_missed"]) == wrong(*masks)


def test_ends_and_middle_are_the_whole_case():
    pred, target = volumes(0, 40)
    metric = scored(pred, target)
    whole, tenths = metric.measured[-1][:, :, 0], metric.measured[-1][:, :, 1:]
    empty = (pred == 0).flatten(2).all(2) & (target == 0).flatten(2).all(2)
    assert empty.any()  # slices without any class count in the whole case and in no tenth
    assert torch.equal(whole[..., :3], tenths.sum(dim=2)[..., :3])
    assert torch.equal(whole[..., 4:], tenths.sum(dim=2)[..., 4:])
    assert (whole[..., 3] > tenths.sum(dim=2)[..., 3]).all()


def test_images_have_no_slices_and_no_scores_of_them():
    pred = target = torch.ones(1, 6, 6, dtype=torch.int64)
    metric = scored(pred, target)
    assert "dice_ends" in metric.info  # it may choose the epoch; whether there are volumes is not known yet
    result = metric.compute()
    assert not result.bins
    assert "dice_ends" not in result.rows[0].scores
    assert "dice_ends" not in metric.info
    flat = scored(pred[:, None], target[:, None])  # there is no "along" in a volume of one slice
    assert torch.equal(flat.measured[-1], metric.measured[-1])


def test_a_class_that_is_nowhere_has_undefined_scores_and_no_wrong_slices():
    nowhere = torch.zeros(1, 12, 3, 3, dtype=torch.int64)
    row = scored(nowhere, nowhere).compute().rows[0]
    assert math.isnan(row.scores["dice_ends"])
    assert math.isnan(row.scores["dice_middle"])
    assert (row.scores["slices_invented"], row.scores["slices_missed"]) == (0, 0)


def test_what_is_not_labeled_occupies_no_slice():
    pred = torch.ones(1, 12, 3, 3, dtype=torch.int64)
    target = pred.clone()
    target[:, :4] = 255
    (row, _) = scored(pred, target).compute().rows
    assert (row.scores["slices_invented"], row.scores["dice_ends"]) == (0, 1)
    assert sum(item.slices for item in scored(pred, target).compute().bins if item.label == "front") == 8


def test_counts_of_batches_are_those_of_their_cases():
    counts = torch.randint(0, 3, (4, 25, 2, 4), generator=torch.Generator().manual_seed(0))
    together = count_by_position(counts)
    assert together.shape == (4, 2, 1 + BINS, COUNTS)
    assert torch.equal(together, torch.cat([count_by_position(one[None]) for one in counts]))
