"""Up-sampling by two, learned and not, in two and three dimensions."""

from collections.abc import Callable

from torch import Tensor, nn

CONVOLUTIONS = {2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
LINEAR = {2: "bilinear", 3: "trilinear"}

LEARNED_UPSAMPLING = ("transposed", "pixel_shuffle")
UPSAMPLING = (*LEARNED_UPSAMPLING, "linear", "nearest")


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
        # align_corners=False commutes with shifts by two pixels: tiles then agree with the whole image.
        "linear": lambda: nn.Upsample(scale_factor=2, mode=LINEAR[spatial_dims], align_corners=False),
        "nearest": lambda: nn.Upsample(scale_factor=2),
        "pixel_shuffle": lambda: PixelShuffle(in_channels, out_channels, spatial_dims),
    }
    return makers[kind]()
