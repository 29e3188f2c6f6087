import math

import numpy as np
import pytest
import torch
from scipy.ndimage import generate_binary_structure
from scipy.ndimage import label as scipy_label
from scipy.optimize import linear_sum_assignment
from skimage.segmentation import relabel_sequential
from torch.nn.functional import one_hot
from torchmetrics.functional.detection import panoptic_quality

from segexp.metrics import ObjectScores

NAMES = ["background", "nucleus"]
THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def probs_of(pred, classes):
    """Probabilities whose argmax is `pred` (B, *S)."""
    return one_hot(pred, classes).movedim(-1, 1).float()


def scored(pred, target, names=NAMES, instances=None, **options):
    metric = ObjectScores(names, **options)
    pred, target = (torch.as_tensor(np.asarray(x)).long() for x in (pred, target))
    numbers = None if instances is None else torch.as_tensor(np.asarray(instances))
    metric.update(probs_of(pred, len(names)), target, torch.arange(len(pred)), instances=numbers)
    return metric.compute()


def figures(pred, target, instances=None, **options):
    """F1, AP and PQ of a single case."""
    numbers = None if instances is None else np.asarray(instances)[None]
    (row,) = scored(np.asarray(pred)[None], np.asarray(target)[None], instances=numbers, **options).rows
    return row.scores["object_f1"], row.scores["object_ap"], row.scores["object_pq"]


def blobs(rng, size, count, radius=3):
    """(*S) int: `count` boxes at random places."""
    mask = np.zeros(size, dtype=int)
    for _ in range(count):
        corner = [rng.integers(0, n) for n in size]
        mask[tuple(slice(c, c + rng.integers(1, radius + 1)) for c in corner)] = 1
    return mask


def touching(rng, size, count):
    """(*S) int: boxes at random places, numbered with gaps, that touch and cover one another."""
    numbers = np.zeros(size, dtype=np.int32)
    for number in rng.choice(70000, count, replace=False) + 1:
        corner = [rng.integers(0, n) for n in size]
        numbers[tuple(slice(c, c + rng.integers(2, 6)) for c in corner)] = number
    return numbers


def moved(rng, mask, share=0.15):
    """The same objects with some pixels lost and found."""
    noise = rng.random(mask.shape)
    return np.where(noise < share, np.roll(mask, 1, axis=0), np.where(noise > 1 - share / 3, 1 - mask, mask))


def by_brute_force(pred, truth, full=False):
    """F1, AP and PQ of the components of two masks."""
    structure = generate_binary_structure(pred.ndim, pred.ndim if full else 1)
    return by_all_pairs(*(scipy_label(x, structure)[0] for x in (pred, truth)))


def by_all_pairs(p, t):
    """F1, AP and PQ of objects numbered from 1, from the dense table of all pairs, matched by an optimal assignment."""
    n_p, n_t = p.max(), t.max()
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


# --- numbered objects -------------------------------------------------------------------------------------------------


def test_numbers_keep_touching_objects_apart_and_the_pieces_of_one_together_by_hand():
    truth, numbers = [[1, 1, 1, 1, 1, 0, 1]], [[7, 7, 7, 9, 9, 0, 7]]
    merged, parted = [[1, 1, 1, 1, 1, 0, 0]], [[1, 1, 1, 0, 1, 0, 0]]
    assert figures(merged, truth)[0] == pytest.approx(2 / 3)  # of two components
    assert figures(merged, truth, numbers)[0] == 0  # 3 of 6 px of 7, 2 of 5 of 9
    assert figures(parted, truth, numbers)[0] == pytest.approx(2 / 4)  # 3 of 4 px of 7; 1 of 2 of 9 is not above a half
    assert figures(parted, truth, numbers, thresholds=[0.4])[0] == 1


@pytest.mark.parametrize("size", [(30, 26), (12, 11, 10)])
@pytest.mark.parametrize("seed", range(4))
def test_numbered_objects_agree_with_an_optimal_assignment_over_all_pairs(size, seed):
    rng = np.random.default_rng(seed)
    numbers = touching(rng, size, 25)
    truth = (numbers > 0).astype(int)
    pred = moved(rng, truth, 0.03)
    expected = by_all_pairs(scipy_label(pred)[0], relabel_sequential(numbers)[0])
    assert figures(pred, truth, numbers) == pytest.approx(expected)
    assert expected != by_brute_force(pred, truth)


@pytest.mark.parametrize("seed", range(3))
def test_numbered_objects_agree_with_panoptic_quality_of_torchmetrics(seed):
    rng = np.random.default_rng(seed)
    numbers = touching(rng, (40, 40), 12)
    classes = np.where(numbers > 0, 1 + numbers % 2, 0)  # touching objects of one class and of two
    pred = np.where(moved(rng, (numbers > 0).astype(int), 0.02) > 0, np.maximum(classes, 1), 0)
    parts = [scipy_label(pred == k)[0] for k in (1, 2)]
    pairs = np.stack([pred, parts[0] + parts[1]], -1), np.stack([classes, numbers], -1)
    wanted = panoptic_quality(
        *(torch.from_numpy(pair.astype(np.int64))[None] for pair in pairs),
        things={1, 2},
        stuffs={0},
        return_per_class=True,
        return_sq_and_rq=True,
    )
    rows = scored(pred[None], classes[None], ["background", "a", "b"], numbers[None]).rows
    for row, (pq, _, rq) in zip(rows, wanted[:2].tolist(), strict=True):
        assert (row.scores["object_f1"], row.scores["object_pq"]) == pytest.approx((rq, pq), abs=1e-6)


@pytest.mark.parametrize("size", [(30, 26), (12, 11, 10)])
def test_numbers_of_objects_that_do_not_touch_change_nothing(size):
    rng = np.random.default_rng(0)
    truth = blobs(rng, size, 25)
    numbers = scipy_label(truth)[0] * 300
    pred = moved(rng, truth)
    for options in ({}, {"min_size": 3}, {"thresholds": [0.2, 0.6]}):
        one, other = (scored(pred[None], truth[None], instances=given, **options) for given in (None, numbers[None]))
        assert one == other


def test_objects_end_where_pixels_do_not_count_and_where_their_class_does():
    numbers = [[1, 1, 1, 2, 2, 2, 3, 3]]
    truth = [[1, 1, 255, 1, 255, 1, 2, 2]]
    first, second = scored([[[1, 1, 0, 1, 0, 1, 2, 2]]], [truth], ["ground", "a", "b"], [numbers]).rows
    assert first.scores["object_f1"] == pytest.approx(2 / 5)  # 2 is one object of two pieces, predicted are two
    assert second.scores["object_f1"] == 1
    assert figures([[1, 1, 1, 1, 0, 1, 0, 0]], np.where(np.equal(truth, 2), 0, truth), numbers, min_size=2)[0] == 2 / 3


def test_the_protocol_says_what_the_true_objects_were():
    names, numbers = ["ground", "cell", "border"], np.array([[[1, 1, 2, 2, 0, 0]]])
    both = np.array([[[1, 1, 1, 1, 0, 2]]])

    def words(target, instances, **options):
        metric = ObjectScores(names, **options)
        metric.update(probs_of(torch.as_tensor(both), 3), torch.as_tensor(target), torch.tensor([0]), None, instances)
        metric.compute()
        return {info.protocol.split(" px; ")[0].partition("; ")[2] for info in metric.info.values()}

    number = torch.as_tensor(numbers)
    plain = "objects are components of pixels sharing a face, of at least 1"
    masks = "predicted objects are components of pixels sharing a face, true ones those of the instance masks"
    assert words(both, None) == words(0 * both, number) == {plain}
    assert words(both, number, only=["cell"]) == {f"{masks}, of at least 1"}
    assert words(both, number) == {f"{masks} where these number them, else components, of at least 1"}


def test_a_class_without_numbers_has_components_for_objects():
    numbers = [[1, 1, 2, 2, 0, 0, 0, 0]]
    target = [[1, 1, 1, 1, 0, 2, 2, 2]]
    first, second = scored([target], [target], ["ground", "cell", "border"], [numbers]).rows
    assert (first.scores["object_f1"], second.scores["object_f1"]) == (0, 1)


@pytest.mark.parametrize(
    ("instances", "message"),
    [
        (torch.zeros(1, 2, 3), "instances of torch.float32 must be a tensor of integers"),
        (torch.zeros(1, 3, 2, dtype=torch.int32), r"instances \(1, 3, 2\) and probs \(1, 2, 2, 3\)"),
        (torch.full((1, 2, 3), -1), "instances hold -1"),
        ([[1]], "instances of list"),
    ],
)
def test_instances_that_number_nothing_are_refused(instances, message):
    with pytest.raises(ValueError, match=message):
        ObjectScores(NAMES).update(torch.rand(1, 2, 2, 3), torch.zeros(1, 2, 3), torch.tensor([0]), instances=instances)


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
