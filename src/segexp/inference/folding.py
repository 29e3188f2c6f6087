"""Networks made lighter for prediction alone, with the same outputs."""

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from segexp.inference.ensemble import CPU_MEMORY_FORMATS

_ALONE = (_ConvNd, _BatchNorm, _InstanceNorm, nn.GroupNorm)  # nobody else holds their output


def lightened(network: nn.Module, device: torch.device | str = "cpu") -> nn.Module:
    """Copy a network for prediction on a device: ``folded``, and on CPUs made of what is fast there.

    On CPUs weights are channels-last, convolutions are oneDNN's (see ``_Direct``) or, of volumes by kernels of one
    voxel, products along the channels, and what has a method ``parted`` (the ``Up`` of a U-Net) gives way to what that
    returns.

    Args:
        network: In eval mode; it is not changed.
        device: Where it will predict.

    Returns:
        A copy on that device that cannot be trained on; outputs equal but for rounding.

    Raises:
        ValueError: The network is in train mode.
    """
    light = folded(network).to(device)
    order = CPU_MEMORY_FORMATS.get(max(weight.ndim for weight in light.parameters()))
    if torch.device(device).type != "cpu" or order is None:
        return light
    _replace(light, lambda module: getattr(module, "parted", lambda: module)())
    _replace(light, _faster)
    return light.to(memory_format=order)  # type: ignore[call-overload]


def _replace(network: nn.Module, by: Callable[[nn.Module], nn.Module]) -> None:
    """Put ``by`` of each module in its place."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if (new := by(child)) is not child:
                setattr(module, name, new)


def _faster(module: nn.Module) -> nn.Module:
    """Return a faster module in place of a convolution."""
    if not (type(module) is nn.Conv2d or type(module) is nn.Conv3d) or module.groups > 1:
        return module
    if type(module) is nn.Conv3d and module.kernel_size == module.stride == (1, 1, 1) and not any(module.padding):
        return _Product(module)
    plain = module.padding_mode == "zeros" and not isinstance(module.padding, str)
    known = module.weight.dtype == torch.float32 and torch.backends.mkldnn.is_available()
    return _Direct(module) if plain and known else module


class _Direct(nn.Module):
    """A convolution by oneDNN whatever the size; torch takes slower ones for one small tile."""

    def __init__(self, convolution: nn.Conv2d | nn.Conv3d) -> None:
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias
        self.padding: Any = convolution.padding
        self.stride, self.dilation = convolution.stride, convolution.dilation

    def forward(self, x: Tensor) -> Tensor:
        return torch.mkldnn_convolution(x, self.weight, self.bias, self.padding, self.stride, self.dilation, groups=1)


class _Product(nn.Module):
    """A convolution (B, C, *S) to (B, C', *S) by kernels of one pixel, as a product along the channels.

    Of volumes that are channels-last, PyTorch's convolution takes five times as long.
    """

    def __init__(self, convolution: nn.Conv3d) -> None:
        super().__init__()
        self.weight = nn.Parameter(convolution.weight.flatten(1), requires_grad=False)
        self.bias = convolution.bias

    def forward(self, x: Tensor) -> Tensor:
        return linear(x.movedim(1, -1), self.weight, self.bias).movedim(-1, 1)


def folded(network: nn.Module) -> nn.Module:
    """Copy a network for prediction: less memory and time, outputs equal but for rounding.

    In each plain ``nn.Sequential`` a batch norm that follows a convolution is multiplied into its weights, and
    activations that follow a convolution or norm work in place. Other modules are left alone, whatever they hold.

    Args:
        network: In eval mode, in which batch norms are constants; it is not changed.

    Returns:
        A copy that cannot be trained on.

    Raises:
        ValueError: The network is in train mode.
    """
    if network.training:
        raise ValueError(f"{type(network).__name__} is in train mode: call .eval() before folding its batch norms")
    copy = deepcopy(network).requires_grad_(False)
    uses = Counter(module for _, module in copy.named_modules(remove_duplicate=False))
    for module in copy.modules():
        if type(module).forward is nn.Sequential.forward:
            _fold(module, uses)
    return copy


def _fold(chain: nn.Module, uses: Counter[nn.Module]) -> None:
    """Fold the norms and activations of a sequence, except for modules that occur elsewhere as well."""
    before: nn.Module | None = None
    for name, module in chain.named_children():
        once = before is not None and uses[before] == uses[module] == 1
        if once and isinstance(before, _ConvNd) and isinstance(module, _BatchNorm) and _fits(before, module):
            _multiply(before, module)
            setattr(chain, name, nn.Identity())
            continue  # the next module follows the convolution
        if once and isinstance(before, _ALONE) and hasattr(module, "inplace"):
            vars(module)["inplace"] = True
        before = module


def _fits(convolution: _ConvNd, norm: _BatchNorm) -> bool:
    """Say whether the norm is a constant, and the convolution none that torch cannot fuse (transposed in groups)."""
    in_groups = isinstance(convolution, _ConvTransposeNd) and convolution.groups > 1
    return norm.running_mean is not None and not norm.training and not in_groups


def _multiply(convolution: _ConvNd, norm: _BatchNorm) -> None:
    fused = fuse_conv_bn_eval(convolution, norm, transpose=isinstance(convolution, _ConvTransposeNd))
    convolution.weight, convolution.bias = fused.weight, fused.bias
