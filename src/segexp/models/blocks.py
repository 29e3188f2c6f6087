"""The four parts of a U-Net (Ronneberger et al. 2015): DoubleConv, Down, Up, OutConv, in two and three dimensions."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CONVOLUTIONS = {2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
POOLS = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
LINEAR = {2: "bilinear", 3: "trilinear"}

NORMS: dict[str, Callable[[int, int], nn.Module] | None] = {
    "batch": lambda channels, dims: {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[dims](channels),
    "instance": lambda channels, dims: {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}[dims](channels, affine=True),
    "group": lambda channels, dims: nn.GroupNorm(math.gcd(channels, 8), channels),  # noqa: ARG005
    "none": None,
}
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "leaky_relu": lambda: nn.LeakyReLU(0.01, inplace=True),
    "elu": lambda: nn.ELU(inplace=True),
    "silu": lambda: nn.SiLU(inplace=True),
    "gelu": nn.GELU,
}


class DoubleConv(nn.Sequential):
    """Twice: 3-wide convolution, norm, activation.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        mid_channels: Channels between the two convolutions; None = ``out_channels``.
        spatial_dims: 2 or 3.
        norm: A key of ``NORMS``; convolutions carry a bias only where it is "none".
        activation: A key of ``ACTIVATIONS``.
        padding: "same" keeps the size, "valid" takes 4 off each axis.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        mid_channels: int | None = None,
        *,
        spatial_dims: int = 2,
        norm: str = "batch",
        activation: str = "relu",
        padding: str = "same",
    ) -> None:
        mid = mid_channels or out_channels
        layers: list[nn.Module] = []
        for source, sink in ((in_channels, mid), (mid, out_channels)):
            make_norm = NORMS[norm]
            pad = 1 if padding == "same" else 0
            layers.append(CONVOLUTIONS[spatial_dims](source, sink, 3, padding=pad, bias=make_norm is None))
            if make_norm is not None:
                layers.append(make_norm(sink, spatial_dims))
            layers.append(ACTIVATIONS[activation]())
        super().__init__(*layers)


class Down(nn.Sequential):
    """Max pooling by two, then DoubleConv. ``ceil`` rounds odd sizes up instead of down."""

    def __init__(self, in_channels: int, out_channels: int, *, ceil: bool = False, **conv: object) -> None:
        dims = conv.get("spatial_dims", 2)
        double = DoubleConv(in_channels, out_channels, **conv)  # type: ignore[arg-type]
        super().__init__(POOLS[dims](2, ceil_mode=ceil), double)  # type: ignore[index]


class Interpolate(nn.Module):
    """Up-sampling by two without parameters; channels stay."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, *S) to (B, C, *2S)."""
        # align_corners=False commutes with shifts by two pixels: tiles then agree with the whole image.
        return F.interpolate(x, scale_factor=2, mode=self.mode, align_corners=None if self.mode == "nearest" else False)


class PixelShuffle(nn.Module):
    """Up-sampling by two in 2-D and 3-D: a 1-wide convolution whose channels become pixels (Shi et al. 2016)."""

    def __init__(self, in_channels: int, out_channels: int, spatial_dims: int) -> None:
        super().__init__()
        self.expand = CONVOLUTIONS[spatial_dims](in_channels, out_channels * 2**spatial_dims, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, *S) to (B, C', *2S)."""
        x = self.expand(x)
        batch, channels, *size = x.shape
        dims = len(size)
        x = x.view(batch, channels // 2**dims, *[2] * dims, *size)
        # (B, C', 2.., S..) to (B, C', S1, 2, S2, 2, ..)
        order = [0, 1, *(axis for i in range(dims) for axis in (2 + dims + i, 2 + i))]
        return x.permute(order).reshape(batch, -1, *(2 * n for n in size))


def make_upsampling(kind: str, in_channels: int, out_channels: int, spatial_dims: int) -> nn.Module:
    """Build an up-sampling by two; the ones without parameters keep ``in_channels``."""
    makers: dict[str, Callable[[], nn.Module]] = {
        "transposed": lambda: TRANSPOSED[spatial_dims](in_channels, out_channels, 2, stride=2),
        "linear": lambda: Interpolate(LINEAR[spatial_dims]),
        "nearest": lambda: Interpolate("nearest"),
        "pixel_shuffle": lambda: PixelShuffle(in_channels, out_channels, spatial_dims),
    }
    return makers[kind]()


LEARNED_UPSAMPLING = ("transposed", "pixel_shuffle")
UPSAMPLING = (*LEARNED_UPSAMPLING, "linear", "nearest")


class Up(nn.Module):
    """Up-sample by two, join the skip connection, DoubleConv.

    Args:
        in_channels: Channels from below.
        skip_channels: Channels of the skip connection; learned up-sampling maps to as many.
        out_channels: Channels out.
        upsampling: One of ``UPSAMPLING``.
        alignment: "pad" pads the up-sampled map to the skip's size, "crop" crops the larger of the two.
        conv: Arguments of ``DoubleConv``.
    """

    def __init__(
        self,
        in_channels: int,
        skip_channels: int,
        out_channels: int,
        *,
        upsampling: str = "transposed",
        alignment: str = "pad",
        **conv: object,
    ) -> None:
        super().__init__()
        learned = upsampling in LEARNED_UPSAMPLING
        joined = skip_channels + (skip_channels if learned else in_channels)
        dims: int = conv.get("spatial_dims", 2)  # type: ignore[assignment]
        self.alignment = alignment
        self.upsample = make_upsampling(upsampling, in_channels, skip_channels, dims)
        mid = out_channels if learned else joined // 2
        self.conv = DoubleConv(joined, out_channels, mid, **conv)  # type: ignore[arg-type]

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Join x (B, C, *S) from below with skip (B, C', *about 2S)."""
        x = self.upsample(x)
        size, skip_size = x.shape[2:], skip.shape[2:]
        if size != skip_size and self.alignment == "pad":
            x = fit_centre(x, skip_size)
        elif size != skip_size:
            smaller = [min(pair) for pair in zip(size, skip_size, strict=True)]
            x, skip = fit_centre(x, smaller), fit_centre(skip, smaller)
        return self.conv(torch.cat([skip, x], dim=1))


class OutConv(nn.Sequential):
    """1-wide convolution from features to one logit per class."""

    def __init__(self, in_channels: int, num_classes: int, spatial_dims: int = 2) -> None:
        super().__init__(CONVOLUTIONS[spatial_dims](in_channels, num_classes, 1))


def fit_centre(x: Tensor, size: list[int] | torch.Size) -> Tensor:
    """Zero-pad or crop the spatial axes of x (B, C, *S) about its centre to ``size``."""
    pads: list[int] = []
    for have, want in zip(reversed(x.shape[2:]), reversed(size), strict=True):
        before = (want - have) // 2 if want > have else -((have - want) // 2)
        pads += [before, want - have - before]
    return F.pad(x, pads)
