"""Averaging over views: networks that it leaves alone, and means by hand."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segexp.inference import FlipTurnPredictor, TiledPredictor
from segexp.inference.probabilities import ACTIVATIONS


@pytest.fixture(autouse=True)
def keep_activation(monkeypatch: pytest.MonkeyPatch) -> None:
    """An activation that leaves the values alone."""
    monkeypatch.setitem(ACTIVATIONS, "keep", lambda logits: logits)


def averaged(network: object, image: Tensor, flips: bool = True, turns: bool = True) -> Tensor:
    """Average what the network makes of the whole image."""
    return FlipTurnPredictor(TiledPredictor(activation="keep"), flips, turns)(network, image)


def ramp(image: Tensor) -> Tensor:
    """Depends on the place alone, not on the image: px (i, j) of any view is i + 10 j."""
    rows, columns = (torch.arange(float(size)) for size in image.shape[-2:])
    return (rows[:, None] + 10 * columns).expand_as(image)


@pytest.mark.parametrize("shape", [(2, 1, 12, 17), (1, 1, 4, 6, 9)])
def test_leaves_an_equivariant_network_alone(shape: tuple) -> None:
    conv = {4: nn.Conv2d, 5: nn.Conv3d}[len(shape)](1, 2, 3, padding=1)
    kernel = torch.tensor([[1.0, 2.0, 1.0], [2.0, -5.0, 2.0], [1.0, 2.0, 1.0]])
    with torch.no_grad():
        conv.weight.copy_(
            (kernel if len(shape) == 4 else torch.stack([kernel, 2 * kernel, -kernel])).expand_as(conv.weight)
        )
        conv.weight[1] *= -1
    image = torch.randn(shape)
    predictor = TiledPredictor()
    torch.testing.assert_close(FlipTurnPredictor(predictor)(conv, image), predictor(conv, image))


@pytest.mark.parametrize(
    ("flips", "turns", "expected"),
    [
        (False, False, [[0, 10, 20], [1, 11, 21]]),
        (True, False, np.full((2, 3), 10.5)),  # rows average to 0.5, columns to 10 * 1
        (False, True, np.full((2, 3), (10.5 + 6.0) / 2)),  # turned: rows average to 1, columns to 10 * 0.5
        (True, True, np.full((2, 3), (10.5 + 6.0) / 2)),
    ],
)
def test_averages_over_the_views(flips: bool, turns: bool, expected: object) -> None:
    result = averaged(ramp, torch.zeros(1, 1, 2, 3), flips, turns)
    np.testing.assert_allclose(result[0, 0], expected)


@pytest.mark.parametrize(
    ("flips", "turns", "count"), [(False, False, 1), (True, False, 4), (False, True, 4), (True, True, 8)]
)
def test_every_view_is_predicted_once_and_undone(flips: bool, turns: bool, count: int) -> None:
    image = torch.arange(6.0).reshape(1, 1, 2, 3)
    seen = []

    def network(view: Tensor) -> Tensor:
        seen.append(tuple(view.shape[2:]) + tuple(view.flatten().tolist()))
        return view

    result = averaged(network, image, flips, turns)
    torch.testing.assert_close(result, image)
    turned = [np.rot90(image[0, 0].numpy(), k) for k in (range(4) if turns else (0, 2) if flips else (0,))]
    views = [*turned, *(map(np.fliplr, turned) if flips else ())]
    assert len(set(seen)) == len(seen) == count
    assert set(seen) == {view.shape + tuple(view.flatten()) for view in views}


def test_turns_volumes_in_the_plane_alone() -> None:
    depths = torch.arange(4.0).reshape(1, 1, 4, 1, 1).expand(1, 1, 4, 2, 3)
    shapes = set()

    def network(view: Tensor) -> Tensor:
        shapes.add(tuple(view.shape[2:]))
        return torch.arange(4.0).reshape(1, 1, 4, 1, 1).expand_as(view)

    torch.testing.assert_close(averaged(network, torch.zeros(1, 1, 4, 2, 3)), depths)
    assert shapes == {(4, 2, 3), (4, 3, 2)}


def test_goes_with_tiles_of_an_image_that_is_not_square() -> None:
    network = nn.Conv2d(1, 3, 1)
    image = torch.randn(2, 1, 20, 33)
    predictor = TiledPredictor(tile=8)
    torch.testing.assert_close(FlipTurnPredictor(predictor)(network, image), predictor(network, image))


def test_refuses_images_without_a_plane() -> None:
    with pytest.raises(ValueError, match=r"image of shape \(1, 2, 9\) has no plane to flip or turn"):
        averaged(ramp, torch.zeros(1, 2, 9))
