"""Entropy against scipy."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy as scipy_entropy
from torch import Tensor

from segexp.inference import entropy


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("classes", [2, 5])
def test_entropy_of_classes(classes: int) -> None:
    probs = draw(classes, 6, 7).softmax(0)
    probs[:, 0, 0] = torch.eye(classes)[0]
    probs[:, 0, 1] = 1 / classes
    found = entropy(probs)
    np.testing.assert_allclose(found, scipy_entropy(probs.numpy(), axis=0) / math.log(classes), atol=1e-6)
    assert found[0, 0] == 0
    assert found[0, 1] == pytest.approx(1)


def test_entropy_of_regions() -> None:
    probs = torch.cat([torch.tensor([[0.0, 1.0, 0.5]]), torch.rand(1, 3)])
    both = np.stack([probs.numpy(), 1 - probs.numpy()])
    np.testing.assert_allclose(entropy(probs, "sigmoid"), scipy_entropy(both, base=2, axis=0), atol=1e-6)


def test_entropy_stays_in_range_where_a_mean_is_off_by_a_rounding() -> None:
    off = torch.tensor([1.0 + 1e-7, -1e-7])
    assert entropy(off[:, None]) == 0
    assert not entropy(off[:, None], "sigmoid").any()
    assert entropy(torch.full((7, 1), 1 / 7)) <= 1


def test_entropy_refuses() -> None:
    with pytest.raises(ValueError, match="of one class"):
        entropy(torch.ones(1, 4, 4))
    with pytest.raises(ValueError, match="activation='softmx'"):
        entropy(torch.ones(2, 4), "softmx")
