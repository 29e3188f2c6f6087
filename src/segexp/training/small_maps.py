"""Convolutions of volumes thinner than their kernel, kept out of bfloat16 on CPUs, where their gradients are wrong.

PyTorch 2.13 with oneDNN: where the kernel is longer than the map along an axis, the gradient of the weight holds wrong
numbers, and NaN now and then; docs/reliability.md has the shapes and a report. A test says when this module can go.
"""

import torch
from torch import Tensor, nn


class _Conv3d(nn.Conv3d):
    def forward(self, x: Tensor) -> Tensor:
        if not _goes_wrong(x, self):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float()).to(torch.get_autocast_dtype("cpu"))


class _ConvTranspose3d(nn.ConvTranspose3d):
    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        if not _goes_wrong(x, self):
            return super().forward(x, output_size)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float(), output_size).to(torch.get_autocast_dtype("cpu"))


_GUARDED: dict[type[nn.Module], type[nn.Module]] = {nn.Conv3d: _Conv3d, nn.ConvTranspose3d: _ConvTranspose3d}


def guard_small_maps(network: nn.Module) -> None:
    """Let the convolutions of a network compute in float32 where they train on a CPU in half precision and are thin.

    Nothing else changes: neither parameters and their names, nor what is computed elsewhere.
    """
    for module in network.modules():
        # A module put in its place would change the names of parameters in checkpoints.
        module.__class__ = _GUARDED.get(type(module), type(module))


def _goes_wrong(x: Tensor, module: nn.Conv3d | nn.ConvTranspose3d) -> bool:
    if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu") or not torch.is_grad_enabled():
        return False
    lengths = [step * (size - 1) + 1 for size, step in zip(module.kernel_size, module.dilation, strict=True)]
    return any(length > size for length, size in zip(lengths, x.shape[-3:], strict=True))
