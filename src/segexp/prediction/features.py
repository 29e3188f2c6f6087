"""What a network sees in an image, in a few numbers: the maps of its deepest level, averaged over their pixels."""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from segexp.checkpoints.description import ModelDescription
from segexp.models.sizes import along_axes


class DeepFeatures:
    """Gathers the deepest maps of networks while these predict.

    Args:
        networks: Networks that predict, in evaluation mode.
        sizes: Size (*T) of an image for each.
        in_channels: Number of channels of it.
    """

    def __init__(self, networks: Sequence[nn.Module], sizes: Sequence[Sequence[int]], in_channels: int) -> None:
        self.modules = [
            deepest_module(network, (1, in_channels, *size)) for network, size in zip(networks, sizes, strict=True)
        ]
        self._sums: list[Tensor | float] = []
        self._counts: list[int] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Forget what was gathered, and gather what the networks see inside."""
        self._sums, self._counts = [0.0] * len(self.modules), [0] * len(self.modules)
        with ExitStack() as stack:
            for place, module in enumerate(self.modules):
                stack.enter_context(_hook(module, self._gather(place)))
            yield

    def _gather(self, place: int) -> Any:
        def gather(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            pooled = output.detach().double().flatten(2).mean(2)
            self._sums[place] = self._sums[place] + pooled.sum(0).cpu()
            self._counts[place] += len(pooled)

        return gather

    def vector(self) -> np.ndarray:
        """Mean over all tiles, slices and views (n,) float64, the networks one after the other.

        Raises:
            ValueError: Nothing was predicted.
        """
        if not all(self._counts):
            raise ValueError("no network has predicted inside watching(): there are no features")
        means = [torch.as_tensor(total) / count for total, count in zip(self._sums, self._counts, strict=True)]
        return torch.cat(means).numpy()


def features_of(networks: Sequence[Any], description: ModelDescription) -> DeepFeatures:
    """Find the deepest levels of networks as a segmenter holds them."""
    inner = [_module(network) for network in networks]
    sizes = []
    for network in inner:
        # What was optimized may not tell its sizes any more.
        even = getattr(network, "even_sizes", None)
        patch = description.patch_size
        if even is not None:
            axes = along_axes(even, len(patch))
            patch = [each.at_least(side) for each, side in zip(axes, patch, strict=True)]
        sizes.append(patch)
    return DeepFeatures(inner, sizes, description.in_channels)


def deepest_module(network: nn.Module, shape: Sequence[int]) -> nn.Module:
    """Find the module whose output has the fewest pixels, the last such one; maps of one pixel, of gates, count last.

    Args:
        network: Network in evaluation mode.
        shape: Shape (1, C, *T) of an image for it.

    Raises:
        ValueError: No module of the network gives maps.
    """
    seen: list[tuple[bool, int, int, nn.Module]] = []

    def note(module: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == len(shape):
            pixels = math.prod(output.shape[2:])
            seen.append((pixels == 1, pixels, -len(seen), module))

    leaves = [module for module in network.modules() if not list(module.children())]
    weight = next(network.parameters())
    with ExitStack() as stack, torch.inference_mode():
        for leaf in leaves:
            stack.enter_context(_hook(leaf, note))
        network(torch.zeros(tuple(shape), device=weight.device, dtype=weight.dtype))
    if not seen:
        raise ValueError(f"{type(network).__name__} has no module that gives maps: its images cannot be compared")
    return min(seen, key=lambda one: one[:3])[3]


@contextmanager
def _hook(module: nn.Module, function: Any) -> Iterator[None]:
    handle = module.register_forward_hook(function)
    try:
        yield
    finally:
        handle.remove()


def _module(network: Any) -> nn.Module:
    """Take a network out of what chooses its channels."""
    while not isinstance(network, nn.Module):
        network = network.network
    return network
