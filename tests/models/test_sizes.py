"""Sizes by hand."""

import torch

from segexp.models.sizes import EvenSizes, center_crop_or_pad, crop_end, pad_end


def test_sizes():
    line = torch.arange(5.0).reshape(1, 1, 5)
    assert pad_end(line, [7]).flatten().tolist() == [0, 1, 2, 3, 4, 4, 4]
    assert pad_end(line, [3]) is line
    assert torch.equal(crop_end(pad_end(line, [9]), [5]), line)
    assert center_crop_or_pad(line, [3]).flatten().tolist() == [1, 2, 3]
    assert center_crop_or_pad(line, [7]).flatten().tolist() == [0, 0, 1, 2, 3, 4, 0]
    assert [EvenSizes(64, 32).at_least(side) for side in (1, 32, 33, 64)] == [64, 64, 64, 64]
    assert [EvenSizes(64, 32).at_least(side) for side in (65, 96, 97)] == [96, 96, 128]
