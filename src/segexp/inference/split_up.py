"""The expanding path of a U-Net at prediction: feature maps are freed at their last use, and never concatenated.

Outputs are those of the network, but for rounding where a convolution is split.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, cast

from torch import Tensor, nn


class UpStep(Protocol):
    """What is known of a step upwards, see ``segexp.models.Up``."""

    fit: Callable[..., list[Tensor]]
    upsample: nn.Module
    conv: nn.Module
    concatenated: tuple[int, int] | None

    def join(self, x: Tensor, *skips: Tensor) -> Tensor:
        """Up-sample x and concatenate it behind the skips."""


class UNetParts(Protocol):
    """What is known of a network whose ``single_skips`` is true, see ``segexp.models.UNet``."""

    margin: int
    ups: Iterable[UpStep]

    def encode(self, image: Tensor) -> list[Tensor]:
        """One map per level, the finest first."""

    def classify(self, decoded: list[Tensor], size: Sequence[int]) -> Tensor:
        """Logits from the finest map of the expanding path."""


def split_up(module: nn.Module) -> nn.Module:
    """Return a ``SplitUp`` in place of a step upwards that concatenates two maps, any other module as it is."""
    return SplitUp(cast("UpStep", module)) if getattr(module, "concatenated", None) else module


def freed_early(network: nn.Module) -> nn.Module:
    """Return an ``EarlyFreeingUNet`` in place of a network whose skip connections are used once, any other as it is."""
    return EarlyFreeingUNet(network) if getattr(network, "single_skips", False) else network


class SplitUp(nn.Module):
    """A step upwards that never concatenates its maps: its first convolution is split into one of each, and summed.

    Args:
        up: Step whose ``concatenated`` is not None; its weights are shared where they are not split.
    """

    def __init__(self, up: UpStep) -> None:
        super().__init__()
        first, *rest = cast("Sequence[Any]", up.conv)
        of_skip, of_upsampled = first.weight.split(up.concatenated, dim=1)
        self.fit = up.fit
        self.upsample = up.upsample
        self.of_skip = _with_weights(first, of_skip, first.bias)
        self.of_upsampled = _with_weights(first, of_upsampled, None)
        self.rest = nn.ModuleList(rest)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Do as the step does."""
        return self.take([x], [skip])

    def take(self, below: list[Tensor], skips: list[Tensor]) -> Tensor:
        """Do as the step does with the last map of each list, which is taken off and freed after its last use."""
        x, skip = self.fit(self.upsample(below.pop()), skips.pop())
        y: Tensor = self.of_skip(skip)
        del skip
        y += self.of_upsampled(x)
        del x
        for layer in self.rest:
            y = layer(y)
        return y


def _with_weights(like: Any, weight: Tensor, bias: Tensor | None) -> Any:
    """Build a convolution like another one with other weights (C', C, *kernel)."""
    out_channels, in_channels = weight.shape[:2]
    convolution: Any = nn.utils.skip_init(
        type(like), in_channels, out_channels, like.kernel_size, padding=like.padding, bias=bias is not None
    )
    convolution.weight = nn.Parameter(weight.detach(), requires_grad=False)
    convolution.bias = bias
    return convolution


class EarlyFreeingUNet(nn.Module):
    """A U-Net that frees each feature map at its last use; it gives the logits of the first head alone.

    Args:
        network: Network with the parts of ``UNetParts``.

    Attributes:
        margin: Pixels that the logits lack on each side of each axis.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.margin = network.margin

    def forward(self, image: Tensor) -> Tensor:
        """Map image (B, C, *S) to logits (B, num_classes, *S'), as the network does."""
        network = cast("UNetParts", self.network)
        skips = network.encode(image)
        decoded = [skips.pop()]
        for up in network.ups:
            if hasattr(up, "take"):
                decoded.append(up.take(decoded, skips))
            else:  # both maps are freed before its block
                decoded.append(up.conv(up.join(decoded.pop(), skips.pop())))
        return network.classify(decoded, image.shape[2:])
