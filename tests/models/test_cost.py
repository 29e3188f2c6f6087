import torch
from torch import nn

from segexp.models import UNet, cost


def test_cost_of_a_convolution_by_hand():
    layer = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU())
    assert cost(layer, (3, 10, 20)) == (3 * 5 * 9 + 5 + 2 * 5, 3 * 5 * 9 * 200)


def test_cost_of_a_unet_of_depth_one_by_hand():
    """Size 8: stem 1>2, 2>2; down on 4: 2>4, 4>4; up: 4>2 (2-wide), on 8: 4>2, 2>2; head 2>2."""
    network = UNet(base_channels=2, depth=1)
    stem, down = 64 * 9 * (2 + 4), 16 * 9 * (8 + 16)
    up = 16 * 4 * 8 + 64 * 9 * (8 + 4)
    assert cost(network, (1, 8, 8)).multiply_adds == stem + down + up + 64 * 4


def test_counting_leaves_the_network_as_it_was():
    network = UNet(base_channels=2, depth=1).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert cost(network, (1, 8, 8)) == cost(network.eval(), (1, 8, 8))
    assert not network.training
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_large_volumes_and_compiled_networks_are_counted_without_being_run():
    network = UNet(spatial_dims=3, base_channels=2, depth=2)
    plain = cost(network, (1, 512, 512, 512))
    network.compile(backend="eager")
    assert cost(network, (1, 512, 512, 512)) == plain
