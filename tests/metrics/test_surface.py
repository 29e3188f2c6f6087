import math

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion, gaussian_filter
from scipy.spatial.distance import cdist, directed_hausdorff
from skimage.metrics import hausdorff_distance
from torch.nn.functional import one_hot

from segexp.build import build_task
from segexp.config import compose, plain
from segexp.metrics import OverlapScores, SurfaceScores, surface
from segexp.metrics.surface import surface_distances

NAMES = ["background", "cup", "disc"]
pytestmark = pytest.mark.filterwarnings("ignore:monai.metrics.utils:FutureWarning")  # of what monai 1.6 calls itself
SPACINGS = {(24, 17): (0.7, 2.5), (9, 14, 12): (3.0, 0.8, 1.1)}
TOLERANCES = (0.0, 1.0, 2.5)


def labels_of(size, seed, cases=3, classes=3):
    """Coherent random label maps (B, *S), other ones per seed but near to each other."""
    shared, own = np.random.default_rng(0), np.random.default_rng(seed)
    fields = [
        [
            gaussian_filter(shared.normal(size=size), 1.5) + 0.15 * own.normal(size=size) * (k > 0)
            for k in range(classes)
        ]
        for _ in range(cases)
    ]
    return torch.from_numpy(np.argmax(fields, axis=1))


def probs_of(pred, classes=3):
    return one_hot(pred, classes).movedim(-1, 1).double()


def figures(probs, target, spacing, names=NAMES, **options):
    """Figures (B, K, 2 + tolerances) as `compute` hands them out."""
    metric = SurfaceScores(names, **{"tolerances": TOLERANCES, **options})
    metric.update(probs, target, torch.arange(len(probs)), spacing)
    rows = metric.compute().rows
    values = [list(row.scores.values()) for row in rows]
    return torch.tensor(values, dtype=torch.float64).view(len(probs), -1, len(values[0]))


def figures_of_monai(pred, truth, spacing, ignore_index=None):
    """The same of masks (B, K, *S), the first channel left out."""
    monai = pytest.importorskip("monai.metrics")
    metrics = [
        monai.HausdorffDistanceMetric(percentile=95, ignore_index=ignore_index),
        monai.SurfaceDistanceMetric(symmetric=True, ignore_index=ignore_index),
        *(monai.SurfaceDiceMetric([t] * (pred.shape[1] - 1), ignore_index=ignore_index) for t in TOLERANCES),
    ]
    return torch.stack([metric(pred, truth, spacing=spacing.tolist()) for metric in metrics], dim=2).double()


def spacing_of(size, cases=3):
    """Another one for each case."""
    return torch.tensor(SPACINGS[size], dtype=torch.float64) * (1 + torch.arange(cases)[:, None] / 4)


@pytest.mark.parametrize("size", SPACINGS)
def test_agrees_with_monai_on_classes_with_unequal_spacing(size):
    pred, target, spacing = labels_of(size, 1), labels_of(size, 2), spacing_of(size)
    found = figures(probs_of(pred), target, spacing)
    assert found[..., 0].min() > 0
    expected = figures_of_monai(probs_of(pred), probs_of(target), spacing)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", SPACINGS)
def test_agrees_with_monai_on_noise(size):
    generator = torch.Generator().manual_seed(1)
    pred, target = (torch.randint(0, 3, (3, *size), generator=generator) for _ in range(2))
    found = figures(probs_of(pred), target, spacing_of(size))
    expected = figures_of_monai(probs_of(pred), probs_of(target), spacing_of(size))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", SPACINGS)
def test_agrees_with_monai_on_overlapping_regions(size):
    pred, target, spacing = labels_of(size, 3), labels_of(size, 4), spacing_of(size)
    found = figures(_regions(pred).double(), _regions(target), spacing, regions={"whole": [1, 2], "core": [2]})
    nothing = torch.zeros_like(pred)[:, None]  # the channel that monai leaves out
    masks = [torch.cat([nothing, _regions(labels)], dim=1).double() for labels in (pred, target)]
    torch.testing.assert_close(found, figures_of_monai(*masks, spacing), rtol=1e-5, atol=1e-6)


def _regions(labels):
    return torch.stack([labels > 0, labels == 2], dim=1).long()


@pytest.mark.parametrize("size", SPACINGS)
def test_agrees_with_monai_on_pixels_to_ignore(size):
    pred, target, spacing = labels_of(size, 5), labels_of(size, 6), spacing_of(size)
    ignored = torch.from_numpy(gaussian_filter(np.random.default_rng(7).normal(size=target.shape), 2)) > 0.02
    found = figures(probs_of(pred), target.masked_fill(ignored, 255), spacing)
    truth = probs_of(target) * ~ignored[:, None]  # no class at all: what monai takes as ignored
    expected = figures_of_monai(probs_of(pred), truth, spacing, ignore_index=255)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert not torch.equal(found, figures(probs_of(pred), target, spacing))


@pytest.mark.parametrize("size", SPACINGS)
def test_the_maximum_agrees_with_scipy_and_scikit_image(size):
    pred, target, spacing = labels_of(size, 8), labels_of(size, 9), spacing_of(size)
    found = figures(probs_of(pred), target, spacing, percentile=100)[..., 0]
    in_pixels = figures(probs_of(pred), target, None, percentile=100, unit="px")[..., 0]
    for case in range(3):
        for label in (1, 2):
            borders = [_eroded(labels[case] == label) for labels in (pred, target)]
            points = [np.argwhere(border) * spacing[case].numpy() for border in borders]
            expected = max(directed_hausdorff(*points)[0], directed_hausdorff(*points[::-1])[0])
            assert found[case, label - 1] == pytest.approx(expected)
            assert in_pixels[case, label - 1] == pytest.approx(hausdorff_distance(*borders))


def _eroded(mask):
    mask = np.asarray(mask)
    return mask & ~binary_erosion(mask)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.97])
@pytest.mark.parametrize("size", [(31,), (24, 17), (9, 14, 12)])
def test_neighbors_tree_and_transform_agree_with_all_pairs(size, share, monkeypatch):
    generator = np.random.default_rng(1)
    pred, truth = (generator.random(size) < share for _ in range(2))
    pred.flat[0] = truth.flat[-1] = True
    spacing = np.array([2.5, 0.7, 1.1][: len(size)])
    pairs = cdist(*(np.argwhere(_eroded(mask)) * spacing for mask in (pred, truth)))
    # The transform and the tree for all pixels, for those that few neighbors leave, and as it is.
    for crowded, neighbors in ((0, 0), (2, 0), (0, 9), (2, 9), (surface.CROWDED, surface.NEIGHBORS)):
        monkeypatch.setattr(surface, "CROWDED", crowded)
        monkeypatch.setattr(surface, "NEIGHBORS", neighbors)
        found = surface_distances(pred, truth, spacing)
        np.testing.assert_allclose(found[0], pairs.min(axis=1), atol=1e-12)
        np.testing.assert_allclose(found[1], pairs.min(axis=0), atol=1e-12)


def test_pixels_at_the_edge_of_the_image_are_borders():
    whole, half = torch.ones(1, 4, 6, dtype=torch.int64), torch.ones(1, 4, 6, dtype=torch.int64)
    half[..., 3:] = 0
    hausdorff, assd, *found = figures(
        probs_of(half, 2), whole, torch.ones(1, 2), NAMES[:2], percentile=100, tolerances=[0]
    ).flatten()
    # Of the whole 16 border pixels, 8 of them in the half, the others at 1, 1, 2, 2, 3, 3, 3, 3; of the half 10 border
    # pixels, 8 of them in both, the others 1 away.
    assert (hausdorff, assd, *found) == pytest.approx((3, 20 / 26, 16 / 26))


@pytest.mark.parametrize("step", [0.3, 1.0, float(np.float32(0.3))])
def test_two_lines_three_pixels_apart_by_hand(step):
    pred, target = torch.zeros(2, 1, 5, 9, dtype=torch.int64)
    pred[..., 2], target[..., 5] = 1, 1
    spacing = torch.tensor([[10.0, step]])
    found = figures(probs_of(pred, 2), target, spacing, NAMES[:2], tolerances=[2.9 * step, 0.9 if step < 1 else 3])
    assert found.flatten().tolist() == pytest.approx([3 * step, 3 * step, 0, 1])


def _ball(size, center, radius, spacing):
    axes = np.ogrid[tuple(slice(extent) for extent in size)]
    return sum(((x - c) * s) ** 2 for x, c, s in zip(axes, center, spacing, strict=True)) <= radius**2


def test_concentric_balls_are_as_far_apart_as_their_radii():
    size, spacing = (31, 61, 61), (1.0, 0.5, 0.5)
    small, large = (_ball(size, (15, 30, 30), radius, spacing) for radius in (6, 12))
    probs = probs_of(torch.from_numpy(small)[None].long(), 2)
    truth = torch.from_numpy(large)[None].long()
    hausdorff, assd, near, far = figures(
        probs, truth, torch.tensor([spacing]), NAMES[:2], tolerances=[5, 7]
    ).flatten()  # the center of a border pixel lies less than 1 mm inside
    assert hausdorff == pytest.approx(6, abs=0.5)
    assert assd == pytest.approx(6, abs=0.25)
    assert (near, far) == (0, 1)


def test_a_shifted_ball_is_off_by_the_shift_at_its_pole():
    size, spacing = (21, 41, 61), (1.0, 0.5, 0.5)
    here, there = (_ball(size, (10, 20, x), 8, spacing) for x in (25, 31))
    found = figures(
        probs_of(torch.from_numpy(here)[None].long(), 2),
        torch.from_numpy(there)[None].long(),
        torch.tensor([spacing]),
        NAMES[:2],
        percentile=100,
        tolerances=[3],
    ).flatten()
    assert found[0] == 3
    assert 0 < found[1] < 3
    assert found[2] == 1


@pytest.mark.parametrize(
    ("pred", "target", "distance", "share"),
    [
        (0, 0, math.nan, math.nan),  # neither has the class
        (1, 1, 0, 1),
        (1, 0, 10, 0),  # the diagonal: 3 × 2 mm and 8 × 1 mm
        (0, 1, 10, 0),
        (1, 255, math.nan, math.nan),  # nothing counts
        (1, -1, math.nan, math.nan),
    ],
)
def test_degenerate_cases(pred, target, distance, share):
    labels, truth = torch.full((1, 3, 8), pred), torch.full((1, 3, 8), target)
    found = figures(probs_of(labels, 2), truth, torch.tensor([[2.0, 1.0]]), NAMES[:2]).flatten().tolist()
    assert found == pytest.approx([distance, distance, *[share] * 3], nan_ok=True)


def test_nothing_found_is_worse_than_found_in_the_farthest_corner():
    for size in [(1, 1), (3, 8), (2, 3, 4)]:
        pred, target = torch.zeros(2, 1, *size, dtype=torch.int64)
        target.view(-1)[0] = 1
        spacing = torch.ones(1, len(size))
        missed = figures(probs_of(pred, 2), target, spacing, NAMES[:2]).flatten()
        pred.view(-1)[-1] = 1
        corner = figures(probs_of(pred, 2), target, spacing, NAMES[:2]).flatten()
        assert missed[0] > corner[0] == pytest.approx(math.dist([0] * len(size), [n - 1 for n in size]))


def test_a_missed_class_counts_where_monai_leaves_it_out():
    monai = pytest.importorskip("monai.metrics")
    pred, target = torch.zeros(2, 2, 12, 16, dtype=torch.int64)
    target[:, 3:9, 3:9] = 1
    pred[0, 3:9, 4:9] = 1  # the second case is missed
    metric = monai.HausdorffDistanceMetric(percentile=95)
    with pytest.warns(UserWarning, match="the prediction of class 1 is all 0"):
        metric(probs_of(pred, 2), probs_of(target, 2))
    assert metric.aggregate() == 1
    assert figures(probs_of(pred, 2), target, torch.ones(2, 2), NAMES[:2])[:, 0, 0].tolist() == [1, 20]


def test_rows_and_protocol_name_the_unit():
    metric = SurfaceScores(NAMES, tolerances=[1, 1.5])
    metric.update(
        probs_of(torch.ones(1, 4, 4, dtype=torch.int64)), torch.ones(1, 4, 4), torch.tensor([7]), torch.ones(1, 2)
    )
    result = metric.compute()
    names = ["hd95_mm", "assd_mm", "nsd_1mm", "nsd_1.5mm"]
    assert [(row.case, row.label) for row in result.rows] == [(7, "cup"), (7, "disc")]
    assert list(result.rows[0].scores) == names
    assert list(metric.info) == names
    assert (result.overall, result.chosen) == ({}, {})
    in_pixels = SurfaceScores(NAMES, REGIONS, "px", percentile=100)
    assert list(in_pixels.info) == ["hd100_px", "assd_px", "nsd_1px"]
    assert all("region" in info.protocol and "px" in info.protocol for info in in_pixels.info.values())


REGIONS = {"whole": [1, 2], "core": [2]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": "cm"}, "unit='cm' is not one of"),
        ({"tolerances": []}, "number of tolerances=0"),
        ({"tolerances": [1, -0.5]}, "tolerance=-0.5 must be a number of at least 0"),
        ({"tolerances": [1, 1.0]}, "repeat themselves: give each once"),
        ({"percentile": 0}, "percentile=0 must be a number above 0"),
        ({"percentile": 101}, "percentile=101 must be a number above 0 and at most 100"),
        ({"percentile": "95"}, "percentile='95' must be a number"),
    ],
)
def test_values_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SurfaceScores(NAMES, **options)


def test_millimetres_need_a_spacing():
    probs, target, case = torch.rand(1, 3, 4, 4), torch.zeros(1, 4, 4), torch.tensor([0])
    with pytest.raises(ValueError, match="spacing=None has no mm"):
        SurfaceScores(NAMES).update(probs, target, case)
    SurfaceScores(NAMES, unit="px").update(probs, target, case)


def test_the_configuration_puts_it_beside_the_overlap_in_the_unit_of_the_data():
    words = [
        "metrics=[overlap,surface]",
        "data.geometry.distance_unit=mm",
        "metrics.surface.tolerances=[1,2]",
        "name=test",
    ]
    config = plain(compose(words, run_dir="unused"))
    metrics = build_task(config).metrics
    assert any(isinstance(metric, OverlapScores) for metric in metrics)
    (found,) = (metric for metric in metrics if isinstance(metric, SurfaceScores))
    assert list(found.info) == ["hd95_mm", "assd_mm", "nsd_1mm", "nsd_2mm"]
    assert config["monitor"] == "val/dice"


@pytest.mark.parametrize("size", SPACINGS)
def test_a_tolerance_per_class_agrees_with_monai(size):
    pred, target, spacing = labels_of(size, 1), labels_of(size, 2), spacing_of(size)
    found = figures(probs_of(pred), target, spacing, class_tolerances={"disc": 2.5, "cup": 0.7})[..., -1]
    monai = pytest.importorskip("monai.metrics").SurfaceDiceMetric([0.7, 2.5])
    expected = monai(probs_of(pred), probs_of(target), spacing=spacing.tolist()).double()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_the_score_at_own_tolerances_has_its_name_and_says_them():
    metric = SurfaceScores(NAMES, tolerances=[1], class_tolerances={"cup": 0.5, "disc": 2})
    assert list(metric.info) == ["hd95_mm", "assd_mm", "nsd_1mm", "nsd_mm"]
    assert "within a tolerance of its own (cup 0.5, disc 2 mm)" in metric.info["nsd_mm"].protocol


@pytest.mark.parametrize("tolerances", [{"cup": 1}, {"cup": 1, "disc": 1, "rim": 1}, {}])
def test_refuses_tolerances_of_other_classes(tolerances):
    with pytest.raises(ValueError, match=r"must have one tolerance for each of \['cup', 'disc'\]"):
        SurfaceScores(NAMES, class_tolerances=tolerances)


def test_refuses_a_negative_tolerance_of_a_class():
    with pytest.raises(ValueError, match="tolerance=-1 must be a number of at least 0"):
        SurfaceScores(NAMES, class_tolerances={"cup": -1, "disc": 1})
