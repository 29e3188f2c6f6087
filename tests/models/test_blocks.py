"""Blocks against those of MONAI with equal weights, and against what can be said by hand."""

import pytest
import torch
from torch import Tensor, nn

from segexp.models import AttentionGate, DoubleConv, ResidualDoubleConv, SqueezeExcitation, Up
from segexp.models.sizes import center_crop_or_pad, crop_end, next_multiple, pad_end


def copy_values(source: nn.Module, target: nn.Module) -> None:
    """Copy parameters in order; shapes may differ by axes of one (linear layers and 1-wide convolutions)."""
    for here, there in zip(source.parameters(), target.parameters(), strict=True):
        there.data.copy_(here.data.reshape(there.shape))


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


@pytest.mark.parametrize("dims", [2, 3])
def test_squeeze_excitation_equals_that_of_monai(dims):
    from monai.networks.blocks import ChannelSELayer

    torch.manual_seed(0)
    ours, theirs = SqueezeExcitation(8, 4, dims), ChannelSELayer(dims, 8, r=4)
    copy_values(ours, theirs)
    image = torch.randn(2, 8, *[5] * dims)
    torch.testing.assert_close(ours(image), theirs(image))


@pytest.mark.parametrize("ratio", [1, 16, 1000])
def test_squeeze_excitation_without_excitation_halves_its_input(ratio):
    layer = SqueezeExcitation(8, ratio)
    nn.init.zeros_(layer.excite.weight)
    nn.init.zeros_(layer.excite.bias)
    image = torch.randn(2, 8, 3, 4)
    assert torch.equal(layer(image), 0.5 * image)


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


def monai_gate(dims: int, skip: int, gate: int) -> nn.Module:
    """MONAI's block, whose further batch norms and bias are set to do nothing."""
    from monai.networks.nets.attentionunet import AttentionBlock

    block = AttentionBlock(dims, f_int=skip // 2, f_g=gate, f_l=skip).eval()
    for norm in (m for m in block.modules() if isinstance(m, nn.BatchNorm2d | nn.BatchNorm3d)):
        norm.running_var.fill_(1 - norm.eps)
    nn.init.zeros_(block.W_x[0].conv.bias)
    return block


@pytest.mark.parametrize("dims", [2, 3])
def test_attention_gate_equals_that_of_monai_without_its_norms(dims):
    torch.manual_seed(0)
    ours, theirs = AttentionGate(6, 4, dims), monai_gate(dims, 6, 4)
    theirs.W_x[0].conv.weight.data.copy_(ours.skip.weight.data)
    copy_values(ours.gate, theirs.W_g[0].conv)
    copy_values(ours.score, theirs.psi[0].conv)
    skip, gate = torch.randn(2, 6, *[5] * dims), torch.randn(2, 4, *[5] * dims)
    torch.testing.assert_close(ours(skip, gate), theirs(gate, skip))


def test_attention_gate_by_hand():
    gate = AttentionGate(2, 1)
    for parameter, values in zip(gate.parameters(), ([1, 2], [3], [-1], [2], [0.5]), strict=True):
        parameter.data.copy_(torch.tensor(values).reshape(parameter.shape))
    # skip 1·1 + 2·(-1) = -1; gate 3·1 - 1 = 2; relu(1) = 1; score 2·1 + 0.5
    weight = torch.tensor(2.5).sigmoid()
    skip = torch.tensor([1.0, -1.0]).reshape(1, 2, 1, 1)
    torch.testing.assert_close(gate(skip, torch.ones(1, 1, 1, 1)), weight * skip)


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


def test_sizes():
    line = torch.arange(5.0).reshape(1, 1, 5)
    assert pad_end(line, [7]).flatten().tolist() == [0, 1, 2, 3, 4, 4, 4]
    assert pad_end(line, [3]) is line
    assert torch.equal(crop_end(pad_end(line, [9]), [5]), line)
    assert center_crop_or_pad(line, [3]).flatten().tolist() == [1, 2, 3]
    assert center_crop_or_pad(line, [7]).flatten().tolist() == [0, 0, 1, 2, 3, 4, 0]
    assert next_multiple([1, 32, 33], 32, least=64) == [64, 64, 64]
    assert next_multiple([1, 65], 32, least=64) == [64, 96]
