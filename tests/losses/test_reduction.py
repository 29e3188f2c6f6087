"""Means, sums and nothing of the two, by hand."""

import torch

from segexp.losses.reduction import reduce_classes, reduce_overlaps, reduce_pixels

LOSSES = torch.tensor([[1.0, 2.0], [3.0, 6.0]])


def test_of_pixels() -> None:
    counted = torch.tensor([[True, True], [True, False]])
    weight = torch.tensor([[1.0, 2.0], [1.0, 0.0]])
    assert reduce_pixels(LOSSES, weight, counted) == (1 + 4 + 3) / 3
    assert reduce_pixels(LOSSES, weight, counted, "sum") == 1 + 4 + 3
    assert reduce_pixels(LOSSES, weight, counted, "none").tolist() == [[1, 4], [3, 0]]
    assert reduce_pixels(LOSSES, None, torch.zeros(2, 2)) == 12  # where none counts the losses are 0


def test_of_classes() -> None:
    factors = torch.tensor([1.0, 3.0])
    assert reduce_classes(LOSSES) == 3
    assert reduce_classes(LOSSES, factors) == ((1 + 3) * 1 + (2 + 6) * 3) / (2 * (1 + 3))
    assert reduce_classes(LOSSES, factors, "sum") == 28
    assert reduce_classes(LOSSES, factors, "none").tolist() == [[1, 6], [3, 18]]
    assert reduce_classes(LOSSES, torch.zeros(2)) == 0


def test_of_overlaps() -> None:
    overlaps = torch.tensor([[0.25, 0.5]])
    assert reduce_overlaps(overlaps) == 1 - 0.375
    assert reduce_overlaps(overlaps, torch.tensor([0.0, 1.0])) == 0.5
    assert reduce_overlaps(overlaps, None, "sum") == 1.25
    assert reduce_overlaps(overlaps, None, "none").tolist() == [[0.75, 0.5]]
