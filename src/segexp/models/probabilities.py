"""Probabilities in place of logits: what a network that ends in a softmax or sigmoid is recognized by."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from segexp.models.adapted import Adapted
from segexp.models.probe import run_once, twin

FEWEST = 32  # pixels per axis of an image that tells
MOST_PIXELS = 1 << 21  # of an image that is tried
FACTOR = 100.0  # by which logits grow with the weights, and probabilities do not


def require_unbounded(network: nn.Module, in_channels: int, axes: int) -> None:
    """Refuse a network of others all of whose outputs lie between 0 and 1, whatever its weights.

    Args:
        network: Network, as ``adapted`` gives it, on the CPU.
        in_channels: Number of channels of its images.
        axes: Number of their spatial axes.

    Raises:
        ValueError: Its outputs are probabilities; names the remedy.
    """
    if not isinstance(network, Adapted):
        return
    image = (in_channels, *[network.even_sizes.at_least(FEWEST)] * axes)
    if torch.Size(image).numel() > MOST_PIXELS or not _are_probabilities(run_once(twin(network, "cpu"), image)):
        return
    larger = deepcopy(network).eval()
    with torch.no_grad():
        for weight in larger.parameters():
            weight.mul_(FACTOR)
    if _are_probabilities(run_once(larger, image)):
        raise ValueError(
            f"model: all outputs of {type(network.network).__name__} lie between 0 and 1 whatever its weights, as "
            "probabilities do: it must give logits; leave its last softmax or sigmoid out"
        )


def _are_probabilities(given: Tensor) -> bool:
    return bool(given.min() >= 0 and given.max() <= 1 and given.std() > 0)
