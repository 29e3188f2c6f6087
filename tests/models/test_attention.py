"""Squeeze-and-excitation and gates against those of MONAI with equal weights, and by hand."""

import pytest
import torch
from torch import nn

from segexp.models import AttentionGate, SqueezeExcitation
from tests.models.weights import copy_values


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
