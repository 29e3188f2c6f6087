"""U-Net++ (Zhou et al. 2018): U-Nets of all depths in one network."""

from collections.abc import Callable

from torch import Tensor, nn

from segexp.models.blocks import Up
from segexp.models.unet import UNet


class UNetPlusPlus(UNet):
    """U-Net++: the expanding paths of the U-Nets of depth 1, 2, .., each of which passes its maps on to the next.

    Arguments as in ``UNet``, but the further heads of ``deep_supervision`` stand on the shallower U-Nets, with logits
    of full size. With ``attention`` one gate weighs all skip connections of a step. With depth 1 it is the U-Net.

    Source: Zhou et al. 2018 (arXiv:1807.10165).
    """

    single_skips = False

    @property
    def steps(self) -> list[tuple[int, int]]:
        """Depth of the U-Net and level of each step upwards, in the order in which they are taken."""
        return [(depth, level) for depth in range(1, self.depth + 1) for level in reversed(range(depth))]

    def expanding_path(self, encoded: list[int], decoded: list[int], make_up: Callable[..., Up]) -> nn.ModuleList:
        """Build the steps upwards; each joins the newest map from below with all earlier ones of its level."""
        ups = nn.ModuleList()
        for depth, level in self.steps:
            below = encoded if level == depth - 1 else decoded
            earlier = (depth - 1 - level) * decoded[level]
            widths = (below[level + 1], encoded[level], decoded[level])
            ups.append(make_up(*widths, more_skip_channels=earlier, **self.sizes_of_step(level)))
        return ups

    @property
    def head_levels(self) -> list[int]:
        """Decoder level that each head stands on: the finest."""
        return [0] * self.heads

    def forward(self, image: Tensor, every_head: bool = False) -> Tensor | list[Tensor]:
        """Map image (B, C, *S) to logits.

        Returns:
            As of ``UNet``; with ``every_head`` a list, the logits of the deepest U-Net first, all of the same size.
        """
        rows = [[x] for x in self.encode(image)]  # maps of each level, the finest level first
        for up, (_, level) in zip(self.ups, self.steps, strict=True):
            rows[level].append(self.run(up, rows[level + 1][-1], *rows[level]))
        deepest_first = rows[0][:0:-1]
        return self.classify(deepest_first, image.shape[2:], every_head)
