"""Weights that a network gives to its own features: per channel (squeeze-and-excitation) or per pixel (gates)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segexp.models.upsampling import CONVOLUTIONS


class SqueezeExcitation(nn.Module):
    """Weigh each channel by a number in (0, 1) that follows from the means of all channels.

    Args:
        channels: Number of channels in and out.
        ratio: Reduction ratio: the hidden layer has ``channels // ratio`` channels, at least one.
        spatial_dims: 2 or 3.

    Source: Hu et al. 2018 (arXiv:1709.01507).
    """

    def __init__(self, channels: int, ratio: int = 16, spatial_dims: int = 2) -> None:
        super().__init__()
        hidden = max(channels // ratio, 1)
        self.squeeze = CONVOLUTIONS[spatial_dims](channels, hidden, 1)
        self.excite = CONVOLUTIONS[spatial_dims](hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, *S) to the same size."""
        means = x.mean(dim=list(range(2, x.ndim)), keepdim=True)
        return x * torch.sigmoid(self.excite(F.relu(self.squeeze(means))))


class AttentionGate(nn.Module):
    """Weigh each pixel of a skip connection by a number in (0, 1) that follows from it and from the level below.

    Args:
        skip_channels: Number of channels of the skip connection.
        gate_channels: Number of channels of the up-sampled map from below.
        spatial_dims: 2 or 3.

    Source: Oktay et al. 2018 (arXiv:1804.03999), equation 1, but on the finer of the two grids: the map from below
    is up-sampled first, where the paper pools the skip and interpolates the weights.
    """

    def __init__(self, skip_channels: int, gate_channels: int, spatial_dims: int = 2) -> None:
        super().__init__()
        convolution = CONVOLUTIONS[spatial_dims]
        hidden = max(skip_channels // 2, 1)
        self.skip = convolution(skip_channels, hidden, 1, bias=False)
        self.gate = convolution(gate_channels, hidden, 1)
        self.score = convolution(hidden, 1, 1)

    def forward(self, skip: Tensor, gate: Tensor) -> Tensor:
        """Weigh skip (B, C, *S) as gate (B, C', *S) says."""
        return skip * torch.sigmoid(self.score(F.relu(self.skip(skip) + self.gate(gate))))
