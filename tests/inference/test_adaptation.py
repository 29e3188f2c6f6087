"""Batch norms by the statistics of a case: the same as PyTorch's own in train mode, and gone afterwards."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from segexp.inference import AdaptivePredictor, Ensemble, SlicePredictor, TiledPredictor, adapted
from segexp.models import UNet

WHOLE = TiledPredictor(None)


def trained(dims: int = 2, **settings) -> UNet:
    torch.manual_seed(3)
    network = UNet(1, 3, base_channels=4, depth=2, spatial_dims=dims, **settings)
    for _ in range(3):  # statistics of some training
        network(torch.randn(2, 1, *[16] * dims) * 2 + 1)
    return network.eval()


def images(*size: int) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(5)) * 3 - 2


@pytest.mark.parametrize("dims", [2, 3])
def test_a_case_alone_is_normalized_as_in_train_mode(dims):
    network, image = trained(dims), images(1, 1, *[16] * dims)
    with torch.inference_mode():
        expected = deepcopy(network).train()(image).softmax(1)
    found = AdaptivePredictor(WHOLE, 1.0)(network, image)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)
    assert not torch.allclose(found, WHOLE(network, image), atol=1e-2)


def test_nothing_of_a_case_stays():
    network, image = trained(), images(2, 1, 16, 16)
    before = deepcopy(network.state_dict())
    both = AdaptivePredictor(WHOLE, 0.7)(network, image)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    torch.testing.assert_close(both[1:], AdaptivePredictor(WHOLE, 0.7)(network, image[1:]))
    with pytest.raises(RuntimeError, match="planted"), adapted(network, 0.5, lambda: WHOLE(network, image)):
        raise RuntimeError("planted")
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_a_weight_of_zero_changes_nothing_and_shows_nothing():
    network, image = trained(), images(1, 1, 16, 16)
    assert torch.equal(AdaptivePredictor(WHOLE, 0)(network, image), WHOLE(network, image))
    with adapted(network, 0, lambda: pytest.fail("shown")):
        pass


def test_statistics_are_those_of_all_tiles_together_and_mixed_by_the_weight():
    network, tiles = nn.Sequential(nn.BatchNorm2d(2)).eval(), images(5, 2, 4, 4)
    network[0].running_mean.fill_(4)
    seen = lambda: [network(part) for part in (tiles[:2], tiles[2:3], tiles[3:])]  # noqa: E731
    with adapted(network, 0.25, seen):
        mean = tiles.mean((0, 2, 3))
        torch.testing.assert_close(network[0].running_mean, 0.75 * 4 + 0.25 * mean)
        variance = tiles.var((0, 2, 3), correction=0)
        torch.testing.assert_close(network[0].running_var, 0.75 + 0.25 * variance)
    assert network[0].running_mean.eq(4).all()


def test_one_pixel_deep_down_is_enough():
    # PyTorch's own norm refuses one value per channel.
    assert AdaptivePredictor(WHOLE, 1.0)(trained(), images(1, 1, 4, 4)).isfinite().all()


def test_volumes_slice_by_slice_are_one_case():
    network, volume = trained(), images(1, 1, 5, 16, 16)
    found = AdaptivePredictor(SlicePredictor(WHOLE, batch_size=2), 1.0)(network, volume)
    with torch.inference_mode():
        slices = deepcopy(network).train()(volume[0].movedim(0, 1)).softmax(1)
    # Of batches of slices the later ones see more of the case while it is measured.
    assert (found[0].movedim(0, 1) - slices).abs().mean() < 0.02
    whole = AdaptivePredictor(SlicePredictor(TiledPredictor(None, batch_size=5)), 1.0)(network, volume)
    torch.testing.assert_close(whole[0].movedim(0, 1), slices, atol=2e-5, rtol=0)


def test_every_network_of_an_ensemble_is_adapted():
    one, other, image = trained(), trained(), images(1, 1, 16, 16)
    with torch.no_grad():
        next(other.parameters()).mul_(-1)
    predictor = AdaptivePredictor(WHOLE, 1.0)
    together = predictor(Ensemble([one, other]), image)
    torch.testing.assert_close(together, (predictor(one, image) + predictor(other, image)) / 2)


def test_what_cannot_be_adapted_is_said():
    with pytest.raises(ValueError, match="UNet has no batch norm that keeps statistics .* model.norm=batch"):
        AdaptivePredictor(WHOLE, 1.0)(trained(norm="instance"), images(1, 1, 16, 16))
    with pytest.raises(ValueError, match="adapt=1.5 must be a number of at least 0 and at most 1"):
        AdaptivePredictor(WHOLE, 1.5)


def test_tiles_are_changed_where_memory_is_short():
    predictor = AdaptivePredictor(TiledPredictor(16), 0.5)
    assert predictor.changed(tile=8) == AdaptivePredictor(TiledPredictor(8), 0.5)
    assert predictor.smaller(trained(), (32, 32)) is not None
