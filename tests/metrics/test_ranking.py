import math
import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_average_precision,
    multilabel_auroc,
    multilabel_average_precision,
)

from segexp.metrics import RankingScores

NAMES = ["background", "artery", "vein"]
REGIONS = ["whole", "core"]


def scored(probs, target, names=NAMES, regions=None, **options):
    metric = RankingScores(names, regions, **options)
    metric.update(probs, target, torch.arange(len(probs)))
    return metric.compute()


def two_classes(values):
    """(B, 2, *S) probabilities from those of class 1, (B, *S)."""
    return torch.stack([1 - values, values], dim=1)


def random_case(size, classes=3, cases=4, seed=0, levels=None):
    generator = torch.Generator().manual_seed(seed)
    probs = torch.rand((cases, classes, *size), generator=generator, dtype=torch.float64).softmax(dim=1)
    if levels:
        probs = (probs * levels).round() / levels
    target = torch.randint(0, classes, (cases, *size), generator=generator)
    target[torch.rand(target.shape, generator=generator) < 0.2] = 255
    return probs, target


def test_five_pixels_by_hand():
    probs = two_classes(torch.tensor([[[0.9, 0.8, 0.7, 0.3, 0.1]]]))
    target = torch.tensor([[[1, 0, 1, 0, 0]]])
    (row,) = scored(probs, target, ["background", "vessel"]).rows
    # of the 2 x 3 pairs only (0.7, 0.8) stands the wrong way; precision is 1/1 at the first vessel, 2/3 at the second
    assert (row.case, row.label) == (0, "vessel")
    assert row.scores == pytest.approx({"roc_auc": 5 / 6, "average_precision": (1 + 2 / 3) / 2})


@pytest.mark.parametrize("levels", [None, 8, 1])
@pytest.mark.parametrize("size", [(13, 11), (6, 7, 5)])
def test_agrees_with_scikit_learn_with_and_without_ties(size, levels):
    probs, target = random_case(size, levels=levels)
    rows = scored(probs, target).rows
    assert [(row.case, row.label) for row in rows] == [(c, name) for c in range(4) for name in NAMES[1:]]
    for row in rows:
        counted = target[row.case] != 255
        k = NAMES.index(row.label)
        pair = (target[row.case] == k)[counted].numpy(), probs[row.case, k][counted].numpy()
        assert row.scores["roc_auc"] == pytest.approx(roc_auc_score(*pair), abs=1e-12)
        assert row.scores["average_precision"] == pytest.approx(average_precision_score(*pair), abs=1e-12)


def test_agrees_with_torchmetrics():
    probs, target = random_case((13, 11), classes=2)
    for row in scored(probs, target, NAMES[:2]).rows:
        pair = probs[row.case, 1].flatten(), target[row.case].flatten()
        assert row.scores["roc_auc"] == pytest.approx(float(binary_auroc(*pair, ignore_index=255)), abs=1e-6)
        expected = float(binary_average_precision(*pair, ignore_index=255))
        assert row.scores["average_precision"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("size", [(13, 11), (6, 7, 5)])
def test_overlapping_regions_agree_with_torchmetrics(size):
    generator = torch.Generator().manual_seed(5)
    probs = torch.rand((3, 2, *size), generator=generator)
    target = torch.randint(0, 2, (3, 2, *size), generator=generator)
    target[torch.rand(target.shape, generator=generator) < 0.2] = 255
    result = scored(probs, target, regions=REGIONS)
    for figure, function in (("roc_auc", multilabel_auroc), ("average_precision", multilabel_average_precision)):
        expected = [
            function(p[None], t[None], 2, average=None, ignore_index=255).tolist()
            for p, t in zip(probs, target, strict=True)
        ]
        found = [row.scores[figure] for row in result.rows]
        assert found == pytest.approx([value for case in expected for value in case], abs=1e-5)
        pooled = function(probs, target, 2, average=None, ignore_index=255)
        found = [result.overall[f"{figure}_pooled_{name}"] for name in REGIONS]
        assert found == pytest.approx(pooled.tolist(), abs=3e-3)


@pytest.mark.parametrize("fill", [0, 1, 255, -1])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (2, 3, 4)])
def test_one_kind_of_pixel_is_undefined(fill, size):
    probs = two_classes(torch.rand((1, *size), generator=torch.Generator().manual_seed(0)))
    result = scored(probs, torch.full((1, *size), fill), ["background", "vessel"])
    (row,) = result.rows
    assert math.isnan(row.scores["roc_auc"])
    assert math.isnan(row.scores["average_precision"])
    assert all(math.isnan(value) for value in result.overall.values())


def test_absent_class_is_undefined_and_the_other_is_not():
    probs, target = random_case((9, 9), cases=1)
    target[target == 2] = 0
    artery, vein = scored(probs, target).rows
    assert 0 < artery.scores["roc_auc"] < 1
    assert math.isnan(vein.scores["roc_auc"])


def test_others_name_a_number_where_it_is_undefined():
    """What the table in the docs says."""
    values, empty, full = torch.rand(20), torch.zeros(20, dtype=torch.int64), torch.ones(20, dtype=torch.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert [float(binary_auroc(values, truth)) for truth in (empty, full)] == [0, 0]
        assert [float(binary_average_precision(values, truth)) for truth in (empty, full)] == [0, 1]
        assert math.isnan(roc_auc_score(empty, values))
        assert average_precision_score(empty, values) == 0
        assert average_precision_score(full, values) == pytest.approx(1)
    with pytest.raises(IndexError):
        binary_auroc(values, torch.full((20,), 255), ignore_index=255)


def test_a_single_vessel_pixel():
    values = torch.tensor([[[0.1, 0.2, 0.6, 0.4]]])
    (row,) = scored(two_classes(values), torch.tensor([[[0, 0, 0, 1]]]), ["background", "vessel"]).rows
    assert (row.scores["roc_auc"], row.scores["average_precision"]) == pytest.approx((2 / 3, 1 / 2))


def test_equal_probabilities_tell_nothing():
    target = torch.tensor([[[0, 0, 0, 1]]])
    result = scored(two_classes(torch.full((1, 1, 4), 0.3)), target, ["background", "vessel"])
    assert (result.rows[0].scores["roc_auc"], result.rows[0].scores["average_precision"]) == (0.5, 0.25)
    assert list(result.overall.values()) == [0.5, 0.25]


# --- all cases together -----------------------------------------------------------------------------------------------


def largest_errors(truth, values, bins):
    """How far ROC AUC and average precision of binned log-odds can be from the exact ones, from numpy alone."""
    edges = np.linspace(-16, 16, bins + 1)
    of_bin = np.digitize(np.log(values) - np.log1p(-values), edges[1:-1])
    p, n = (np.bincount(of_bin[truth == kind], minlength=bins)[::-1].astype(float) for kind in (1, 0))
    tp, fp = p.cumsum(), n.cumsum()
    best = tp / np.maximum(tp + fp - n, 1)
    worst = (tp - p + 1) / (tp - p + 1 + fp)
    return (p * n).sum() / 2 / (p.sum() * n.sum()), (p * (best - worst)).sum() / p.sum()


@pytest.mark.parametrize("bins", [16, 256, 4096])
@pytest.mark.parametrize(("shift", "spread"), [(2.0, 1.0), (10.0, 3.0), (0.0, 0.05)], ids=["soft", "sure", "undecided"])
def test_pooled_figures_are_within_their_bound_of_scikit_learn(bins, shift, spread):
    rng = np.random.default_rng(1)
    truth = (rng.random((5, 60, 70)) < 0.1).astype(int)
    values = 1 / (1 + np.exp(-(rng.normal(size=truth.shape) * spread + shift * truth - 0.8 * shift)))
    probs = two_classes(torch.from_numpy(values))
    found = scored(probs, torch.from_numpy(truth), ["background", "vessel"], bins=bins).overall
    auc_bound, precision_bound = largest_errors(truth.ravel(), values.ravel(), bins)
    flat = truth.ravel(), values.ravel()
    assert abs(found["roc_auc_pooled_vessel"] - roc_auc_score(*flat)) <= auc_bound + 1e-12
    assert abs(found["average_precision_pooled_vessel"] - average_precision_score(*flat)) <= precision_bound + 1e-12
    if bins == 4096 and shift:
        assert auc_bound < 5e-4
        assert found["roc_auc_pooled_vessel"] == pytest.approx(roc_auc_score(*flat), abs=1e-5)
        assert found["average_precision_pooled_vessel"] == pytest.approx(average_precision_score(*flat), abs=1e-3)


def test_a_sure_network_is_ranked_better_than_by_equal_bins_of_probability():
    """Nearly all probabilities are below 1/1024 or above 1023/1024, yet they are well ordered."""
    rng = np.random.default_rng(2)
    truth = (rng.random((1, 200, 200)) < 0.1).astype(int)
    values = torch.from_numpy(rng.normal(size=truth.shape) * 2 + 5 * truth - 11).sigmoid()
    found = scored(two_classes(values), torch.from_numpy(truth), ["background", "vessel"]).overall
    exact = roc_auc_score(truth.ravel(), values.numpy().ravel())
    equal_bins = float(binary_auroc(values.flatten(), torch.from_numpy(truth).flatten(), thresholds=1024))
    assert found["roc_auc_pooled_vessel"] == pytest.approx(exact, abs=1e-4)
    assert abs(equal_bins - exact) > 0.05


@pytest.mark.parametrize("regions", [None, REGIONS])
def test_order_and_size_of_batches_do_not_matter(regions):
    probs, target = random_case((9, 8), classes=2 if regions else 3)
    if regions:
        target = torch.stack([target, target.flip(0)], dim=1)
    alone = RankingScores(NAMES, regions)
    for i in (2, 0, 3, 1):
        alone.update(probs[i : i + 1], target[i : i + 1], torch.tensor([i]))
    assert alone.compute() == scored(probs, target, regions=regions)


def test_memory_does_not_grow_with_the_pixels_and_reset_empties_it():
    metric = RankingScores(NAMES)
    for i in range(3):
        metric.update(*random_case((40, 40), cases=1, seed=i), torch.tensor([i]))
    assert metric.pooled.shape == (2, 2, 4096)
    assert [tuple(part.shape) for part in metric.measured] == [(0, 2, 2), (1, 2, 2), (1, 2, 2), (1, 2, 2)]
    metric.reset()
    assert not metric.pooled.any()
    probs, target = random_case((9, 8))
    metric.update(probs, target, torch.arange(4))
    assert metric.compute() == scored(probs, target)


def test_cases_scored_in_inference_mode_and_outside_go_together():
    probs, target = random_case((9, 8))
    metric = RankingScores(NAMES)
    with torch.inference_mode():
        metric.reset()
        metric.update(probs[:2], target[:2], torch.arange(2))
    metric.update(probs[2:], target[2:], torch.arange(2, 4))
    assert metric.compute() == scored(probs, target)


def test_half_precision_is_taken():
    probs, target = random_case((9, 8))
    half = probs.bfloat16()
    assert scored(half, target) == scored(half.float(), target)


def test_probabilities_of_zero_and_one_are_taken():
    target = torch.tensor([[[0, 0, 1, 1]]])
    result = scored(two_classes(torch.tensor([[[0.0, 0.0, 1.0, 1.0]]])), target, ["background", "vessel"])
    assert (result.rows[0].scores["roc_auc"], result.rows[0].scores["average_precision"]) == (1, 1)
    assert list(result.overall.values()) == [1, 1]


def test_nan_is_refused():
    probs, target = random_case((9, 8))
    probs[0, 1, 0, 0] = math.nan
    with pytest.raises(ValueError, match="probs hold nan in 1 places"):
        scored(probs, target)


def test_one_bin_is_refused():
    with pytest.raises(ValueError, match="bins=1 must be an integer of at least 2"):
        RankingScores(NAMES, bins=1)


@pytest.mark.parametrize("regions", [None, REGIONS])
def test_every_figure_has_its_protocol(regions):
    probs, target = random_case((4, 4), classes=2 if regions else 3)
    result = scored(probs, torch.stack([target] * 2, dim=1) % 2 if regions else target, regions=regions)
    figures = set(result.rows[0].scores) | set(result.overall)
    info = RankingScores(NAMES, regions).info
    assert set(info) == figures
    assert ("region" in info["roc_auc"].protocol) == bool(regions)
