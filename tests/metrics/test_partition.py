import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import entropy
from skimage.metrics import adapted_rand_error, variation_of_information

from segexp.metrics import PartitionScores, compare_regions, partition_scores, thin_borders
from segexp.metrics import variation_of_information as voi

DATA = os.environ.get("SEGEXP_DATA_DIR")
PROPOSALS = ("labels", "blurred", "noisy", "broken", "network")
labellings = arrays(np.int64, (6, 7), elements=st.integers(0, 4))


def split_in_two(height=8, width=9, column=4):
    """Two regions with a border one pixel wide: (H, W) bool interior and (H, W) int regions."""
    regions = np.ones((height, width), dtype=int)
    regions[:, column + 1 :] = 2
    regions[:, column] = 0
    return regions > 0, regions


# --- hand-made partitions ---------------------------------------------------------------------------------------------


def test_equal_partitions_score_one_whatever_their_numbers():
    interior, regions = split_in_two()
    assert partition_scores(interior, regions) == pytest.approx((1, 1, 1, 1))
    assert compare_regions(np.array([[5, 5, 2, 9]]), np.array([[1, 1, 7, 3]])) == pytest.approx((1, 1, 1, 1))


def test_two_cells_merged_into_one():
    _, regions = split_in_two(column=4)  # two halves of 32 pixels each
    # Σa² = 1/2, Σb² = 1, Σp² = 1/2: 2 · 1/2 / (1/2 + 1); one region tells nothing about two
    assert partition_scores(np.ones_like(regions, dtype=bool), regions) == pytest.approx((2 / 3, 0, 1, 1 / 2))


def test_one_cell_split_in_two_by_a_dam():
    interior, _ = split_in_two(height=1, width=5, column=2)
    # 5 pixels: b = 2/5, 2/5 and the dam as a region of one pixel
    squares = (4 + 4 + 1) / 25
    expected = (2 * squares / (1 + squares), 0, squares, 1)
    assert partition_scores(interior, np.ones((1, 5), dtype=int)) == pytest.approx(expected)


def test_four_pixels_by_hand():
    truth, regions = np.array([[1, 1, 2, 2]]), np.array([[1, 1, 1, 2]])
    v_rand, v_info, split, merge = compare_regions(regions, truth)
    assert v_rand == pytest.approx(2 * (4 + 1 + 1) / (4 + 4 + 9 + 1))
    assert (split, merge) == pytest.approx(((4 + 1 + 1) / (4 + 4), (4 + 1 + 1) / (9 + 1)))
    h_truth, h_regions, h_both = 1, 2 - 0.75 * math.log2(3), 1.5  # in bits
    assert v_info == pytest.approx(2 * (h_truth + h_regions - h_both) / (h_truth + h_regions))


def test_only_pixels_of_true_regions_count():
    _, truth = split_in_two()
    regions = truth.copy()
    regions[:, 4] = 1 + np.arange(8)
    assert compare_regions(regions, truth) == pytest.approx((1, 1, 1, 1))


# --- degenerate partitions --------------------------------------------------------------------------------------------


def test_truth_without_region_is_undefined():
    assert np.isnan(partition_scores(np.ones((4, 4), dtype=bool), np.zeros((4, 4), dtype=int))).all()


def test_proposal_without_region_scores_zero():
    assert partition_scores(np.zeros((4, 4), dtype=bool), np.ones((4, 4), dtype=int)) == (0, 0, 0, 0)


@pytest.mark.parametrize("shape", [(1, 1), (4, 4)])
def test_one_region_in_both_scores_one(shape):
    assert partition_scores(np.ones(shape, dtype=bool), np.ones(shape, dtype=int)) == pytest.approx((1, 1, 1, 1))


# --- thinning ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("thickness", [1, 2, 3, 4, 7])
def test_thick_borders_become_one_pixel_wide_dams(thickness):
    interior = np.ones((12, 20), dtype=bool)
    interior[:, 6 : 6 + thickness] = False
    thin = thin_borders(interior)
    dams = (thin == 0).sum(axis=1)
    assert (dams == 1).all()
    assert set(np.unique(thin)) == {0, 1, 2}


def test_a_gap_closed_only_diagonally_stays_closed():
    interior = ~np.eye(9, dtype=bool)
    thin = thin_borders(interior)
    assert thin[0, 8] != thin[8, 0]
    assert (thin[~np.eye(9, dtype=bool)] > 0).all()


def test_a_border_that_parts_nothing_disappears():
    interior = np.ones((9, 9), dtype=bool)
    interior[4, 2:5] = False
    assert (thin_borders(interior) == 1).all()


# --- against scikit-image ---------------------------------------------------------------------------------------------


def dams_as_regions(regions):
    """Give every dam pixel a number of its own, which is how scikit-image can be made to treat dams as we do."""
    own = regions.copy()
    own[regions == 0] = regions.max() + 1 + np.arange(np.count_nonzero(regions == 0))
    return own


@settings(max_examples=80, deadline=None)
@given(regions=labellings, truth=labellings.filter(lambda truth: np.count_nonzero(truth) > 1))
def test_v_rand_agrees_with_adapted_rand_error(regions, truth):
    """scikit-image leaves out the pairs of a pixel with itself; put back, both are the same number."""
    own, inside = dams_as_regions(regions), truth > 0
    a, b = (np.unique(x[inside], return_counts=True)[1] for x in (truth, own))
    n, pairs = inside.sum(), (a**2).sum() + (b**2).sum()
    any_pairs = (a > 1).any() and (b > 1).any()  # else 0/0 over there
    error = adapted_rand_error(truth, own)[0] if any_pairs else 1.0
    expected = ((1 - error) * (pairs - 2 * n) / 2 + n) * 2 / pairs
    assert compare_regions(regions, truth)[0] == pytest.approx(expected)


@settings(max_examples=40, deadline=None)
@given(regions=labellings, truth=labellings.filter(lambda truth: np.count_nonzero(truth) > 1))
def test_split_and_merge_agree_with_recall_and_precision_of_adapted_rand_error(regions, truth):
    """Pairs of a pixel with itself are put back as above; what scikit-image calls precision is its recall."""
    own, inside = dams_as_regions(regions), truth > 0
    a, b = (np.unique(x[inside], return_counts=True)[1] for x in (truth, own))
    n = inside.sum()
    if (a > 1).any() and (b > 1).any():  # else 0/0 over there
        _, recall, precision = adapted_rand_error(truth, own)
        found = compare_regions(regions, truth)
        assert found.rand_merge == pytest.approx((precision * ((b**2).sum() - n) + n) / (b**2).sum())
        assert found.rand_split == pytest.approx((recall * ((a**2).sum() - n) + n) / (a**2).sum())


def test_scikit_image_swaps_precision_and_recall():
    """A true region split in two: every proposed pair belongs together, which by its own docs is a precision of 1."""
    truth, regions = np.ones((2, 8), dtype=int), np.repeat([[1, 2]], 8, axis=1).reshape(2, 8)
    _, precision, recall = adapted_rand_error(truth, regions)
    assert (precision, recall) == (pytest.approx(56 / 120), 1)
    found = compare_regions(regions, truth)
    assert (found.rand_split, found.rand_merge) == pytest.approx((64 * 2 / 256, 1))


def test_adapted_rand_error_comes_near_that_of_scikit_image_as_regions_grow():
    """Both are the same figure but for the pairs of a pixel with itself, which weigh less in larger regions."""
    truth, regions = np.array([[1, 1, 2, 2, 3, 3]]), np.array([[4, 4, 4, 5, 5, 5]])
    gaps = []
    for size in (1, 4, 16):
        large = [np.kron(x, np.ones((size, size), dtype=int)) for x in (truth, regions)]
        gaps.append(abs(1 - compare_regions(large[1], large[0]).v_rand - adapted_rand_error(*large)[0]))
    assert gaps[0] > 0.1
    assert gaps[1] < gaps[0] / 10
    assert gaps[2] < gaps[1] / 10


@settings(max_examples=80, deadline=None)
@given(regions=labellings, truth=labellings.filter(lambda truth: np.count_nonzero(truth) > 1))
def test_v_info_agrees_with_variation_of_information(regions, truth):
    """scikit-image gives the two conditional entropies in bits: V_info = 1 - VI / (H(truth) + H(regions))."""
    inside = truth > 0
    own = dams_as_regions(regions)
    h_truth, h_own = (entropy(np.unique(x[inside], return_counts=True)[1], base=2) for x in (truth, own))
    lost = variation_of_information(truth, own, ignore_labels=(0,)).sum()
    expected = 1 - lost / (h_truth + h_own) if h_truth + h_own > 0 else 1.0
    assert compare_regions(regions, truth)[1] == pytest.approx(expected)


@settings(max_examples=80, deadline=None)
@given(regions=labellings, truth=labellings.filter(lambda truth: np.count_nonzero(truth) > 0))
def test_splits_and_merges_agree_with_variation_of_information(regions, truth):
    expected = variation_of_information(truth, dams_as_regions(regions), ignore_labels=(0,))
    assert voi(regions, truth) == pytest.approx(tuple(expected), abs=1e-9)


# --- the metric -------------------------------------------------------------------------------------------------------


def probs_of(interior):
    """(B, 2, H, W) float64 probabilities from the interior's (B, H, W)."""
    interior = torch.as_tensor(interior, dtype=torch.float64)
    return torch.stack([interior, 1 - interior], dim=1)


def two_levels(weak=0.35, strong=0.55):
    """A slice of three true cells; between them a weak and a strong border."""
    target = torch.zeros(1, 8, 11, dtype=torch.int64)
    target[..., [3, 7]] = 1
    interior = torch.full((1, 8, 11), 0.95, dtype=torch.float64)
    interior[..., 3], interior[..., 7] = strong, weak
    return probs_of(interior), target


def scored(*slices, chosen=None, **options):
    metric = PartitionScores(**options)
    metric.chosen = chosen or {}
    for i, (probs, target) in enumerate(slices):
        metric.update(probs, target, torch.tensor([i]))
    return metric.compute()


def test_the_threshold_that_separates_all_cells_is_chosen():
    result = scored(two_levels())
    assert result.chosen == {"threshold": 0.6}  # 0.6 to 0.9 are equal: the one nearest to 0.5
    perfect = {"v_rand": 1, "v_info": 1, "rand_split": 1, "rand_merge": 1, "adapted_rand_error": 0}
    (row,) = result.rows
    assert (row.case, row.label) == (0, "regions")
    assert row.scores == pytest.approx(perfect)
    assert result.overall == pytest.approx({"v_rand_max": 1, "v_info_max": 1, "threshold": 0.6})


def test_a_threshold_fixed_beforehand_is_used_and_the_maxima_stay():
    result = scored(two_levels(), chosen={"threshold": 0.4})
    (row,) = result.rows
    assert row.scores["v_rand"] < 0.9
    assert result.chosen == {"threshold": 0.4}
    assert result.overall == pytest.approx({"v_rand_max": 1, "v_info_max": 1, "threshold": 0.4})


def test_the_maximum_is_of_the_mean_not_the_mean_of_maxima():
    thresholds = (0.4, 0.6)
    early = probs_of(0.5 * two_levels()[0][:, 0]), two_levels()[1]  # best at 0.4, nothing is left above 0.5
    late = two_levels()
    late_at_low = scored(late, thresholds=(0.4,)).overall["v_rand_max"]
    assert scored(early, thresholds=thresholds).overall["v_rand_max"] == pytest.approx(1)
    assert scored(late, thresholds=thresholds).overall["v_rand_max"] == pytest.approx(1)
    assert scored(early, late, thresholds=thresholds).overall["v_rand_max"] == pytest.approx((1 + late_at_low) / 2)
    assert late_at_low < 0.9


def test_a_merged_and_a_split_slice_tell_the_two_errors_apart():
    probs, target = two_levels(weak=0.95)  # the weaker border is missing
    (merged,) = scored((probs, target), thresholds=(0.6,)).rows
    assert merged.scores["rand_merge"] < 0.9
    assert merged.scores["rand_split"] == pytest.approx(1)
    whole = torch.where(torch.arange(11) == 7, 0, target)  # one true cell where the proposal sees two
    (split,) = scored((two_levels()[0], whole), thresholds=(0.6,)).rows
    assert split.scores["rand_merge"] == pytest.approx(1)
    assert split.scores["rand_split"] < 0.9
    for row in (merged, split):
        recall, precision = row.scores["rand_split"], row.scores["rand_merge"]
        assert row.scores["adapted_rand_error"] == pytest.approx(1 - 2 * precision * recall / (precision + recall))


def test_a_slice_without_true_region_is_left_out():
    probs, target = two_levels()
    result = scored((probs, target), (probs, torch.ones_like(target)))
    assert math.isnan(result.rows[1].scores["v_rand"])
    assert result.overall["v_rand_max"] == pytest.approx(1)


def test_no_true_region_anywhere_is_undefined():
    probs, target = two_levels()
    result = scored((probs, torch.full_like(target, 255)))
    assert result.chosen == {"threshold": 0.5}
    assert math.isnan(result.rows[0].scores["v_info"])
    assert math.isnan(result.overall["v_rand_max"])


def test_ignored_pixels_count_nowhere():
    probs, target = two_levels()
    ignored = target.clone()
    ignored[..., 7:] = 255
    assert scored((probs, ignored), thresholds=(0.4,)).rows[0].scores["v_rand"] < 1
    ignored[..., 3:] = -1
    assert scored((probs, ignored), thresholds=(0.4,)).rows[0].scores["v_rand"] == pytest.approx(1)


def test_cells_that_touch_at_a_corner_are_two_in_truth_and_proposal():
    target = torch.tensor([[[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]]])
    (row,) = scored((probs_of(1 - target), target)).rows
    assert (row.scores["v_rand"], row.scores["v_info"]) == pytest.approx((1, 1))


def test_another_boundary_class_and_name():
    probs, target = two_levels()
    result = scored((probs.flip(1), 1 - target), boundary_class=0, name="cells")
    assert result.rows == [replace(scored((probs, target)).rows[0], label="cells")]


def test_half_precision_is_taken():
    probs, target = two_levels()
    assert scored((probs.bfloat16(), target)) == scored((probs, target))


def test_stacks_are_refused():
    with pytest.raises(ValueError, match="score each 2-D slice as its own case"):
        scored((torch.rand(1, 2, 4, 8, 8), torch.zeros(1, 4, 8, 8)))


def test_a_missing_boundary_channel_is_refused():
    with pytest.raises(ValueError, match="boundary_class=2"):
        scored(two_levels(), boundary_class=2)


@pytest.mark.parametrize("thresholds", [(), (-0.1, 0.5), (0.5, 1.5)])
def test_bad_thresholds_are_refused(thresholds):
    with pytest.raises(ValueError, match=r"thresholds(\[\d\])?="):
        PartitionScores(thresholds=thresholds)


def test_an_unknown_chosen_threshold_is_refused():
    with pytest.raises(ValueError, match=r"chosen threshold=0\.45 is not one of"):
        scored(two_levels(), chosen={"threshold": 0.45})


def test_the_protocol_tells_where_the_threshold_comes_from():
    metric = PartitionScores()
    assert "best mean V_rand over these same cases" in metric.info["v_rand"].protocol
    metric.chosen = {"threshold": 0.4}
    assert "0.4, which was fixed beforehand" in metric.info["v_rand"].protocol
    figures = {"v_rand", "v_info", "rand_split", "rand_merge", "adapted_rand_error", "v_rand_max", "v_info_max"}
    assert set(metric.info) == figures
    assert "1 - V_rand, the same score turned round" in metric.info["adapted_rand_error"].protocol


# --- the challenge's own scorer ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[5, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"])
def official(request):
    """Per proposal: what the organizers' scorer says, its V_rand and V_info (T, 2), and those of our metric (T, 2).

    Means over slices, at all thresholds or at every fifth and those of the maxima.
    """
    if DATA is None:
        pytest.skip("set SEGEXP_DATA_DIR to a folder with isbi2012 and isbi2012_scores")
    folder = Path(DATA) / "isbi2012_scores"
    scores = json.loads((folder / "official_scores.json").read_text())
    labels = tifffile.imread(Path(DATA) / "isbi2012" / "train-labels.tif")[24:]
    target = torch.from_numpy((labels == 0).astype(np.int64))
    found = {}
    for name in PROPOSALS:
        theirs = np.stack([scores[name]["v_rand"], scores[name]["v_info"]], axis=1)
        taken = sorted({*range(0, len(theirs), request.param), *theirs.argmax(axis=0)})
        thresholds = [scores[name]["thresholds"][index] for index in taken]
        found[name] = (scores[name], theirs[taken], measured(folder / f"{name}.tif", target, thresholds))
    return found


def measured(path, target, thresholds):
    pixels = tifffile.imread(path)
    probs = probs_of(pixels.astype(np.float32) / np.float32(255))
    if len(np.unique(pixels)) > 2:
        return per_threshold(PartitionScores(thresholds=thresholds), probs, target)
    # a binary proposal is the same at all thresholds but 1.0
    halves = per_threshold(PartitionScores(thresholds=(0.5, 1.0)), probs, target)
    return halves[[int(threshold == 1) for threshold in thresholds]]


def per_threshold(metric, probs, target):
    """V_rand and V_info (T, 2), mean over slices."""
    return metric.measure(probs, target, torch.ones(len(probs), 2)).mean(dim=0)[:, :2].numpy()


@pytest.mark.parametrize("name", PROPOSALS)
def test_agrees_with_the_official_scorer_at_every_threshold(official, name):
    scores, theirs, ours = official[name]
    np.testing.assert_allclose(ours, theirs, atol=2e-4)
    np.testing.assert_allclose(ours.max(axis=0), [scores["max_v_rand"], scores["max_v_info"]], atol=2e-4)


@pytest.mark.parametrize(("measure", "key"), [(0, "max_v_rand"), (1, "max_v_info")])
def test_ranks_the_proposals_like_the_official_scorer(official, measure, key):
    ours = sorted(PROPOSALS, key=lambda name: official[name][2][:, measure].max())
    assert ours == sorted(PROPOSALS, key=lambda name: official[name][0][key])


def test_rows_have_the_variation_of_information_where_it_is_asked_for():
    probs, target = two_levels()
    plain, more = PartitionScores(thresholds=[0.3, 0.5]), PartitionScores(thresholds=[0.3, 0.5], voi=True)
    for metric in (plain, more):
        metric.update(probs, target, torch.tensor([0]))
    (without,), (row,) = plain.compute().rows, more.compute().rows
    assert row.scores.items() - without.scores.items() == {("voi_split", 0.0), ("voi_merge", row.scores["voi_merge"])}
    cells = np.repeat([1, 2, 3], [3, 3, 3])  # of 8 px a row; the weak border was missed, the strong one found at 0.5
    at = more.chosen.get("threshold", more.compute().chosen["threshold"])
    missed = {0.3: [1, 1, 1], 0.5: [1, 1, 2]}[at]
    expected = variation_of_information(cells, np.repeat(missed, 3))
    assert (row.scores["voi_split"], row.scores["voi_merge"]) == pytest.approx(tuple(expected))
    assert not more.info["voi_merge"].higher_is_better
    assert more.info["voi_merge"].unit == "bits"


def test_a_proposal_without_region_splits_every_pixel_off():
    metric = PartitionScores(thresholds=[0.5], voi=True)
    metric.update(probs_of(np.zeros((1, 4, 4))), torch.zeros(1, 4, 4, dtype=torch.int64), torch.tensor([0]))
    (row,) = metric.compute().rows
    assert (row.scores["v_rand"], row.scores["voi_split"], row.scores["voi_merge"]) == (0, 4, 0)
