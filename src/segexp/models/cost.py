"""What a network costs, counted and not measured: parameters and multiply-adds."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from segexp.models.probe import run_once, twin


class Cost(NamedTuple):
    """Size of a network and work of one pass.

    Attributes:
        parameters: Number of trainable parameters.
        multiply_adds: Number of multiply-adds of the convolutions and matrix products of one forward pass; norms,
            activations, poolings and interpolations are not counted.
    """

    parameters: int
    multiply_adds: int


def cost(network: nn.Module, image_size: Sequence[int]) -> Cost:
    """Count for an image of ``image_size`` (C, *S); computes nothing and takes no memory, whatever the size.

    A network that makes tensors of its own in between is run instead.

    Raises:
        ValueError: The network refuses this size.
    """
    for device in ("meta", "cpu"):
        counter = FlopCounterMode(display=False)
        with torch.compiler.set_stance("force_eager"), counter:
            try:
                run_once(twin(network, device), image_size)
                break
            except Exception:  # whatever a network may raise of tensors without numbers
                if device == "cpu":
                    raise
    parameters = sum(one.numel() for one in network.parameters() if one.requires_grad)
    return Cost(parameters, counter.get_total_flops() // 2)
