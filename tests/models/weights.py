"""Weights of our networks given to those of others."""

import torch
from torch import nn


def copy_values(source: nn.Module, target: nn.Module) -> None:
    """Copy parameters in order; shapes may differ by axes of one (linear layers and 1-wide convolutions)."""
    for here, there in zip(source.parameters(), target.parameters(), strict=True):
        there.data.copy_(here.data.reshape(there.shape))


def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Copy the weights of convolutions in order, and nothing else."""
    mine, others = ([p for p in one.parameters() if p.ndim > 2] for one in (source, target))
    for here, there in zip(mine, others, strict=True):
        there.data.copy_(here.data)


def copy_convolutions(ours: nn.Module, theirs: nn.Module) -> None:
    kinds = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    mine, others = ([m for m in one.modules() if isinstance(m, kinds)] for one in (ours, theirs))
    for here, there in zip(mine, others, strict=True):
        there.weight.data.copy_(here.weight.data)
        there.bias.data.copy_(torch.zeros_like(there.bias) if here.bias is None else here.bias.data)
