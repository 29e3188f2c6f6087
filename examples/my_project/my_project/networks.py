"""A network of three lines: any torch.nn.Module from an image (B, C, *S) to logits (B, num_classes, *S)."""

from torch import nn


class ThreeLines(nn.Sequential):
    """Two convolutions."""

    def __init__(self, in_channels: int, num_classes: int, channels: int = 16) -> None:
        first = nn.Conv2d(in_channels, channels, 5, padding=2)
        super().__init__(first, nn.ReLU(), nn.Conv2d(channels, num_classes, 5, padding=2))
