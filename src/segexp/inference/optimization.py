"""Networks made faster and smaller for prediction alone, with the same outputs."""

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

from segexp.inference.probabilities import CPU_MEMORY_FORMATS
from segexp.inference.split_up import freed_early, split_up

_SOLE_OWNERS = (_ConvNd, _BatchNorm, _InstanceNorm, nn.GroupNorm)  # nobody else holds their output


def optimized_for_inference(network: nn.Module, device: torch.device | str = "cpu") -> nn.Module:
    """Copy a network for prediction on a device: ``fused``, and on CPUs made of what is fast there.

    A network whose ``single_skips`` is true frees each feature map at its last use. On CPUs weights are channels-last,
    convolutions are oneDNN's (see ``_DirectConv``) or, of volumes by kernels of one voxel, products along the channels,
    and steps upwards that concatenate two maps are split (see ``SplitUp``).

    Args:
        network: Network in eval mode; it is not changed.
        device: Device that it will predict on.

    Returns:
        A copy on that device that cannot be trained on; outputs equal but for rounding.

    Raises:
        ValueError: The network is in train mode.
    """
    copy = fused(network).to(device)
    memory_format = CPU_MEMORY_FORMATS.get(max(weight.ndim for weight in copy.parameters()))
    if torch.device(device).type == "cpu" and memory_format is not None:
        _replace(copy, split_up)
        _replace(copy, _faster)
        copy.to(memory_format=memory_format)  # type: ignore[call-overload]
    return freed_early(copy)


def _replace(network: nn.Module, replacement: Callable[[nn.Module], nn.Module]) -> None:
    """Put ``replacement(module)`` in the place of each module."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            new = replacement(child)
            if new is not child:
                setattr(module, name, new)


def _faster(module: nn.Module) -> nn.Module:
    """Return a faster module in place of a convolution."""
    if not (type(module) is nn.Conv2d or type(module) is nn.Conv3d) or module.groups > 1:
        return module
    if type(module) is nn.Conv3d and module.kernel_size == module.stride == (1, 1, 1) and not any(module.padding):
        return _ChannelProduct(module)
    plain = module.padding_mode == "zeros" and not isinstance(module.padding, str)
    supported = module.weight.dtype == torch.float32 and torch.backends.mkldnn.is_available()
    return _DirectConv(module) if plain and supported else module


class _DirectConv(nn.Module):
    """A convolution by oneDNN whatever the size; torch takes slower ones for one small tile."""

    def __init__(self, convolution: nn.Conv2d | nn.Conv3d) -> None:
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias
        self.padding: Any = convolution.padding
        self.stride, self.dilation = convolution.stride, convolution.dilation

    def forward(self, x: Tensor) -> Tensor:
        return torch.mkldnn_convolution(x, self.weight, self.bias, self.padding, self.stride, self.dilation, groups=1)


class _ChannelProduct(nn.Module):
    """A convolution (B, C, *S) to (B, C', *S) by kernels of one pixel, as a product along the channels.

    Of volumes that are channels-last, PyTorch's convolution takes five times as long.
    """

    def __init__(self, convolution: nn.Conv3d) -> None:
        super().__init__()
        self.weight = nn.Parameter(convolution.weight.flatten(1), requires_grad=False)
        self.bias = convolution.bias

    def forward(self, x: Tensor) -> Tensor:
        return linear(x.movedim(1, -1), self.weight, self.bias).movedim(-1, 1)


def fused(network: nn.Module) -> nn.Module:
    """Copy a network for prediction: less memory and time, outputs equal but for rounding.

    In each plain ``nn.Sequential`` a batch norm that follows a convolution is multiplied into its weights, and
    activations that follow a convolution or norm work in place. Other modules are left alone, whatever they hold.

    Args:
        network: Network in eval mode, in which batch norms are constants; it is not changed.

    Returns:
        A copy that cannot be trained on.

    Raises:
        ValueError: The network is in train mode.
    """
    if network.training:
        raise ValueError(f"{type(network).__name__} is in train mode: call .eval() before fusing its batch norms")
    copy = deepcopy(network).requires_grad_(False)
    uses = Counter(module for _, module in copy.named_modules(remove_duplicate=False))
    for module in copy.modules():
        if type(module).forward is nn.Sequential.forward:
            _fuse(module, uses)
    return copy


def _fuse(chain: nn.Module, uses: Counter[nn.Module]) -> None:
    """Fuse the norms and activations of a sequence, except for modules that occur elsewhere as well."""
    previous: nn.Module | None = None
    for name, module in chain.named_children():
        once = previous is not None and uses[previous] == uses[module] == 1
        if once and isinstance(previous, _ConvNd) and isinstance(module, _BatchNorm):
            transposed = isinstance(previous, _ConvTransposeNd)
            # The norm must be a constant, and torch cannot fuse transposed convolutions in groups.
            if module.running_mean is not None and not module.training and not (transposed and previous.groups > 1):
                convolution = fuse_conv_bn_eval(previous, module, transpose=transposed)
                previous.weight, previous.bias = convolution.weight, convolution.bias
                setattr(chain, name, nn.Identity())
                continue  # the next module follows the convolution
        if once and isinstance(previous, _SOLE_OWNERS) and hasattr(module, "inplace"):
            vars(module)["inplace"] = True
        previous = module
