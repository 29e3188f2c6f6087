"""The parts of a U-Net (Ronneberger et al. 2015): DoubleConv, Down, Up, OutConv, in two and three dimensions."""

import math
from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn

from segexp.models.attention import AttentionGate, SqueezeExcitation
from segexp.models.sizes import fit_centre
from segexp.models.upsampling import CONVOLUTIONS, LEARNED_UPSAMPLING, make_upsampling

POOLS = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
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


def conv_norm(source: int, sink: int, width: int, dims: int, norm: str, padding: str = "same") -> list[nn.Module]:
    """Build a convolution and its norm; the convolution carries a bias only where ``norm`` is "none"."""
    make_norm = NORMS[norm]
    pad = width // 2 if padding == "same" else 0
    convolution = CONVOLUTIONS[dims](source, sink, width, padding=pad, bias=make_norm is None)
    return [convolution] if make_norm is None else [convolution, make_norm(sink, dims)]


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
        squeeze_excitation: Reduction ratio of a squeeze-and-excitation at the end; 0 = none.
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
    ) -> None:
        mid = mid_channels or out_channels
        layers: list[nn.Module] = []
        for source, sink in ((in_channels, mid), (mid, out_channels)):
            layers += [*conv_norm(source, sink, 3, spatial_dims, norm, padding), ACTIVATIONS[activation]()]
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
        self,
        in_channels: int,
        out_channels: int,
        mid_channels: int | None = None,
        *,
        spatial_dims: int = 2,
        norm: str = "batch",
        squeeze_excitation: int = 0,
        **conv: Any,
    ) -> None:
        super().__init__()
        double = DoubleConv(in_channels, out_channels, mid_channels, spatial_dims=spatial_dims, norm=norm, **conv)
        *layers, self.activation = double
        if squeeze_excitation:
            layers.append(SqueezeExcitation(out_channels, squeeze_excitation, spatial_dims))
        self.body = nn.Sequential(*layers)
        project = conv_norm(in_channels, out_channels, 1, spatial_dims, norm) if in_channels != out_channels else []
        self.shortcut = nn.Sequential(*project)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, *S) to (B, C', *S), or 4 pixels less an axis with "valid" padding."""
        y = self.body(x)
        return self.activation(y + self.shortcut(fit_centre(x, y.shape[2:])))


BLOCKS: dict[str, Callable[..., nn.Module]] = {"plain": DoubleConv, "residual": ResidualDoubleConv}


def make_block(*channels: int, block: str = "plain", **conv: Any) -> nn.Module:
    """Build a key of ``BLOCKS``; the other arguments are those of ``DoubleConv``."""
    return BLOCKS[block](*channels, **conv)


class Down(nn.Sequential):
    """Max pooling by two, then a block. ``ceil`` rounds odd sizes up instead of down."""

    def __init__(self, in_channels: int, out_channels: int, *, ceil: bool = False, **conv: Any) -> None:
        pool = POOLS[conv.get("spatial_dims", 2)]
        super().__init__(pool(2, ceil_mode=ceil), make_block(in_channels, out_channels, **conv))


class Up(nn.Module):
    """Up-sample by two, join the skip connections, then a block.

    Args:
        in_channels: Channels from below.
        skip_channels: Channels of the skip connection; learned up-sampling maps to as many.
        out_channels: Channels out.
        more_skip_channels: Channels of further skip connections, all together (U-Net++).
        upsampling: One of ``UPSAMPLING``.
        alignment: "pad" pads the up-sampled map to the skip's size, "crop" crops the larger of the two.
        attention: Weigh the pixels of the skip connections by an ``AttentionGate``.
        conv: Arguments of ``make_block``.
    """

    def __init__(
        self,
        in_channels: int,
        skip_channels: int,
        out_channels: int,
        *,
        more_skip_channels: int = 0,
        upsampling: str = "transposed",
        alignment: str = "pad",
        attention: bool = False,
        **conv: Any,
    ) -> None:
        super().__init__()
        dims: int = conv.get("spatial_dims", 2)
        learned = upsampling in LEARNED_UPSAMPLING
        raised = skip_channels if learned else in_channels
        skips = skip_channels + more_skip_channels
        self.alignment, self.joined_channels = alignment, (skip_channels, more_skip_channels, raised)
        self.upsample = make_upsampling(upsampling, in_channels, skip_channels, dims)
        self.gate = AttentionGate(skips, raised, dims) if attention else None
        mid = out_channels if learned else (skip_channels + in_channels) // 2
        self.conv = make_block(skips + raised, out_channels, mid, **conv)

    def forward(self, x: Tensor, *skips: Tensor) -> Tensor:
        """Join x (B, C, *S) from below with skips (B, C', *about 2S)."""
        return self.conv(self.join(x, *skips))

    def join(self, x: Tensor, *skips: Tensor) -> Tensor:
        """Up-sample x and put it behind the skips, as channels: the block's input."""
        x, *fitted = _fitted(self.alignment, self.upsample(x), *skips)
        if self.gate is not None:
            fitted = [self.gate(torch.cat(fitted, dim=1), x)]
        return torch.cat([*fitted, x], dim=1)

    def take(self, below: list[Tensor], skips: list[Tensor]) -> Tensor:
        """Call ``forward`` with the last map of each list and take it off, so that no list holds what has served."""
        return self.conv(self.join(below.pop(), skips.pop()))

    def parted(self) -> nn.Module:
        """Return a ``PartedUp``, which needs less memory for prediction; itself where there is none for it."""
        one_skip = self.gate is None and not self.joined_channels[1]
        return PartedUp(self) if one_skip and isinstance(self.conv, DoubleConv) else self


class PartedUp(nn.Module):
    """An ``Up`` that never joins its maps: its first convolution is parted into one of each, and their sum taken.

    Outputs are equal but for rounding; it cannot be trained on.

    Args:
        up: Of plain blocks, without attention, with one skip connection.
    """

    def __init__(self, up: Up) -> None:
        super().__init__()
        joined, *rest = cast("Iterable[Any]", up.conv)
        self.alignment, self.upsample, self.rest = up.alignment, up.upsample, nn.ModuleList(rest)
        of_skip, _, of_raised = joined.weight.split(up.joined_channels, dim=1)
        self.of_skip = _with_weights(joined, of_skip, joined.bias)
        self.of_raised = _with_weights(joined, of_raised, None)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Do as ``Up.forward`` does."""
        return self.take([x], [skip])

    def take(self, below: list[Tensor], skips: list[Tensor]) -> Tensor:
        """Do as ``Up.take`` does."""
        x, skip = _fitted(self.alignment, self.upsample(below.pop()), skips.pop())
        y = self.of_skip(skip)
        del skip
        y += self.of_raised(x)
        del x
        for layer in self.rest:
            y = layer(y)
        return y


def _fitted(alignment: str, x: Tensor, *skips: Tensor) -> list[Tensor]:
    """Bring all maps to one size: that of the first skip, or of the smallest with alignment "crop"."""
    size: list[int] = list(skips[0].shape[2:])
    if alignment == "crop":
        size = [min(axis) for axis in zip(*(one.shape[2:] for one in (x, *skips)), strict=True)]
    return [fit_centre(one, size) for one in (x, *skips)]


def _with_weights(like: Any, weight: Tensor, bias: Tensor | None) -> nn.Module:
    """Build a convolution like another one with other weights (C', C, *kernel)."""
    channels, settings = weight.shape[1::-1], {"padding": like.padding, "bias": bias is not None}
    convolution = nn.utils.skip_init(type(like), *channels, like.kernel_size, **settings)
    convolution.weight = nn.Parameter(weight.detach(), requires_grad=False)
    convolution.bias = bias
    return convolution


class OutConv(nn.Sequential):
    """1-wide convolution from features to one logit per class."""

    def __init__(self, in_channels: int, num_classes: int, spatial_dims: int = 2) -> None:
        super().__init__(CONVOLUTIONS[spatial_dims](in_channels, num_classes, 1))
