import numpy as np
import pytest
import torch

from segexp.metrics import DecisionRule, PartitionScores, certain_probs
from segexp.metrics.labels import most_probable


def test_labels_at_a_threshold_score_as_the_probabilities_do():
    rng = np.random.default_rng(0)
    probs = torch.from_numpy(rng.dirichlet([1, 1, 1], (2, 24, 24))).permute(0, 3, 1, 2)
    target = torch.from_numpy(rng.integers(0, 2, (2, 24, 24)))
    metric = PartitionScores(thresholds=[0.3, 0.5, 0.8])
    for threshold in metric.thresholds:
        metric.reset()
        metric.chosen = {"threshold": threshold}
        metric.update(probs, target, torch.arange(2))
        labels = np.stack([DecisionRule(1, threshold).labels(one) for one in probs])
        certain = torch.nn.functional.one_hot(torch.from_numpy(labels).long(), 3).permute(0, 3, 1, 2).double()
        again = PartitionScores(thresholds=[0.3, 0.5, 0.8])
        again.chosen = {"threshold": threshold}
        again.update(certain, target, torch.arange(2))
        assert again.compute().rows == metric.compute().rows
    assert np.array_equal(DecisionRule().labels(probs[0]), probs[0].argmax(0).numpy())
    assert np.array_equal(DecisionRule().labels(probs[0], regions=True), probs[0].numpy() > 0.5)


@pytest.mark.parametrize("size", [(2, 5, 6, 7), (1, 300, 4), (3, 1, 2), (2, 4, 0)])
def test_the_most_probable_class_is_the_argmax_the_first_of_equal_ones(size):
    probs = torch.randint(0, 4, size, generator=torch.Generator().manual_seed(0)) / 4
    labels = most_probable(probs, 1)
    assert torch.equal(labels.long(), probs.argmax(dim=1))
    assert labels.dtype == (torch.uint8 if size[1] <= 256 else torch.int64)
    assert torch.equal(most_probable(probs.movedim(1, -1), -1), labels)


def test_labels_become_probabilities_of_zero_and_one():
    labels = torch.tensor([[0, 2], [1, 255]])
    probs = certain_probs(labels, 3)
    assert probs.argmax(0).tolist() == [[0, 2], [1, 0]]  # what is no class counts as background
    assert probs.sum(0).tolist() == [[1, 1], [1, 1]]
    regions = torch.tensor([[[1, 0, 255]], [[0, 1, 1]]])
    assert certain_probs(regions, None).tolist() == [[[1, 0, 0]], [[0, 1, 1]]]
