"""Feature maps are freed at their last use; outputs are those of the network."""

import weakref

import pytest
import torch

from segexp.inference import optimized_for_inference
from segexp.inference.split_up import freed_early, split_up
from segexp.models import UNet, UNetPlusPlus
from tests.inference.live import LiveTensors


@pytest.mark.parametrize(
    "knobs", [{}, {"attention": True}, {"block": "residual", "padding": "valid", "alignment": "crop"}]
)
@torch.inference_mode()
def test_early_freeing_changes_no_bit(knobs):
    network = UNet(base_channels=2, depth=2, **knobs).eval()
    freeing, image = freed_early(network), torch.randn(2, 1, 60, 64)
    assert torch.equal(freeing(image), network(image))
    assert freeing.margin == network.margin


def test_other_networks_are_left_as_they_are():
    for network in (UNetPlusPlus(base_channels=1, depth=1), torch.nn.Conv2d(1, 1, 1)):
        assert freed_early(network) is network
        assert split_up(network) is network


@torch.no_grad()
@pytest.mark.parametrize("attention", [False, True])
def test_feature_maps_are_freed_at_their_last_use(attention):
    """At the last block, its input alone is left: neither the skip connections nor the maps from below."""
    network = UNet(base_channels=2, depth=2, attention=attention).eval()
    maps = []
    for module in (network.stem, *network.downs, network.ups[0].conv, network.ups[1].upsample):
        module.register_forward_hook(lambda module, args, output: maps.append(weakref.ref(output)))
    left = []
    network.ups[1].conv.register_forward_pre_hook(lambda *_: left.extend(one() is not None for one in maps))
    freed_early(network)(torch.zeros(1, 1, 16, 16))
    assert left == [False] * 5


@pytest.mark.parametrize(("dims", "side"), [(2, 128), (3, 32)])
def test_three_maps_of_full_size_are_held_at_a_time(dims: int, side: int) -> None:
    """Where the network itself joins them, and holds the joined map through both convolutions of the block."""
    network, image = UNet(1, 2, spatial_dims=dims, base_channels=8, depth=2).eval(), torch.randn(2, 1, *(side,) * dims)
    peaks = []
    for one in (network, optimized_for_inference(network)):
        with torch.inference_mode(), LiveTensors() as live:
            one(image)
        peaks.append(live.peak / (8 * image.nbytes))
    assert peaks[0] > 3.9
    assert peaks[1] < 3.1
