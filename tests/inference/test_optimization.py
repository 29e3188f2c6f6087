"""Optimized networks give what the network gives."""

import pytest
import torch
from torch import Tensor, nn

from segexp.inference import optimized_for_inference
from segexp.inference.optimization import fused
from segexp.inference.split_up import SplitUp
from segexp.models import FCN8s, UNet, UNetPlusPlus


def lived(network: nn.Module) -> nn.Module:
    """Give batch norms statistics and weights as after a training."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d) and module.running_mean is not None:
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return network.eval()


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d) for module in network.modules())


def both(network: nn.Module, image: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        return optimized_for_inference(network)(image), network(image)


def made(settings: dict) -> nn.Module:
    """Build a network of these settings; "network" is its class."""
    arguments = {"network": UNet, "base_channels": 4, "depth": 2, **settings}
    return lived(arguments.pop("network")(1, 3, **arguments))


SETTINGS = [
    {},
    {"spatial_dims": 3},
    {"spatial_dims": 3, "block": "residual", "attention": True, "squeeze_excitation": 2},
    {"spatial_dims": 3, "norm": "none"},
    {"spatial_dims": 3, "upsampling": "linear", "alignment": "crop"},
    {"block": "residual", "activation": "silu"},
    {"network": UNetPlusPlus, "upsampling": "linear"},
    {"attention": True, "activation": "leaky_relu", "upsampling": "pixel_shuffle"},
    {"squeeze_excitation": 2, "activation": "elu"},
    {"norm": "instance"},
    {"norm": "group", "alignment": "crop"},
    {"norm": "none", "deep_supervision": 1},
]
VALID = {"padding": "valid", "alignment": "crop"}


@pytest.mark.parametrize(
    ("settings", "size"), [*((one, size) for one in SETTINGS for size in (44, 27)), (VALID, 44)], ids=str
)
@pytest.mark.parametrize("batch", [1, 2])
def test_outputs_are_the_same(settings: dict, size: int, batch: int) -> None:
    """Odd sizes too, and single tiles, for which torch takes other convolutions."""
    network = made(settings)
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    image = torch.randn(batch, 1, *(size,) * settings.get("spatial_dims", 2))
    ours, theirs = both(network, image)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("settings", [one for one in SETTINGS if "norm" not in one], ids=str)
def test_norms_and_joined_maps_are_gone(settings: dict) -> None:
    network = made(settings)
    light = optimized_for_inference(network)
    assert norms(light) == 0
    assert not any(isinstance(module, nn.Conv3d) and max(module.kernel_size) == 1 for module in light.modules())
    possible = not {"attention", "block"} & set(settings)
    assert any(isinstance(module, SplitUp) for module in light.modules()) == possible


def test_only_plain_convolutions_are_replaced() -> None:
    class Halved(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) / 2

    layers = [
        *(Halved(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")),
        *(nn.Conv2d(4, 4, 3, padding="same"), nn.Conv2d(4, 4, 3, padding=1, groups=2), nn.Conv2d(4, 4, 3, dilation=2)),
    ]
    network = nn.Sequential(*layers).eval()
    torch.testing.assert_close(*both(network, torch.randn(1, 4, 12, 12)), rtol=1e-4, atol=1e-5)
    assert [type(layer) for layer in optimized_for_inference(network)][:-1] == [type(layer) for layer in layers][:-1]
    volumes = nn.Sequential(nn.Conv3d(2, 2, 1, padding=1), nn.Conv3d(2, 2, 3, stride=2)).eval()
    torch.testing.assert_close(*both(volumes, torch.randn(1, 2, 6, 7, 8)), rtol=1e-4, atol=1e-5)


def test_outputs_of_an_fcn_are_the_same() -> None:
    network = lived(FCN8s(1, 2, base_channels=4))
    torch.testing.assert_close(*both(network, torch.randn(1, 1, 64, 64)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolutions_are_folded_unless_in_groups(groups: int) -> None:
    layers = nn.ConvTranspose2d(2, 6, 2, stride=2, groups=groups), nn.BatchNorm2d(6), nn.ReLU()
    network = lived(nn.Sequential(*layers))
    torch.testing.assert_close(*both(network, torch.randn(2, 2, 5, 6)), rtol=1e-4, atol=1e-5)
    assert norms(fused(network)) == groups - 1


def test_modules_that_occur_twice_are_left_alone() -> None:
    shared, image = nn.Conv2d(2, 2, 3, padding=1), torch.randn(1, 2, 8, 8)
    network = lived(nn.Sequential(shared, nn.BatchNorm2d(2), nn.ReLU(), shared, nn.BatchNorm2d(2)))
    torch.testing.assert_close(*both(network, image))
    assert norms(fused(network)) == 2


def test_norms_of_the_batch_itself_are_left_alone() -> None:
    network = lived(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, track_running_stats=False)))
    torch.testing.assert_close(*both(network, torch.randn(2, 1, 8, 8)))


def test_an_image_is_never_changed() -> None:
    image = torch.randn(1, 1, 8, 8)
    before = image.clone()
    fused(nn.Sequential(nn.ReLU(), nn.Conv2d(1, 1, 1), nn.ReLU()).eval())(image)
    assert torch.equal(image, before)


def test_refuses_train_mode() -> None:
    with pytest.raises(ValueError, match="UNet is in train mode"):
        fused(UNet(1, 2, base_channels=4, depth=1))
