import math

import numpy as np
import pytest
import torch
from scipy.ndimage import generate_binary_structure
from scipy.ndimage import label as scipy_label
from scipy.optimize import linear_sum_assignment
from torch.nn.functional import one_hot
from torchmetrics.functional.detection import panoptic_quality

from segexp.metrics import ObjectScores

NAMES = ["background", "nucleus"]
THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def probs_of(pred, classes):
    """Probabilities whose argmax is `pred` (B, *S)."""
    return one_hot(pred, classes).movedim(-1, 1).float()


def scored(pred, target, names=NAMES, **options):
    metric = ObjectScores(names, **options)
    pred, target = (torch.as_tensor(np.asarray(x)).long() for x in (pred, target))
    metric.update(probs_of(pred, len(names)), target, torch.arange(len(pred)))
    return metric.compute()


def figures(pred, target, **options):
    """F1, AP and PQ of a single case."""
    (row,) = scored(np.asarray(pred)[None], np.asarray(target)[None], **options).rows
    return row.scores["object_f1"], row.scores["object_ap"], row.scores["object_pq"]


def blobs(rng, size, count, radius=3):
    """(*S) int: `count` boxes at random places."""
    mask = np.zeros(size, dtype=int)
    for _ in range(count):
        corner = [rng.integers(0, n) for n in size]
        mask[tuple(slice(c, c + rng.integers(1, radius + 1)) for c in corner)] = 1
    return mask


def moved(rng, mask, share=0.15):
    """The same objects with some pixels lost and found."""
    noise = rng.random(mask.shape)
    return np.where(noise < share, np.roll(mask, 1, axis=0), np.where(noise > 1 - share / 3, 1 - mask, mask))


def by_brute_force(pred, truth, full=False):
    """F1, AP and PQ from the dense table of all pairs, matched by an optimal assignment."""
    structure = generate_binary_structure(pred.ndim, pred.ndim if full else 1)
    (p, n_p), (t, n_t) = (scipy_label(x, structure) for x in (pred, truth))
    if n_p + n_t == 0:
        return math.nan, math.nan, math.nan
    iou = np.array(
        [
            [((p == i) & (t == j)).sum() / ((p == i) | (t == j)).sum() for i in range(1, n_p + 1)]
            for j in range(1, n_t + 1)
        ]
    ).reshape(n_t, n_p)
    matched = [iou[linear_sum_assignment(-(iou * (iou > thr)))] for thr in THRESHOLDS]
    tp = [(found > thr).sum() for found, thr in zip(matched, THRESHOLDS, strict=True)]
    ap = np.mean([k / (n_p + n_t - k) for k in tp])
    pq = matched[0][matched[0] > 0.5].sum() / (tp[0] + (n_p - tp[0]) / 2 + (n_t - tp[0]) / 2)
    return 2 * tp[0] / (n_p + n_t), ap, pq


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_three_nuclei_by_hand():
    truth = [[1, 1, 1, 1, 0, 1, 1, 0, 1, 0, 0]]
    pred = [[1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 1]]
    # IoU 3/4 and 1, one nucleus missed, one invented: TP 2 up to 0.7, then 1
    f1, ap, pq = figures(pred, truth)
    assert f1 == pytest.approx(2 * 2 / 6)
    assert ap == pytest.approx((5 * 2 / 4 + 5 * 1 / 5) / 10)
    assert pq == pytest.approx((0.75 + 1) / (2 + 1 / 2 + 1 / 2))


def test_an_iou_of_exactly_the_threshold_is_no_match():
    truth, half, three_fifths = [[1, 1, 1, 1, 1, 0]], [[0, 0, 1, 1, 1, 1]], [[1, 1, 1, 0, 0, 0]]
    assert figures(half, truth) == (0, 0, 0)  # 3 of 6
    assert figures(three_fifths, truth) == pytest.approx((1, 2 / 10, 3 / 5))  # at 0.5 and 0.55, not at 0.6


def test_two_halves_of_a_nucleus_do_not_both_match_it():
    truth = [[1, 1, 1, 1, 1, 1, 1, 1]]
    pred = [[1, 1, 1, 1, 1, 0, 1, 1]]
    f1, _, pq = figures(pred, truth)
    assert f1 == pytest.approx(2 / 3)
    assert pq == pytest.approx((5 / 8) / 1.5)


def test_touching_nuclei_are_one_object_and_a_border_class_parts_them():
    target = np.array([[[1, 1, 2, 1, 1, 0]]])
    merged = np.array([[[1, 1, 1, 1, 1, 0]]])
    names = ["background", "nucleus", "border"]
    (row,) = scored(target, target, names, only=["nucleus"]).rows
    assert (row.label, row.scores["object_f1"]) == ("nucleus", 1)
    (row,) = scored(merged, target, names, only=["nucleus"]).rows
    assert row.scores["object_f1"] == 0  # one predicted object that covers each of the two to 2/5


def test_corners_join_where_all_neighbors_count():
    truth, pred = [[1, 0], [0, 1]], [[1, 0], [0, 0]]
    assert figures(pred, truth)[0] == pytest.approx(2 / 3)
    assert figures(pred, truth, connectivity="full")[0] == 0  # half of the only object
    assert figures(truth, truth, connectivity="full") == (1, 1, 1)


def test_small_components_are_no_objects_in_prediction_and_truth():
    truth = [[1, 1, 1, 0, 1, 0, 0]]
    pred = [[1, 1, 1, 0, 0, 0, 1]]
    assert figures(pred, truth)[0] == pytest.approx(1 / 2)
    assert figures(pred, truth, min_size=2) == figures(pred, truth, min_size=3) == (1, 1, 1)
    assert all(math.isnan(value) for value in figures(pred, truth, min_size=4))


def test_f1_is_scored_at_the_first_threshold_and_quality_at_a_half():
    truth, pred = [[1, 1, 1, 1, 0]], [[1, 1, 1, 0, 0]]
    assert figures(pred, truth, thresholds=(0.8, 0.7)) == pytest.approx((0, 1 / 2, 3 / 4))


# --- against other implementations ------------------------------------------------------------------------------------


@pytest.mark.parametrize("connectivity", ["faces", "full"])
@pytest.mark.parametrize("size", [(30, 26), (12, 11, 10)])
@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_an_optimal_assignment_over_all_pairs(size, seed, connectivity):
    rng = np.random.default_rng(seed)
    truth = blobs(rng, size, 25)
    pred = moved(rng, truth)
    expected = by_brute_force(pred, truth, full=connectivity == "full")
    assert 0 < expected[1] < 1
    assert figures(pred, truth, connectivity=connectivity) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_panoptic_quality_of_torchmetrics(seed):
    rng = np.random.default_rng(seed)
    truth = blobs(rng, (40, 40), 40)
    pred = moved(rng, truth)
    pairs = [torch.from_numpy(np.stack([x, scipy_label(x)[0]], axis=-1))[None] for x in (pred, truth)]
    pq, _, rq = panoptic_quality(*pairs, things={1}, stuffs={0}, return_per_class=True, return_sq_and_rq=True)[0]
    f1, _, quality = figures(pred, truth)
    assert (f1, quality) == pytest.approx((float(rq), float(pq)), abs=1e-6)


def test_pooled_figures_count_the_objects_of_all_cases_together():
    rng = np.random.default_rng(7)
    truth = np.stack([blobs(rng, (20, 20), count) for count in (3, 30, 0)])
    pred = np.stack([moved(rng, mask) for mask in truth])
    whole = scored(pred, truth).overall
    gap = np.zeros((1, 20), dtype=int)
    beside = [np.concatenate([row for mask in x for row in (mask, gap)]) for x in (pred, truth)]
    f1, ap, _ = by_brute_force(*beside)
    assert whole["object_f1_pooled_nucleus"] == pytest.approx(f1)
    assert whole["object_ap_pooled_nucleus"] == pytest.approx(ap)


# --- degenerate cases -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (4, 5), (2, 3, 4)])
@pytest.mark.parametrize(
    ("pred", "target", "expected"),
    [(0, 0, math.nan), (1, 1, 1), (1, 0, 0), (0, 1, 0), (1, 255, math.nan), (1, -1, math.nan)],
)
def test_degenerate_cases(pred, target, expected, size):
    result = scored(torch.full((1, *size), pred), torch.full((1, *size), target))
    values = [value for key, value in result.rows[0].scores.items() if key.startswith("object")]
    assert values == pytest.approx([expected] * 3, nan_ok=True)
    assert list(result.overall.values()) == pytest.approx([expected] * 2, nan_ok=True)


def test_ignored_pixels_cut_prediction_and_truth_alike():
    truth = np.array([[[1, 1, 255, 1, 1, 0, 255, 255]]])
    pred = np.array([[[1, 1, 1, 1, 1, 0, 1, 1]]])
    result = scored(pred, truth)
    assert result.rows[0].scores["object_f1"] == 1
    assert result == scored(np.where(truth == 255, 0, pred), truth)


def test_a_class_absent_from_both_is_undefined_and_the_other_is_not():
    names = ["background", "lymphocyte", "neutrophil"]
    pred = target = np.array([[[0, 1, 0, 1]]])
    first, second = scored(pred, target, names).rows
    assert first.scores["object_f1"] == 1
    assert math.isnan(second.scores["object_f1"])


def test_overlapping_regions_are_scored_each_on_its_own():
    rng = np.random.default_rng(3)
    truth = np.stack([blobs(rng, (24, 24), 20), blobs(rng, (24, 24), 10)])
    pred = np.stack([moved(rng, mask) for mask in truth])
    metric = ObjectScores(["background", "a", "b"], ["whole", "core"])
    probs = torch.from_numpy(np.where(pred == 1, 0.7, 0.4))
    metric.update(probs[None], torch.from_numpy(truth)[None], torch.tensor([0]))
    for k, row in enumerate(metric.compute().rows):
        found = row.scores["object_f1"], row.scores["object_ap"], row.scores["object_pq"]
        assert found == pytest.approx(by_brute_force(pred[k], truth[k]))


@pytest.mark.parametrize("size", [(20, 20), (8, 9, 7)])
def test_order_and_size_of_batches_do_not_matter(size):
    rng = np.random.default_rng(5)
    truth = np.stack([blobs(rng, size, 12) for _ in range(4)])
    pred = np.stack([moved(rng, mask) for mask in truth])
    metric = ObjectScores(NAMES)
    for i in (3, 1, 0, 2):
        batch = torch.from_numpy(pred[i : i + 1]), torch.from_numpy(truth[i : i + 1])
        metric.update(probs_of(batch[0], 2), batch[1], torch.tensor([i]))
    assert metric.compute() == scored(pred, truth)


def test_many_objects_are_matched_without_a_table_of_all_pairs():
    truth = np.zeros((400, 400), dtype=int)
    truth[::2, ::2] = 1  # 40,000 objects; a table of all pairs would take 12 GB
    assert figures(truth, truth) == (1, 1, 1)


# --- what is refused, what is said ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"connectivity": "corners"}, "connectivity='corners' is not one of"),
        ({"thresholds": ()}, "thresholds="),
        ({"thresholds": (-0.1, 0.5)}, "thresholds="),
        ({"thresholds": (0.5, 1.0)}, "thresholds="),
        ({"min_size": -1}, "min_size=-1"),
        ({"only": ["nuclei"]}, "did you mean 'nucleus'"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ObjectScores(NAMES, **options)


def test_every_figure_has_its_protocol():
    result = scored(torch.zeros(1, 2, 2, dtype=torch.int64), torch.zeros(1, 2, 2))
    info = ObjectScores(NAMES, thresholds=(0.75, 0.9), min_size=9, connectivity="full").info
    protocol = {name: one.protocol for name, one in info.items()}
    assert set(protocol) == set(result.rows[0].scores) | set(result.overall)
    assert "IoU > 0.75" in protocol["object_f1"]
    assert "at least 9 px" in protocol["object_f1"]
    assert "corner" in protocol["object_f1"]
    assert "not COCO" in protocol["object_ap"]
