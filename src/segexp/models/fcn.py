"""The fully convolutional network that the U-Net was built on and is measured against."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segexp.errors import require_at_least, require_between, require_choice
from segexp.models.blocks import ACTIVATIONS, NORMS, POOLS, conv_norm
from segexp.models.network import Network
from segexp.models.receptive_field import Reach
from segexp.models.sizes import EvenSizes, crop_end, pad_end
from segexp.models.upsampling import CONVOLUTIONS, LINEAR, TRANSPOSED

CONVOLUTIONS_PER_STAGE = (2, 2, 3, 3, 3)  # VGG-16
WIDTH_FACTORS = (1, 2, 4, 8, 8)


class FCN8s(Network):
    """FCN-8s: VGG-16 with its last layers as convolutions; scores of three depths are up-sampled and summed.

    Coarse scores pass two learned up-samplings by two, which start as linear interpolation, and are then interpolated
    by eight, which stays fixed. The paper pads the image by 100 pixels and crops; here convolutions keep the size and
    the image is padded at its end to a multiple of 32, by repeating its last pixels.

    Args:
        in_channels: Number of channels of the image.
        num_classes: Number of classes, background included; one logit each.
        spatial_dims: 2 for images, 3 for volumes.
        base_channels: Number of channels of the first of five stages; the others have 2, 4, 8 and 8 times as many.
        fc_channels: Number of channels of fc6 (7-wide) and fc7 (1-wide), fully connected layers in VGG-16.
        norm: "none" as in the paper, "batch", "instance" or "group"; after each convolution but the scores.
        dropout: Probability of dropping a value after fc6 and fc7.

    Raises:
        ValueError: An argument is out of its range.

    Source: Long, Shelhamer, Darrell 2015 (arXiv:1411.4038); stages: Simonyan, Zisserman 2015 (arXiv:1409.1556).
    """

    even_sizes = EvenSizes(64, 32)

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 2,
        spatial_dims: int = 2,
        base_channels: int = 64,
        fc_channels: int = 4096,
        norm: str = "none",
        dropout: float = 0.5,
    ) -> None:
        self.config = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        _check(**self.config)
        super().__init__()
        widths = [in_channels, *(base_channels * factor for factor in WIDTH_FACTORS)]
        self.stages = nn.ModuleList()
        for count, (source, sink) in zip(CONVOLUTIONS_PER_STAGE, pairwise(widths), strict=True):
            sources = [source, *[sink] * (count - 1)]
            layers = [layer for one in sources for layer in _convolution(one, sink, 3, spatial_dims, norm)]
            self.stages.append(nn.Sequential(*layers, POOLS[spatial_dims](2)))
        self.fc = nn.Sequential(
            *_convolution(widths[-1], fc_channels, 7, spatial_dims, norm),
            nn.Dropout(dropout),
            *_convolution(fc_channels, fc_channels, 1, spatial_dims, norm),
            nn.Dropout(dropout),
        )
        score = CONVOLUTIONS[spatial_dims]
        self.score = score(fc_channels, num_classes, 1)
        self.score_pool4 = score(widths[4], num_classes, 1)
        self.score_pool3 = score(widths[3], num_classes, 1)
        self.up_pool4 = linear_upsampling(num_classes, spatial_dims)
        self.up_pool3 = linear_upsampling(num_classes, spatial_dims)
        self.mode = LINEAR[spatial_dims]

    def forward(self, image: Tensor, every_head: bool = False) -> Tensor | list[Tensor]:
        """Map image (B, C, *S) to logits (B, num_classes, *S); with ``every_head`` to a list of one."""
        size = image.shape[2:]
        x = pad_end(image, [self.even_sizes.at_least(side) for side in size])
        pooled = []
        for stage in self.stages:
            x = stage(x)
            pooled.append(x)
        scores = self.up_pool4(self.score(self.fc(x))) + self.score_pool4(pooled[3])
        scores = self.up_pool3(scores) + self.score_pool3(pooled[2])
        logits = crop_end(F.interpolate(scores, scale_factor=8, mode=self.mode, align_corners=False), size)
        return [logits] if every_head else logits

    def receptive_field(self) -> int:
        """Width in pixels of what a pixel of the logits depends on, along an axis, see ``UNet.receptive_field``."""
        pooled, reach = [], Reach()
        for count in CONVOLUTIONS_PER_STAGE:
            for _ in range(count):
                reach = reach.convolve(3)
            reach = reach.pool()
            pooled.append(reach)
        reach = reach.convolve(7).upsample(linear=True).join(pooled[3])
        return reach.upsample(linear=True).join(pooled[2]).upsample(8, linear=True).width


def linear_upsampling(channels: int, spatial_dims: int) -> nn.Module:
    """Build a learned up-sampling by two, a 4-wide transposed convolution, that starts as linear interpolation."""
    layer: nn.Module = TRANSPOSED[spatial_dims](channels, channels, 4, stride=2, padding=1, bias=False)
    kernel = line = torch.tensor([0.25, 0.75, 0.75, 0.25])
    for _ in range(spatial_dims - 1):
        kernel = kernel[..., None] * line
    with torch.no_grad():
        weight = layer.get_parameter("weight")
        weight.zero_()
        for channel in range(channels):
            weight[channel, channel] = kernel
    return layer


def _convolution(source: int, sink: int, width: int, dims: int, norm: str) -> list[nn.Module]:
    return [*conv_norm(source, sink, width, dims, norm), ACTIVATIONS["relu"]()]


def _check(dropout: float, **given: object) -> None:
    for name in ("in_channels", "num_classes", "base_channels", "fc_channels"):
        require_at_least(name, given[name], 1, integer=True)
    require_choice("spatial_dims", given["spatial_dims"], (2, 3))
    require_choice("norm", given["norm"], NORMS)
    require_between("dropout", dropout, 0, 1, "1 would drop all values", open_at="high")
