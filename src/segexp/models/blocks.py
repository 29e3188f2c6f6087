"""The parts of a U-Net (Ronneberger et al. 2015): DoubleConv, Down, Up, OutConv, in two and three dimensions."""

import math
from collections.abc import Callable, Sequence
from typing import TypedDict, Unpack

import torch
from torch import Tensor, nn

from segexp.models.attention import AttentionGate, SqueezeExcitation
from segexp.models.sizes import ALIGNMENTS, center_crop_or_pad
from segexp.models.upsampling import CONVOLUTIONS, LEARNED_UPSAMPLING, make_upsampling

POOLS: dict[int, type[nn.MaxPool2d | nn.MaxPool3d]] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
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


class BlockOptions(TypedDict, total=False):
    """Arguments of ``DoubleConv`` and ``ResidualDoubleConv`` beside their channels."""

    spatial_dims: int
    norm: str
    activation: str
    padding: str
    squeeze_excitation: int
    kernel: int | Sequence[int]


def per_axis(value: int | Sequence[int], spatial_dims: int) -> tuple[int, ...]:
    """One number per axis of one for all axes, or of as many."""
    return tuple(value) if isinstance(value, Sequence) else (value,) * spatial_dims


def conv_norm(
    in_channels: int,
    out_channels: int,
    kernel: int | Sequence[int],
    spatial_dims: int,
    norm: str,
    padding: str = "same",
) -> list[nn.Module]:
    """Build a convolution and its norm; the convolution carries a bias only where ``norm`` is "none"."""
    make_norm = NORMS[norm]
    sizes = per_axis(kernel, spatial_dims)
    pad = tuple(size // 2 if padding == "same" else 0 for size in sizes)
    convolution = CONVOLUTIONS[spatial_dims](in_channels, out_channels, sizes, padding=pad, bias=make_norm is None)
    return [convolution] if make_norm is None else [convolution, make_norm(out_channels, spatial_dims)]


class DoubleConv(nn.Sequential):
    """Twice: convolution, norm, activation.

    Args:
        in_channels: Number of channels in.
        out_channels: Number of channels out.
        mid_channels: Number of channels between the two convolutions; None = ``out_channels``.
        spatial_dims: 2 or 3.
        norm: Key of ``NORMS``; convolutions carry a bias only where it is "none".
        activation: Key of ``ACTIVATIONS``.
        padding: "same" keeps the size, "valid" takes 2 (kernel - 1) off each axis.
        squeeze_excitation: Reduction ratio of a squeeze-and-excitation at the end; 0 = none.
        kernel: Odd size of the convolutions, one for all axes or one per axis.
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
        squeeze_excitation: int = 0,
        kernel: int | Sequence[int] = 3,
    ) -> None:
        mid_channels = mid_channels or out_channels
        layers = [
            *conv_norm(in_channels, mid_channels, kernel, spatial_dims, norm, padding),
            ACTIVATIONS[activation](),
            *conv_norm(mid_channels, out_channels, kernel, spatial_dims, norm, padding),
            ACTIVATIONS[activation](),
        ]
        if squeeze_excitation:
            layers.append(SqueezeExcitation(out_channels, squeeze_excitation, spatial_dims))
        super().__init__(*layers)


class ResidualDoubleConv(nn.Module):
    """DoubleConv whose input is added before the last activation.

    Where the channels change, the input passes a 1-wide convolution and a norm; a squeeze-and-excitation weighs the
    convolved branch before the sum. Arguments as in ``DoubleConv``.

    Source: He et al. 2016 (arXiv:1512.03385); in a U-Net: Zhang et al. 2018 (arXiv:1711.10684), who put norm and
    activation before each convolution instead.
    """

    def __init__(
        self, in_channels: int, out_channels: int, mid_channels: int | None = None, **options: Unpack[BlockOptions]
    ) -> None:
        super().__init__()
        # The squeeze-and-excitation comes before the last activation here, so it is not left to DoubleConv.
        squeeze_excitation = options.pop("squeeze_excitation", 0)
        spatial_dims = options.get("spatial_dims", 2)
        *layers, self.activation = DoubleConv(in_channels, out_channels, mid_channels, **options)
        if squeeze_excitation:
            layers.append(SqueezeExcitation(out_channels, squeeze_excitation, spatial_dims))
        self.body = nn.Sequential(*layers)
        self.shortcut = nn.Sequential()
        if in_channels != out_channels:
            norm = options.get("norm", "batch")
            self.shortcut.extend(conv_norm(in_channels, out_channels, 1, spatial_dims, norm))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, *S) to (B, C', *S), or 2 (kernel - 1) pixels less an axis with "valid" padding."""
        y: Tensor = self.body(x)
        shortcut = self.shortcut(center_crop_or_pad(x, y.shape[2:]))
        result: Tensor = self.activation(y + shortcut)
        return result


BLOCKS: dict[str, type[DoubleConv | ResidualDoubleConv]] = {"plain": DoubleConv, "residual": ResidualDoubleConv}


class Down(nn.Sequential):
    """Max pooling, then a block.

    Args:
        in_channels: Number of channels from above.
        out_channels: Number of channels out.
        stride: Size and stride of the pooling, one for all axes or one per axis.
        ceil: Whether odd sizes are rounded up instead of down.
        block: Key of ``BLOCKS``.
        options: Arguments of the block.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int | Sequence[int] = 2,
        ceil: bool = False,
        block: str = "plain",
        **options: Unpack[BlockOptions],
    ) -> None:
        dims = options.get("spatial_dims", 2)
        pool = POOLS[dims](per_axis(stride, dims), ceil_mode=ceil)
        super().__init__(pool, BLOCKS[block](in_channels, out_channels, **options))


class Up(nn.Module):
    """Up-sample, join the skip connections, then a block.

    Args:
        in_channels: Number of channels from below.
        skip_channels: Number of channels of the skip connection; learned up-sampling maps to as many.
        out_channels: Number of channels out.
        stride: Factor of the up-sampling, one for all axes or one per axis.
        more_skip_channels: Number of channels of further skip connections, all together (U-Net++).
        upsampling: One of ``UPSAMPLING``.
        alignment: "pad" pads the up-sampled map to the skip's size, "crop" crops the larger of the two.
        attention: Whether an ``AttentionGate`` weighs the pixels of the skip connections.
        block: Key of ``BLOCKS``.
        options: Arguments of the block.

    Attributes:
        fit: Function that brings the up-sampled map and the skip connections to one size.
        concatenated: Channels of the skip connection and of the up-sampled map, where ``conv`` begins with a
            convolution of just these two, so that prediction may split it; else None.
    """

    def __init__(
        self,
        in_channels: int,
        skip_channels: int,
        out_channels: int,
        *,
        stride: int | Sequence[int] = 2,
        more_skip_channels: int = 0,
        upsampling: str = "transposed",
        alignment: str = "pad",
        attention: bool = False,
        block: str = "plain",
        **options: Unpack[BlockOptions],
    ) -> None:
        super().__init__()
        self.fit = ALIGNMENTS[alignment]
        dims = options.get("spatial_dims", 2)
        learned = upsampling in LEARNED_UPSAMPLING
        upsampled_channels = skip_channels if learned else in_channels
        all_skip_channels = skip_channels + more_skip_channels
        self.upsample = make_upsampling(upsampling, in_channels, skip_channels, per_axis(stride, dims))
        self.gate = AttentionGate(all_skip_channels, upsampled_channels, dims) if attention else None
        mid_channels = out_channels if learned else (skip_channels + in_channels) // 2
        self.conv = BLOCKS[block](all_skip_channels + upsampled_channels, out_channels, mid_channels, **options)
        splits = block == "plain" and not attention and not more_skip_channels
        self.concatenated = (skip_channels, upsampled_channels) if splits else None

    def forward(self, x: Tensor, *skips: Tensor) -> Tensor:
        """Join x (B, C, *S) from below with skips (B, C', *about S times the stride)."""
        result: Tensor = self.conv(self.join(x, *skips))
        return result

    def join(self, x: Tensor, *skips: Tensor) -> Tensor:
        """Up-sample x and concatenate it behind the skips: the block's input."""
        x, *fitted = self.fit(self.upsample(x), *skips)
        if self.gate is not None:
            fitted = [self.gate(torch.cat(fitted, dim=1), x)]
        return torch.cat([*fitted, x], dim=1)


class OutConv(nn.Sequential):
    """1-wide convolution from features to one logit per class."""

    def __init__(self, in_channels: int, num_classes: int, spatial_dims: int = 2) -> None:
        super().__init__(CONVOLUTIONS[spatial_dims](in_channels, num_classes, 1))


def draw_he_weights(module: nn.Module) -> None:
    """Draw the weights of a convolution from N(0, 2 / fan-in) (He et al. 2015), biases are 0; leave other modules."""
    if isinstance(module, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
