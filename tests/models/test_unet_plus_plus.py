"""U-Net++ against that of MONAI, the paper, and the plain U-Net."""

import pytest
import torch
from torch import nn

from segexp.models import UNet, UNetPlusPlus
from segexp.models.upsampling import UPSAMPLING
from tests.models.weights import copy_convolutions


def monai_unet_plus_plus(dims: int) -> nn.Module:
    """MONAI's U-Net++, whose finest up-samplings keep twice the channels of the paper's: made anew with the paper's."""
    from monai.networks.nets.basic_unetplusplus import BasicUNetPlusPlus, UpCat

    style = {"act": ("relu", {"inplace": True}), "norm": ("batch", {}), "bias": True, "dropout": 0.0}
    network = BasicUNetPlusPlus(dims, 1, 2, features=(4, 8, 16, 32, 64, 4), deep_supervision=True, **style)
    for skips in range(1, 5):
        setattr(network, f"upcat_0_{skips}", UpCat(dims, 8, 4 * skips, 4, **style, upsample="deconv"))
    return network


@pytest.mark.parametrize("dims", [2, 3])
def test_network_and_its_heads_equal_those_of_monai(dims):
    torch.manual_seed(0)
    ours = UNetPlusPlus(1, 2, dims, base_channels=4, depth=4, deep_supervision=3)
    theirs = monai_unet_plus_plus(dims)
    for level, (mine, other) in enumerate(zip([ours.stem, *ours.downs], range(5), strict=True)):
        copy_convolutions(mine, getattr(theirs, f"conv_{other}_0"))
        assert level == other
    columns = [0] * 5
    for up, (_, level) in zip(ours.ups, ours.steps, strict=True):
        columns[level] += 1
        copy_convolutions(up, getattr(theirs, f"upcat_{level}_{columns[level]}"))
    assert columns == [4, 3, 2, 1, 0]
    for column, head in zip((4, 3, 2, 1), [ours.head, *ours.further_heads], strict=True):
        copy_convolutions(head, getattr(theirs, f"final_conv_0_{column}"))
    image = torch.randn(2, 1, *[32] * dims)
    outputs, expected = ours(image, every_head=True), theirs(image)
    for mine, other in zip(outputs, reversed(expected), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("kind", "millions"), [(UNet, 7.76), (UNetPlusPlus, 9.04)])
def test_parameters_are_those_of_the_paper_of_unet_plus_plus(kind, millions):
    """Zhou et al. 2018, of U-Net and U-Net++: three channels, widths 32 to 512, transposed convolutions, no norm."""
    with torch.device("meta"):
        network = kind(3, 1, base_channels=32, norm="none")
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 2) == millions


@pytest.mark.parametrize("upsampling", UPSAMPLING)
@pytest.mark.parametrize("knobs", [{}, {"block": "residual", "attention": True, "squeeze_excitation": 2}])
def test_depth_one_is_the_plain_network(upsampling, knobs):
    torch.manual_seed(0)
    plain = UNet(base_channels=4, depth=1, upsampling=upsampling, **knobs)
    nested = UNetPlusPlus(**plain.config)
    nested.load_state_dict(plain.state_dict())
    image = torch.randn(2, 1, 9, 10)
    assert torch.equal(plain(image), nested(image))


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_heads_of_tiny_images_have_the_size_of_the_image(size):
    network = UNetPlusPlus(base_channels=2, depth=3, deep_supervision=2)
    sizes = [logits.shape[-1] for logits in network(torch.randn(2, 1, size, size), every_head=True)]
    assert sizes == [size] * 3


def test_config_builds_the_same_network():
    torch.manual_seed(0)
    network = UNetPlusPlus(base_channels=2, depth=2, block="residual", attention=True, deep_supervision=1).eval()
    again = UNetPlusPlus(**network.config).eval()
    again.load_state_dict(network.state_dict())
    image = torch.randn(1, 1, 16, 16)
    assert torch.equal(network(image), again(image))


def test_unpadded_network_has_the_size_of_the_plain_one():
    for kind in (UNet, UNetPlusPlus):
        network = kind(base_channels=1, depth=2, padding="valid", alignment="crop")
        assert network(torch.zeros(2, 1, 60, 64)).shape[2:] == network.output_size((60, 64)) == (20, 24)
