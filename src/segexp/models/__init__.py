"""Networks: image (B, C, *S) in, logits (B, num_classes, *S) out, in training and evaluation alike.

Each is a ``Network``, which says what it tells of itself, and has ``receptive_field()`` in pixels (None = unknown) and
``forward(image, every_head=False)``; with ``every_head`` a list of logits, the finest first. ``adapted`` makes one of
any other module.
"""

from segexp.models.adapted import Adapted, adapted, own_module
from segexp.models.attention import AttentionGate, SqueezeExcitation
from segexp.models.blocks import DoubleConv, Down, OutConv, ResidualDoubleConv, Up
from segexp.models.cost import Cost, cost
from segexp.models.fcn import FCN8s
from segexp.models.network import Network
from segexp.models.pretrained import PretrainedUNet
from segexp.models.select import Select
from segexp.models.unet import UNet
from segexp.models.unet_plus_plus import UNetPlusPlus

__all__ = [
    "Adapted",
    "AttentionGate",
    "Cost",
    "DoubleConv",
    "Down",
    "FCN8s",
    "Network",
    "OutConv",
    "PretrainedUNet",
    "ResidualDoubleConv",
    "Select",
    "SqueezeExcitation",
    "UNet",
    "UNetPlusPlus",
    "Up",
    "adapted",
    "cost",
    "own_module",
]
