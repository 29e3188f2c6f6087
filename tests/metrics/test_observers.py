import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from segexp.metrics import ObjectScores, OverlapScores, score_observer


def test_observer_is_scored_as_a_prediction_would_be_and_the_metrics_stay():
    rng = np.random.default_rng(0)
    truths = [torch.from_numpy(rng.integers(0, 3, (9, 7))) for _ in range(3)]
    labels = [torch.from_numpy(rng.integers(0, 3, (9, 7))) for _ in range(3)]
    metric = OverlapScores(["ground", "a", "b"])
    metric.update(torch.rand(1, 3, 9, 7), truths[0][None], torch.tensor([5]))
    figures = score_observer([metric], truths, labels, [torch.ones(2)] * 3, 3)
    pairs = list(zip(truths, labels, strict=True))
    wanted = np.mean([f1_score(t.ravel(), p.ravel(), labels=[1, 2], average=None) for t, p in pairs], axis=0)
    assert [figures["dice_a"], figures["dice_b"]] == pytest.approx(list(wanted))
    assert [row.case for row in metric.compute().rows] == [5, 5]


def test_unlabelled_pixels_count_nowhere():
    truth = torch.tensor([[0, 1, 255], [1, 1, 255]])
    label = torch.tensor([[0, 1, 255], [1, 0, 255]])
    figures = score_observer([OverlapScores(["ground", "object"])], [truth], [label], [torch.ones(2)], 2)
    assert figures["dice"] == pytest.approx(2 * 2 / (2 + 3))


def test_observer_of_overlapping_regions():
    rng = np.random.default_rng(1)
    truths = [torch.from_numpy(rng.integers(0, 2, (2, 9, 7))) for _ in range(3)]
    labels = [torch.from_numpy(rng.integers(0, 2, (2, 9, 7))) for _ in range(3)]
    labels[0][0, 0] = 255  # what the observer left open counts as outside
    figures = score_observer(
        [OverlapScores(["ground", "a", "b"], ["whole", "part"])], truths, labels, [torch.ones(2)] * 3, 3
    )
    for i, name in enumerate(("whole", "part")):
        wanted = [f1_score(t[i].ravel(), (p[i] == 1).ravel()) for t, p in zip(truths, labels, strict=True)]
        assert figures[f"dice_{name}"] == pytest.approx(np.mean(wanted))


def test_true_objects_go_by_their_numbers_where_there_are_any():
    truths = [torch.tensor([[1, 1, 1, 1, 0]])] * 2
    metrics = [ObjectScores(["ground", "cell"]), OverlapScores(["ground", "cell"])]
    arguments = metrics, truths, truths, [torch.ones(2)] * 2, 2
    assert score_observer(*arguments)["object_f1"] == 1
    figures = score_observer(*arguments, [torch.tensor([[1, 1, 2, 2, 0]]), None])
    assert figures["object_f1"] == pytest.approx((0 + 1) / 2)
    assert figures["dice"] == 1
