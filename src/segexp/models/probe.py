"""Running a network that is nobody's yet, to see what it gives; the network stays as it was."""

from collections.abc import Sequence
from copy import deepcopy
from itertools import chain
from typing import Any

import torch
from torch import nn


def twin(network: nn.Module, device: str) -> nn.Module:
    """Copy a network in evaluation mode, with which anything may be done.

    Args:
        network: Network on the CPU.
        device: "meta" makes one of shapes alone, which takes no memory; "cpu" shares the weights, and copies all else.
    """
    meta = device == "meta"
    known: dict[int, Any] = {id(one): _shape_of(one) if meta else one for one in network.parameters()}
    if meta:
        known |= {id(one): one.detach().to("meta") for one in network.buffers()}
    return deepcopy(network, known).eval()


def _shape_of(weight: nn.Parameter) -> nn.Parameter:
    return nn.Parameter(weight.detach().to("meta"), weight.requires_grad)


def run_once(network: nn.Module, image_size: Sequence[int]) -> Any:
    """Run a twin on one image, without gradients; the state of the random numbers stays as it was.

    Args:
        network: What ``twin`` made.
        image_size: Size of the image (C, *S).

    Returns:
        What the network gives for an image (1, C, *S) of noise.
    """
    device = next(chain(network.parameters(), network.buffers()), torch.empty(0)).device
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        return network(torch.randn(1, *image_size, device=device))


def bring_into_being(network: nn.Module, image_size: Sequence[int]) -> None:
    """Let lazy layers, whose weights come into being with the first image, have them."""
    waiting = (nn.parameter.UninitializedParameter, nn.parameter.UninitializedBuffer)
    if any(isinstance(one, waiting) for one in chain(network.parameters(), network.buffers())):
        training = network.training
        with torch.no_grad():
            network.eval()(torch.zeros(1, *image_size))
        network.train(training)
