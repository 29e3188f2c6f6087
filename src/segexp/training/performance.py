"""Settings that make training fast without changing what it computes; tests hold each path to the plain one."""

import ctypes
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import nn

from segexp.errors import require_choice
from segexp.training.small_maps import guard_small_maps

_GIVEN_BACK_FROM, _MAPPED_FROM = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of mallopt(3)
_KEPT = 1 << 30  # bytes


def best_precision(accelerator: str = "auto") -> str:
    """Precision that suits this machine: "bf16-mixed" where GPU or CPU multiply bfloat16 natively, else "32-true"."""
    require_choice("trainer.accelerator", accelerator, ("auto", "cpu", "gpu", "cuda", "mps"))
    if accelerator != "cpu" and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    if accelerator in ("auto", "mps") and torch.backends.mps.is_available():
        return "32-true"
    native = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "bf16-mixed" if native else "32-true"


@dataclass(frozen=True)
class Performance:
    """Fast paths.

    Attributes:
        channels_last: Keep feature maps with channels innermost, the order that convolutions on tensor cores and
            AVX-512 want.
        compile: Compile the network with ``torch.compile``; pays on long runs on a GPU.
        tf32: Let float32 products on CUDA use TensorFloat-32.
        cudnn_benchmark: Let cuDNN try its algorithms on the first batch; for patches of one size.
        keep_memory: Let the C library keep memory that tensors give back for the next ones, instead of asking the
            system for zeroed pages in every step; where that library is glibc.
    """

    channels_last: bool = True
    compile: bool = False
    tf32: bool = True
    cudnn_benchmark: bool = True
    keep_memory: bool = True

    def memory_format(self, spatial_dims: int) -> torch.memory_format:
        """Order in memory of images (B, C, *S)."""
        if not self.channels_last:
            return torch.contiguous_format
        return torch.channels_last if spatial_dims == 2 else torch.channels_last_3d

    def apply(self, network: nn.Module, spatial_dims: int) -> None:
        """Set up the network in place, and PyTorch's switches."""
        torch.set_float32_matmul_precision("high" if self.tf32 else "highest")
        torch.backends.cudnn.allow_tf32 = self.tf32
        torch.backends.cudnn.benchmark = self.cudnn_benchmark
        network.to(memory_format=self.memory_format(spatial_dims))  # type: ignore[call-overload]
        guard_small_maps(network)
        if self.keep_memory:
            _keep_memory()
        if self.compile:
            network.compile()


def _keep_memory() -> None:
    """Raise the sizes from which glibc maps memory anew, and gives it back."""
    with suppress(OSError, TypeError, AttributeError):  # another C library, or none that can be asked
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MAPPED_FROM, _KEPT)
        mallopt(_GIVEN_BACK_FROM, _KEPT)
