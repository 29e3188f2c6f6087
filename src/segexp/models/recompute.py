"""Activation checkpointing: keep the inputs of a module, compute its inner maps once more in the backward pass."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def run_checkpointed(module: nn.Module, *maps: Tensor) -> Tensor:
    """Run ``module(*maps)`` with the gradients it always has, but without keeping its inner maps.

    Random numbers are drawn again as they were; the running statistics of norms see each batch once.

    Source: Chen et al. 2016 (arXiv:1604.06174).
    """
    if torch.compiler.is_compiling():  # its graph writes buffers once, and it takes no contexts
        result: Tensor = checkpoint(module, *maps, use_reentrant=False)
    else:
        result = checkpoint(
            module, *maps, use_reentrant=False, context_fn=lambda: (nullcontext(), _on_copied_buffers(module))
        )
    return result


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
