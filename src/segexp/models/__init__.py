"""Networks: image (B, C, *S) in, logits (B, num_classes, *S) out, in training and evaluation alike."""

from segexp.models.blocks import DoubleConv, Down, OutConv, Up
from segexp.models.unet import UNet

__all__ = ["DoubleConv", "Down", "OutConv", "UNet", "Up"]
