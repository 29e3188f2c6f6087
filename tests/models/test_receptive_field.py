"""Receptive fields by interval arithmetic against those measured by gradients."""

import pytest
import torch
from torch import Tensor, nn

from segexp.models import FCN8s, UNet, UNetPlusPlus
from segexp.models.receptive_field import Reach
from segexp.models.upsampling import UPSAMPLING

VARIANTS = {
    "plain": {},
    "residual": {"block": "residual"},
    "attention": {"attention": True},
    "plus_plus": {"network": UNetPlusPlus},
    "all": {"network": UNetPlusPlus, "block": "residual", "attention": True},
    "crop": {"alignment": "crop"},
    "valid": {"padding": "valid", "alignment": "crop"},
}


def make_positive(network: nn.Module) -> nn.Module:
    """Let every path from input to output count: positive weights, average in place of maximum."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.MaxPool2d | nn.MaxPool3d):
                average = nn.AvgPool2d if isinstance(child, nn.MaxPool2d) else nn.AvgPool3d
                setattr(module, name, average(child.kernel_size, ceil_mode=child.ceil_mode))
    for parameter in network.parameters():
        parameter.data.fill_(1 / max(parameter[0].numel(), 1))
    return network.double().eval()


def measured(network: nn.Module, shape: list[int], period: int) -> int:
    """Widest extent, along the first axis, of the gradient of one output pixel, over a period of the outputs."""
    image = torch.ones(1, 1, *shape, dtype=torch.float64, requires_grad=True)
    logits: Tensor = make_positive(network)(image)
    line = logits[(0, 0, slice(None), *(n // 2 for n in logits.shape[3:]))]
    widths = []
    for position in range(len(line) // 2, len(line) // 2 + period):
        (gradient,) = torch.autograd.grad(line[position], image, retain_graph=True)
        touched = gradient[0, 0].flatten(1).abs().sum(1).nonzero().flatten()
        first, last = int(touched[0]), int(touched[-1])
        assert min(first, shape[0] - 1 - last) > 0, "the image is too small to measure in"
        widths.append(last - first + 1)
    return max(widths)


@pytest.mark.parametrize("upsampling", UPSAMPLING)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_receptive_field_of_unets_is_the_measured_one(upsampling, variant, depth):
    knobs = {"network": UNet, **VARIANTS[variant]}
    if variant == "all":
        knobs["deep_supervision"] = depth - 1
    network = knobs.pop("network")(base_channels=1, depth=depth, norm="none", upsampling=upsampling, **knobs)
    long = 48 * 2**depth
    shape = [long, 2 ** (depth + 1)]
    if variant == "valid":
        shape = [valid_size(network, long), valid_size(network, 1)]
    assert measured(network, shape, 2**depth) == network.receptive_field()


def valid_size(network: UNet, least: int) -> int:
    for size in range(least, 2 * least + 200):
        try:
            network.output_size([size])
        except ValueError:
            continue
        return size
    raise AssertionError("no size fits")


@pytest.mark.parametrize("upsampling", ["transposed", "linear"])
def test_receptive_field_in_three_dimensions(upsampling):
    network = UNet(spatial_dims=3, base_channels=1, depth=2, norm="none", upsampling=upsampling)
    assert measured(network, [128, 8, 8], 4) == network.receptive_field()


@pytest.mark.parametrize("upsampling", ["transposed", "linear"])
@pytest.mark.parametrize("network", [UNet, UNetPlusPlus])
@pytest.mark.parametrize("axis", [0, 1])
def test_receptive_field_of_each_axis_is_the_measured_one(network, upsampling, axis):
    """Each axis in its turn is the long one."""
    order = [axis, 1 - axis]
    kernels = [[[1, 3][i] for i in order], 3, [[3, 5][i] for i in order]]
    strides = [[[1, 2][i] for i in order], 2]
    unequal = network(base_channels=1, depth=2, norm="none", upsampling=upsampling, kernels=kernels, strides=strides)
    assert measured(unequal, [160, 32], 4) == unequal.receptive_field()[0]


def test_receptive_field_of_fcn8s_is_the_measured_one():
    network = FCN8s(base_channels=1, fc_channels=1)
    assert measured(network, [1024, 64], 32) == network.receptive_field()


def test_reach_by_hand():
    """Pixel 0 of two: conv sees -1..1, its pool -1..2, and, up-sampled, the position on the right sees one more."""
    pooled = Reach().convolve(3).pool()
    assert pooled == Reach(2, ((-1, 2),))
    assert pooled.upsample() == Reach(1, ((-1, 2), (-2, 1)))
    assert pooled.upsample(linear=True) == Reach(1, ((-3, 2), (-2, 3)))
    assert pooled.upsample().join(Reach().convolve(5)) == Reach(1, ((-2, 2), (-2, 2)))
    assert Reach().convolve(7).width == 7
