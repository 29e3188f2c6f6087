import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import binary_dilation, gaussian_filter
from skimage.measure import label
from skimage.morphology import skeletonize
from torch.nn.functional import one_hot

from segexp.metrics import CenterlineScores
from segexp.metrics.centerline import centerline

NAMES = ["background", "vessel"]


def scored(pred, target, names=NAMES, **options):
    metric = CenterlineScores(names, **options)
    pred, target = (torch.as_tensor(np.asarray(x)).long() for x in (pred, target))
    metric.update(one_hot(pred, len(names)).movedim(-1, 1).float(), target, torch.arange(len(pred)))
    return metric.compute()


def figures(pred, target):
    """clDice, topology precision and sensitivity of a single case."""
    (row,) = scored(np.asarray(pred)[None], np.asarray(target)[None]).rows
    return row.scores["cldice"], row.scores["topology_precision"], row.scores["topology_sensitivity"]


def straight(dims, length=20, missing=()):
    """A line one pixel wide along the last axis, without the pixels at the places that are missing."""
    mask = np.zeros([9] * (dims - 1) + [length + 4], dtype=int)
    mask[(4,) * (dims - 1)][2 : 2 + length] = 1
    for place in missing:
        mask[(4,) * (dims - 1) + (2 + place,)] = 0
    return mask


def vessels(seed, size, width=0.4):
    """A random net of tubes."""
    noise = [gaussian_filter(np.random.default_rng([seed, i]).normal(size=size), 2) for i in range(len(size) - 1)]
    return np.logical_and.reduce([np.abs(x) < width * x.std() for x in noise]).astype(int)


def without_what_vanishes(mask):
    """The objects that scikit-image does not delete, at least one of which there must be."""
    objects = label(mask, connectivity=mask.ndim)
    kept = np.isin(objects, objects[skeletonize(mask.astype(bool))])
    assert kept.any()
    return mask * kept


# --- hand-made vessels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dims", [2, 3])
def test_a_broken_vessel_by_hand(dims):
    truth, pred = straight(dims), straight(dims, missing=(6, 7, 8, 9))
    precision, sensitivity = 1, 16 / 20
    cldice = 2 * precision * sensitivity / (precision + sensitivity)
    assert figures(pred, truth) == pytest.approx((cldice, precision, sensitivity))
    assert figures(truth, pred) == pytest.approx((cldice, sensitivity, precision))


@pytest.mark.parametrize("dims", [2, 3])
def test_an_invented_vessel_costs_precision(dims):
    truth = straight(dims)
    pred = truth.copy()
    pred[(0,) * (dims - 1)][2:12] = 1
    assert figures(pred, truth) == pytest.approx((2 * (2 / 3) / (2 / 3 + 1), 2 / 3, 1))


@pytest.mark.parametrize("dims", [2, 3])
def test_a_vessel_drawn_too_thick_keeps_its_centerline(dims):
    truth = straight(dims)
    pred = binary_dilation(truth, np.ones([3] * dims)).astype(int)
    dice = 2 * truth.sum() / (truth.sum() + pred.sum())
    assert dice < 0.5
    assert figures(pred, truth)[2] == 1
    # thinning may leave the ends of the thick bar a pixel beyond those of the line
    assert figures(pred, truth)[1] == pytest.approx(1, abs=0.1)


def test_a_shift_by_more_than_the_width_is_a_miss():
    truth = straight(2)
    assert figures(np.roll(truth, 1, axis=0), truth) == (0, 0, 0)


def test_a_cross_that_lost_an_arm():
    truth = np.zeros((25, 25), dtype=int)
    truth[12, 2:23] = truth[2:23, 12] = 1
    pred = truth.copy()
    pred[:12, 12] = 0
    lines = 21 + 20
    assert figures(pred, truth)[1:] == pytest.approx((1, (lines - 10) / lines))


# --- against scikit-image, used here on its own -----------------------------------------------------------------------


@pytest.mark.parametrize("size", [(48, 40), (24, 20, 22)])
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_the_definition_on_random_nets(size, seed):
    truth, pred = vessels(seed, size), vessels(seed, size, width=0.3)
    pred[: size[0] // 4] = 0
    truth, pred = without_what_vanishes(truth), without_what_vanishes(pred)
    lines = [skeletonize(x.astype(bool)) for x in (truth, pred)]
    sensitivity, precision = pred[lines[0]].mean(), truth[lines[1]].mean()
    expected = 2 / (1 / precision + 1 / sensitivity), precision, sensitivity
    assert 0.3 < sensitivity < 1
    assert figures(pred, truth) == pytest.approx(expected)


@pytest.mark.parametrize("size", [(48, 40), (24, 20, 22)])
def test_a_net_against_itself_is_perfect(size):
    net = vessels(1, size)
    assert figures(net, net) == (1, 1, 1)


# --- centerlines in space --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("section", [(2, 2), (2, 4), (4, 4), (1, 2), (6, 5)])
def test_no_bar_vanishes_whatever_its_width(section, axis):
    bar = np.pad(np.ones(np.roll((*section, 20), axis), dtype=bool), 2)
    line = centerline(bar)
    assert (bar | ~line).all()
    assert 20 - max(section) <= line.sum() <= 20
    assert label(line, connectivity=3).max() == 1


def test_scikit_image_alone_deletes_such_bars():
    """Why we look after them; should this fail one day, the rescue can go."""
    assert not skeletonize(np.pad(np.ones((2, 2, 20), dtype=bool), 2)).any()
    assert not skeletonize(np.ones((4, 4, 20), dtype=bool)).any()


def test_a_bent_bar_two_voxels_wide_and_a_thin_line_beside_it():
    mask = np.zeros((12, 44, 44), dtype=bool)
    mask[4:6, 20:22, 2:42] = mask[4:6, 20:42, 40:42] = True
    assert not skeletonize(mask).any()
    mask[10, 2, 2:42] = True
    line = centerline(mask)
    assert line[10, 2, 2:42].all()
    assert 55 <= line[:10].sum() <= 62  # arms of 40 and 22 voxels that share 2


def test_two_short_bars_that_share_an_edge_keep_a_centerline():
    mask = np.array([[[0, 0], [1, 1]], [[1, 1], [0, 0]]], dtype=bool)
    assert not skeletonize(mask).any()
    assert centerline(mask).any()


@settings(max_examples=60, deadline=None)
@given(
    mask=arrays(np.bool_, st.tuples(*[st.integers(1, 6)] * 3)) | arrays(np.bool_, st.tuples(*[st.integers(1, 9)] * 2))
)
def test_every_object_keeps_a_centerline_inside_itself(mask):
    line = centerline(mask)
    assert (mask | ~line).all()
    objects = label(mask, connectivity=mask.ndim)
    assert set(np.unique(objects[line])) == set(range(1, objects.max() + 1))


# --- degenerate cases -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (4, 5), (1, 6), (2, 2, 2), (3, 4, 5), (1, 4, 5)])
@pytest.mark.parametrize(
    ("pred", "target", "expected"),
    [
        (0, 0, (math.nan, math.nan, math.nan)),
        (1, 1, (1, 1, 1)),
        (1, 0, (0, 0, math.nan)),
        (0, 1, (0, math.nan, 0)),
        (1, 255, (math.nan, math.nan, math.nan)),
        (1, -1, (math.nan, math.nan, math.nan)),
    ],
)
def test_degenerate_cases(pred, target, expected, size):
    result = scored(torch.full((1, *size), pred), torch.full((1, *size), target))
    (row,) = result.rows
    found = (row.scores["cldice"], row.scores["topology_precision"], row.scores["topology_sensitivity"])
    assert found == pytest.approx(expected, nan_ok=True)
    assert result.overall == result.chosen == {}


def test_one_pixel_on_the_vessel_and_one_beside_it():
    truth = straight(2)
    pred = np.zeros_like(truth)
    pred[4, 10] = 1
    assert figures(pred, truth) == pytest.approx((2 / 21, 1, 1 / 20))
    assert figures(np.roll(pred, 3, axis=0), truth) == (0, 0, 0)


def test_ignored_pixels_are_taken_out_of_both_masks():
    truth, pred = straight(2), straight(2, missing=(6, 7, 8, 9))
    truth[:, 8:12] = 255  # where the prediction is broken
    assert figures(pred, truth) == (1, 1, 1)
    pred[:, 8:12] = 1
    assert figures(pred, truth) == (1, 1, 1)


def test_an_absent_class_is_undefined_and_the_other_is_not():
    line = straight(2)[None]
    artery, vein = scored(line, line, ["background", "artery", "vein"]).rows
    assert artery.scores["cldice"] == 1
    assert math.isnan(vein.scores["cldice"])


def test_overlapping_regions_are_scored_each_on_its_own():
    truth = np.stack([straight(2), straight(2)])
    pred = np.stack([straight(2, missing=(5, 6)), straight(2)])
    metric = CenterlineScores(["background", "artery", "vein"], ["all", "arteries"])
    probs = torch.from_numpy(np.where(pred == 1, 0.7, 0.4))
    metric.update(probs[None], torch.from_numpy(truth)[None], torch.tensor([0]))
    rows = metric.compute().rows
    assert [(row.label, row.scores["topology_sensitivity"]) for row in rows] == [("all", 18 / 20), ("arteries", 1)]


@pytest.mark.parametrize("size", [(30, 26), (14, 12, 13)])
def test_order_and_size_of_batches_do_not_matter(size):
    truth = np.stack([vessels(seed, size) for seed in range(3)])
    pred = np.stack([vessels(seed, size, width=0.25) for seed in range(3)])
    metric = CenterlineScores(NAMES)
    for i in (2, 0, 1):
        batch = torch.from_numpy(pred[i : i + 1]), torch.from_numpy(truth[i : i + 1])
        metric.update(one_hot(batch[0], 2).movedim(-1, 1).float(), batch[1], torch.tensor([i]))
    assert metric.compute() == scored(pred, truth)


def test_every_figure_has_its_protocol():
    result = scored(torch.zeros(1, 2, 2, dtype=torch.int64), torch.zeros(1, 2, 2))
    assert set(CenterlineScores(NAMES).info) == set(result.rows[0].scores)
    assert "region" in CenterlineScores(NAMES, ["all"]).info["cldice"].protocol
