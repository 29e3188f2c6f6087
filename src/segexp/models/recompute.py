"""Activation checkpointing: keep the inputs of a module, compute its inner maps once more in the backward pass."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def run_in_parts(network: nn.Module, image: Tensor, size: int, **options: Any) -> Any:
    """Run ``network(image)`` with the gradients it always has, keeping the inner maps of no more than ``size`` images.

    The logits are those of the whole batch but for batch norm, which sees the statistics of each part; each part runs
    once more in the backward pass.

    Args:
        network: Network from image (B, C, *S) to logits (B, K, *S), or to a list of them.
        image: Images (B, C, *S).
        size: Number of images of a part.
        options: Further arguments of the network.
    """
    parts = [run_checkpointed(network, part, **options) for part in image.split(size)]
    if isinstance(parts[0], list):
        return [torch.cat(heads) for heads in zip(*parts, strict=True)]
    return torch.cat(parts)


def run_checkpointed(module: nn.Module, *maps: Tensor, **options: Any) -> Any:
    """Run ``module(*maps, **options)`` with the gradients it always has, but without keeping its inner maps.

    Random numbers are drawn again as they were; the running statistics of norms see each batch once.

    Source: Chen et al. 2016 (arXiv:1604.06174).
    """
    if torch.compiler.is_compiling():  # its graph writes buffers once, and it takes no contexts
        return checkpoint(module, *maps, use_reentrant=False, **options)
    contexts = lambda: (nullcontext(), _on_copied_buffers(module))  # noqa: E731
    return checkpoint(module, *maps, use_reentrant=False, context_fn=contexts, **options)


@contextmanager
def _on_copied_buffers(module: nn.Module) -> Iterator[None]:
    """Let the module write its buffers (running statistics) to copies, which are thrown away."""
    kept = [(owner, name, one) for owner in module.modules() for name, one in owner.named_buffers(recurse=False)]
    for owner, name, buffer in kept:
        setattr(owner, name, buffer.clone())
    try:
        yield
    finally:
        for owner, name, buffer in kept:
            setattr(owner, name, buffer)
