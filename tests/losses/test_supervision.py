"""Deep supervision against torch's interpolation and sums by hand."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from segexp.losses import BinaryCrossEntropy, CrossEntropy, DeepSupervision, Dice
from segexp.losses.supervision import resized
from tests.losses.examples import draw


@pytest.mark.parametrize(
    ("old", "new"), [((8, 12), (4, 6)), ((9, 7), (4, 3)), ((10, 10), (3, 10)), ((5, 4), (9, 8)), ((7, 6, 5), (3, 3, 2))]
)
def test_resized_equals_torchs_nearest_exact(old: tuple[int, ...], new: tuple[int, ...]) -> None:
    values = torch.rand(2, 3, *old)
    assert torch.equal(resized(values, new), interpolate(values, size=new, mode="nearest-exact"))


def test_labels_that_float32_cannot_hold_stay() -> None:
    label = torch.full((1, 4, 4), 2**24 + 1)
    assert resized(label, (2, 2)).unique().item() == 2**24 + 1


def heads_of(kind: str, *sizes: tuple[int, ...]) -> list[Tensor]:
    return [draw(kind, *size)[0] for size in sizes]


@pytest.mark.parametrize(("kind", "loss"), [("classes", CrossEntropy()), ("regions", BinaryCrossEntropy())])
@pytest.mark.parametrize("sizes", [((8, 12), (4, 6), (2, 3)), ((4, 6, 4), (2, 3, 2), (1, 2, 1))])
def test_weights_halve_with_each_head(kind: str, loss: torch.nn.Module, sizes: tuple) -> None:
    heads = heads_of(kind, *sizes)
    _, target, weight = draw(kind, *sizes[0])
    total = 0.0
    for share, logits in zip([4 / 7, 2 / 7, 1 / 7], heads, strict=True):
        size = logits.shape[2:]
        channels = target if kind == "regions" else target[:, None]
        small = interpolate(channels.float(), size=size, mode="nearest-exact").long()
        small_weight = interpolate(weight[:, None], size=size, mode="nearest-exact")[:, 0]
        total = total + share * loss(logits, small if kind == "regions" else small[:, 0], small_weight)
    torch.testing.assert_close(DeepSupervision()(loss, heads, target, weight), total)


def test_heads_of_full_size_and_weights_by_hand() -> None:
    heads = heads_of("classes", (6, 6), (6, 6), (6, 6))
    heads = [logits + k for k, logits in zip([0, torch.randn(1, 3, 1, 1), 0], heads, strict=True)]
    _, target, _ = draw("classes", 6, 6)
    loss = Dice()
    expected = 1.0 * loss(heads[0], target) + 0.5 * loss(heads[1], target)
    torch.testing.assert_close(DeepSupervision([1, 0.5, 0])(loss, heads, target), expected)


def test_one_head_is_the_plain_loss() -> None:
    logits, target, weight = draw("classes", 6, 6)
    loss = CrossEntropy()
    assert DeepSupervision()(loss, [logits], target, weight) == loss(logits, target, weight)


def test_every_head_learns() -> None:
    heads = heads_of("classes", (8, 8), (4, 4), (2, 2))
    _, target, _ = draw("classes", 8, 8, ignored=0)
    slopes = torch.autograd.grad(DeepSupervision()(CrossEntropy(), heads, target), heads)
    assert all(slope.any() for slope in slopes)


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ([1, 0.5], r"weights=\[1, 0.5\] are 2, but the network has 3 heads: give one weight per head, the finest"),
        ([1, -0.5, 0], r"weights\[1\]=-0\.5 must be a number of at least 0"),
        ([0, 0, 0], "must be finite, and one at least above 0"),
        ([], r"weights=\[\] must be finite, and one at least above 0"),
    ],
)
def test_refuses_wrong_weights(weights: list[float], sentence: str) -> None:
    heads = heads_of("classes", (8, 8), (4, 4), (2, 2))
    with pytest.raises(ValueError, match=sentence):
        DeepSupervision(weights)(CrossEntropy(), heads, draw("classes", 8, 8)[1])
