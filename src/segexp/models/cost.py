"""What a network costs, counted and not measured: parameters and multiply-adds."""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


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

    Raises:
        ValueError: The network refuses this size.
    """
    named = chain(network.named_parameters(), network.named_buffers())
    shapes = {name: tensor.detach().to("meta") for name, tensor in named}
    image = torch.empty(1, *image_size, device="meta")
    counter = FlopCounterMode(display=False)
    training = network.training
    network.eval()  # a batch of one has no statistics
    try:
        with torch.no_grad(), torch.compiler.set_stance("force_eager"), counter:
            torch.func.functional_call(network, shapes, (image,))
    finally:
        network.train(training)
    parameters = sum(one.numel() for one in network.parameters() if one.requires_grad)
    return Cost(parameters, counter.get_total_flops() // 2)
