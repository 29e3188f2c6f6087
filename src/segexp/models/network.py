"""What each network tells of itself."""

from typing import Any

from torch import nn

from segexp.models.sizes import EvenSizes


class Network(nn.Module):
    """A network that can be described, exported and built again from a checkpoint.

    Attributes:
        config: Its arguments, enough to build it again.
        heads: Number of outputs of ``forward(image, every_head=True)``.
        margin: Number of pixels that its logits lack on each side, 0 unless its convolutions are unpadded; one for all
            axes or one per axis.
        even_sizes: Image sizes that every pooling divides evenly, padded ones to two pixels or more at the deepest; of
            all axes or one per axis.
    """

    config: dict[str, Any]
    heads: int = 1
    margin: int | tuple[int, ...] = 0
    even_sizes: EvenSizes | tuple[EvenSizes, ...]
