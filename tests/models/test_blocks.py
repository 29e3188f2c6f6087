"""Blocks against those of MONAI with equal weights, and against what can be said by hand."""

import pytest
import torch
from torch import Tensor, nn

from segexp.models import DoubleConv, Down, ResidualDoubleConv, Up
from tests.models.weights import copy_convolutions, copy_values, copy_weights


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("channels", [(4, 6), (6, 6)])
def test_residual_block_equals_that_of_monai(dims, channels):
    from monai.networks.blocks import UnetResBlock

    torch.manual_seed(0)
    ours = ResidualDoubleConv(*channels, spatial_dims=dims, norm="instance", activation="leaky_relu")
    norm = ("instance", {"affine": True})
    theirs = UnetResBlock(dims, *channels, kernel_size=3, stride=1, norm_name=norm)
    pairs = [(ours.body[0], theirs.conv1), (ours.body[1], theirs.norm1), (ours.body[3], theirs.conv2)]
    pairs += [(ours.body[4], theirs.norm2)]
    if channels[0] != channels[1]:
        pairs += [(ours.shortcut[0], theirs.conv3), (ours.shortcut[1], theirs.norm3)]
    for here, there in pairs:
        if isinstance(here, nn.InstanceNorm2d | nn.InstanceNorm3d):
            nn.init.normal_(here.weight)
            nn.init.normal_(here.bias)
        copy_values(here, there)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    image = torch.randn(2, channels[0], *[7] * dims)
    torch.testing.assert_close(ours(image), theirs(image), atol=1e-5, rtol=1e-5)


def test_residual_block_with_a_silent_body_is_the_activation_of_its_input():
    block = ResidualDoubleConv(3, 3, norm="none")
    nn.init.zeros_(block.body[2].weight)
    nn.init.zeros_(block.body[2].bias)
    image = torch.randn(1, 3, 5, 5)
    assert torch.equal(block(image), image.relu())


def test_unpadded_residual_block_adds_the_center_of_its_input():
    block = ResidualDoubleConv(3, 3, norm="none", padding="valid")
    nn.init.zeros_(block.body[2].weight)
    nn.init.zeros_(block.body[2].bias)
    image = torch.randn(1, 3, 9, 8)
    assert torch.equal(block(image), image[..., 2:-2, 2:-2].relu())


def test_squeeze_excitation_is_last_in_a_plain_and_before_the_sum_in_a_residual_block():
    torch.manual_seed(0)
    image = torch.randn(2, 3, 6, 6)
    plain = DoubleConv(3, 3, norm="none", squeeze_excitation=2)
    residual = ResidualDoubleConv(3, 3, norm="none", squeeze_excitation=2)
    for layer in (plain[-1], residual.body[-1]):
        nn.init.zeros_(layer.excite.weight)
        nn.init.zeros_(layer.excite.bias)
    torch.testing.assert_close(plain(image), 0.5 * nn.Sequential(*plain)[:-1](image))
    torch.testing.assert_close(residual(image), (0.5 * residual.body[:-1](image) + image).relu())


@pytest.mark.parametrize("more", [0, 5])
@pytest.mark.parametrize("alignment", ["pad", "crop"])
def test_up_joins_all_skips_then_the_map_from_below(more, alignment):
    up = Up(4, 3, 2, more_skip_channels=more, upsampling="nearest", alignment=alignment)
    seen: list[Tensor] = []
    up.conv.register_forward_pre_hook(lambda module, maps: seen.append(maps[0]))
    below, skips = torch.randn(2, 4, 3, 3), [torch.randn(2, 3, 7, 7), *([torch.randn(2, 5, 7, 7)] if more else [])]
    up(below, *skips)
    raised = below.repeat_interleave(2, 2).repeat_interleave(2, 3)
    if alignment == "pad":
        expected = torch.cat([*skips, nn.functional.pad(raised, (0, 1, 0, 1))], 1)
    else:
        expected = torch.cat([*(skip[..., :6, :6] for skip in skips), raised], 1)
    assert torch.equal(seen[0], expected)


def test_thick_slices_equal_blocks_of_monai_with_equal_weights():
    """Those of its DynUNet, which nnU-Net's plans for anisotropic volumes are made for."""
    from monai.networks.blocks.dynunet_block import UnetBasicBlock, UnetUpBlock

    torch.manual_seed(0)
    norm = {"kernel_size": (1, 3, 3), "stride": 1, "norm_name": ("instance", {"affine": True})}
    options = {"spatial_dims": 3, "norm": "instance", "activation": "leaky_relu", "kernel": (1, 3, 3)}
    mine, other = DoubleConv(3, 4, **options), UnetBasicBlock(3, 3, 4, **norm)
    copy_weights(mine, other)
    image = torch.randn(2, 3, 5, 8, 6)
    torch.testing.assert_close(mine(image), other(image), atol=1e-5, rtol=1e-5)
    up = Up(4, 2, 2, stride=(1, 2, 2), **options)
    theirs = UnetUpBlock(3, 4, 2, **norm, upsample_kernel_size=(1, 2, 2), trans_bias=True)
    copy_values(up.upsample, theirs.transp_conv)
    copy_weights(up.conv, theirs.conv_block)
    first = up.conv[0].weight.data
    theirs.conv_block.conv1.conv.weight.data.copy_(torch.cat([first[:, 2:], first[:, :2]], 1))  # it puts skips last
    below, skip = torch.randn(2, 4, 5, 4, 3), torch.randn(2, 2, 5, 8, 6)
    torch.testing.assert_close(up(below, skip), theirs(below, skip), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dims", [2, 3])
def test_blocks_equal_those_of_monai_with_equal_weights(dims):
    """MONAI's BasicUNet is built of the same blocks, written by others: equal weights give equal maps."""
    from monai.networks.nets import basic_unet as theirs

    torch.manual_seed(0)
    style = {"act": ("relu", {"inplace": True}), "norm": ("batch", {}), "bias": True}
    image, small = torch.randn(2, 4, *[9] * dims), torch.randn(2, 8, *[4] * dims)
    pairs = [
        (DoubleConv(4, 6, spatial_dims=dims), theirs.TwoConv(dims, 4, 6, **style), (image,)),
        (Down(4, 6, spatial_dims=dims), theirs.Down(dims, 4, 6, **style), (image,)),
        (
            Up(8, 4, 4, upsampling="transposed", alignment="pad", spatial_dims=dims),
            theirs.UpCat(dims, 8, 4, 4, **style, is_pad=False),
            (small, image[(..., *[slice(8)] * dims)]),
        ),
    ]
    for mine, other, maps in pairs:
        copy_convolutions(mine, other)
        torch.testing.assert_close(mine(*maps), other(*maps), atol=1e-5, rtol=1e-5)
