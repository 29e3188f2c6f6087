import numpy as np
import torch

from segexp.metrics import DecisionRule, PartitionScores, certain_probs


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


def test_labels_become_probabilities_of_zero_and_one():
    labels = torch.tensor([[0, 2], [1, 255]])
    probs = certain_probs(labels, 3)
    assert probs.argmax(0).tolist() == [[0, 2], [1, 0]]  # what is no class counts as background
    assert probs.sum(0).tolist() == [[1, 1], [1, 1]]
    regions = torch.tensor([[[1, 0, 255]], [[0, 1, 1]]])
    assert certain_probs(regions, None).tolist() == [[[1, 0, 0]], [[0, 1, 1]]]
