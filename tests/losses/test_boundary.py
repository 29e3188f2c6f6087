"""The boundary loss and its distances against scipy."""

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from segexp.losses import Boundary, signed_distance
from segexp.losses import boundary as room
from tests.losses.examples import draw


def scipy_signed_distance(inside: np.ndarray) -> np.ndarray:
    """Map of the authors' code; 0 for an empty or full mask."""
    if not inside.any() or inside.all():
        return np.zeros(inside.shape)
    return distance_transform_edt(~inside) - np.maximum(distance_transform_edt(inside) - 1, 0) * inside


def masks(*sizes: int) -> Tensor:
    """Random, sparse, one pixel, all but one pixel, empty, full, a block at the border: (7, 1, *sizes)."""
    generator = torch.Generator().manual_seed(3)
    random = torch.rand(sizes, generator=generator)
    one = torch.zeros(sizes, dtype=torch.bool)
    one.view(-1)[one.numel() // 3] = True
    block = torch.zeros(sizes, dtype=torch.bool)
    block[: sizes[0] // 2, : sizes[1] // 2] = True
    none = torch.zeros(sizes, dtype=torch.bool)
    return torch.stack([random < 0.5, random < 0.03, one, ~one, none, ~none, block]).unsqueeze(1)


@pytest.mark.parametrize("sizes", [(17, 23), (64, 5), (1, 9), (7, 8, 9), (3, 1, 20)])
@pytest.mark.parametrize("chunk", [1, 1000, room.CHUNK])
def test_signed_distance_equals_scipy(sizes: tuple[int, ...], chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "CHUNK", chunk)
    inside = masks(*sizes)
    theirs = np.stack([scipy_signed_distance(mask.numpy()) for mask in inside[:, 0]])[:, None]
    np.testing.assert_allclose(signed_distance(inside, ~inside), theirs, rtol=1e-6)


def test_large_distances_keep_their_digits() -> None:
    inside = torch.zeros(1, 1, 3, 1500, dtype=torch.bool)
    inside[..., 0, 0] = True
    theirs = distance_transform_edt(~inside[0, 0].numpy())
    np.testing.assert_allclose(signed_distance(inside, ~inside)[0, 0], theirs, rtol=2e-7)


def test_signs_by_hand() -> None:
    inside = torch.tensor([[[0, 0, 1, 1, 1, 1, 1, 0]]], dtype=torch.bool)
    assert signed_distance(inside, ~inside).tolist() == [[[2, 1, 0, -1, -2, -1, 0, 1]]]


@pytest.mark.parametrize("sizes", [(9, 11), (5, 6, 7)])
@pytest.mark.parametrize("include_background", [False, True])
def test_the_loss_is_the_mean_of_probability_times_distance(sizes: tuple[int, ...], include_background: bool) -> None:
    logits, target, weight = draw("classes", *sizes, ignored=0, dtype=torch.float64)
    target[1] = 0  # the others are absent from the second sample, the background fills it
    first = 0 if include_background else 1
    distance = np.stack([[scipy_signed_distance(mask.numpy() == k) for k in range(first, 3)] for mask in target])
    products = logits.softmax(1)[:, first:] * torch.tensor(distance)
    torch.testing.assert_close(Boundary(include_background)(logits, target), products.mean(), rtol=1e-6, atol=1e-8)
    weighted = Boundary(include_background)(logits, target, weight)
    torch.testing.assert_close(weighted, (products * weight[:, None]).mean(), rtol=1e-6, atol=1e-8)


def test_the_loss_of_regions() -> None:
    logits, target, _ = draw("regions", 9, 11, ignored=0, dtype=torch.float64)
    distance = np.stack([[scipy_signed_distance(region.numpy() == 1) for region in sample] for sample in target])
    expected = (logits.sigmoid() * torch.tensor(distance)).mean()
    torch.testing.assert_close(Boundary()(logits, target), expected, rtol=1e-6, atol=1e-8)


def test_an_ignored_pixel_is_nobodys_nearest() -> None:
    logits = torch.zeros(1, 1, 5)
    target = torch.tensor([[[1, 255, 0, 0, 255]]])  # from 0 to 2, and from 2 and 3 to 0
    assert Boundary()(logits, target).item() == pytest.approx(0.5 * ((1 - 2) + 2 + 3) / 3)
    target = torch.tensor([[[1, 255, 1, 255, 255]]])  # all that is known is inside
    assert Boundary()(logits, target) == 0


@pytest.mark.parametrize("value", [0, 1])
def test_empty_and_full_masks_cost_nothing_and_pull_nowhere(value: int) -> None:
    logits, target, _ = draw("classes", 6, 6, channels=2)
    loss = Boundary(include_background=True)(logits, torch.full_like(target, value))
    assert loss == 0
    assert not torch.autograd.grad(loss, logits)[0].any()


def test_the_mask_itself_is_the_least() -> None:
    _, target, _ = draw("regions", 12, 12, ignored=0)
    target[:, :, 3:9, 3:9] = 1
    best = Boundary()(100 * (2.0 * target - 1), target)
    assert best < 0
    for shift in (1, 2):
        worse = Boundary()(100 * (2.0 * target.roll(shift, -1) - 1), target)
        assert worse > best
