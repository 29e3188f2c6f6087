"""Up-sampling, learned and not, in two and three dimensions."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

CONVOLUTIONS: dict[int, Callable[..., Any]] = {2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED: dict[int, Callable[..., Any]] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
LINEAR = {2: "bilinear", 3: "trilinear"}

LEARNED_UPSAMPLING = ("transposed", "pixel_shuffle")
UPSAMPLING = (*LEARNED_UPSAMPLING, "linear", "nearest")


class PixelShuffle(nn.Module):
    """Up-sampling in 2-D and 3-D: a 1-wide convolution whose channels become pixels (Shi et al. 2016)."""

    def __init__(self, in_channels: int, out_channels: int, factors: Sequence[int]) -> None:
        super().__init__()
        self.factors = tuple(factors)
        self.expand = CONVOLUTIONS[len(self.factors)](in_channels, out_channels * math.prod(self.factors), 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, *S) to (B, C', *S times the factors)."""
        x = self.expand(x)
        batch, channels, *size = x.shape
        dims = len(size)
        x = x.view(batch, channels // math.prod(self.factors), *self.factors, *size)
        # (B, C', F1, F2, .., S1, S2, ..) to (B, C', S1, F1, S2, F2, ..)
        order = [0, 1, *(axis for i in range(dims) for axis in (2 + dims + i, 2 + i))]
        return x.permute(order).reshape(batch, -1, *(f * n for f, n in zip(self.factors, size, strict=True)))


def make_upsampling(kind: str, in_channels: int, out_channels: int, factors: tuple[int, ...]) -> nn.Module:
    """Build an up-sampling by a factor per axis; the ones without parameters keep ``in_channels``."""
    dims = len(factors)
    scale = tuple(map(float, factors))
    makers: dict[str, Callable[[], nn.Module]] = {
        "transposed": lambda: TRANSPOSED[dims](in_channels, out_channels, factors, stride=factors),
        # align_corners=False commutes with shifts by two pixels: tiles then agree with the whole image.
        "linear": lambda: nn.Upsample(scale_factor=scale, mode=LINEAR[dims], align_corners=False),
        "nearest": lambda: nn.Upsample(scale_factor=scale),
        "pixel_shuffle": lambda: PixelShuffle(in_channels, out_channels, factors),
    }
    return makers[kind]()
