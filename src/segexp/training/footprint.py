"""Footprint of a network before it is trained: parameters, multiply-adds, memory of a step, receptive field."""

import copy
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from segexp.models.cost import cost
from segexp.models.sizes import along_axes
from segexp.terminal import Console, Table
from segexp.training.batches import Batch
from segexp.training.measure import trial_step
from segexp.training.task import Task


@dataclass(frozen=True)
class Footprint:
    """Size, cost and reach of a network.

    The memory is the peak of all tensors during one training step: weights, gradients, optimizer, feature maps; without
    a GPU, less the scratch memory of single operations.
    """

    parameters: int  # trainable ones
    multiply_adds: int  # of convolutions and matrix products, for one patch, forward only
    step_memory_mib: float
    receptive_field: int | tuple[int, ...] | None  # px that a logit depends on, of all axes or each; None = untold
    patch: tuple[int, ...]  # pixels per axis
    batch: int  # patches of the step on this process
    step_seconds: float = 0.0  # of that one step, the first, with all its tensors counted: more than later ones take

    def warning(self) -> str | None:
        """Warning where the network could see farther than a patch reaches; else None."""
        if self.receptive_field is None:
            return None
        fields = along_axes(self.receptive_field, len(self.patch))
        if all(field <= side for field, side in zip(fields, self.patch, strict=True)):
            return None
        return (
            f"the receptive field of {_times(self.receptive_field)} px exceeds the patch of {_times(self.patch)} px: "
            "what lies farther off is padding in training; a larger data.sampling.patch_size lets the network use it, "
            "a smaller model.depth saves it"
        )


def measure_footprint(task: Task, trainer: pl.Trainer, batch: Batch) -> Footprint:
    """Train a copy of the network for one step on a batch of `measure.random_patches`, as the trainer would."""
    network = task.network
    image = batch["image"]
    parameters, multiply_adds = cost(network, image.shape[1:])
    begin = time.perf_counter()
    memory = _step_memory(task, trainer, batch)
    return Footprint(
        parameters=parameters,
        multiply_adds=multiply_adds,
        step_memory_mib=round(memory / 2**20, 1),
        receptive_field=network.receptive_field() if hasattr(network, "receptive_field") else None,  # type: ignore[operator]
        patch=tuple(image.shape[2:]),
        batch=len(image),
        step_seconds=time.perf_counter() - begin,
    )


def _step_memory(task: Task, trainer: pl.Trainer, batch: Batch) -> int:
    """Peak bytes of one training step of a copy; the state of the random numbers stays as it is."""
    device = trainer.strategy.root_device
    with torch.random.fork_rng([device] if device.type == "cuda" else []), _peak(device) as peak:
        twin = copy.deepcopy(task.network).to(device).train()
        own: Any = {name: value.to(device, copy=True) for name, value in cast(dict[str, Tensor], batch).items()}
        trial_step(task, trainer, twin, task.make_optimizer(twin.parameters()), own)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return peak[0]


@contextmanager
def _peak(device: torch.device) -> Iterator[list[int]]:
    """Peak bytes of tensors that are made inside the block, on the device; filled in at the end."""
    peak = [0]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield peak
        peak[0] = torch.cuda.max_memory_allocated(device) - before
    else:
        with LiveTensors() as live:
            yield peak
        peak[0] = live.peak


class LiveTensors(TorchDispatchMode):
    """Counts the bytes of the tensors that operations inside the block make and that are still alive.

    Attributes:
        bytes: Bytes that are alive now.
        peak: Largest number of bytes alive at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.peak = 0
        self._known: dict[int, weakref.finalize] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and count the tensors that are new."""
        inputs = {storage._cdata for storage in _storages((args, kwargs))}
        out = func(*args, **(kwargs or {}))
        for storage in _storages(out):
            key, size = storage._cdata, storage.nbytes()
            if key not in self._known and key not in inputs:  # an input that is not known was there before
                self._known[key] = weakref.finalize(storage, self._forget, key, size)
                self.bytes += size
                self.peak = max(self.peak, self.bytes)
        return out

    def _forget(self, key: int, size: int) -> None:
        del self._known[key]
        self.bytes -= size


def _storages(values: Any) -> list[torch.UntypedStorage]:
    return [tensor.untyped_storage() for tensor in tree_leaves(values) if isinstance(tensor, Tensor)]


def print_footprint(
    footprint: Footprint, network: str, above: Mapping[str, str] = {}, below: Mapping[str, str] = {}
) -> None:
    """Print the table, with further rows above and below, and the warning if there is one."""
    table = Table(show_header=False)
    patch = f"a patch of {_times(footprint.patch)} px"
    rows = {
        **above,
        "network": f"{network}, {footprint.parameters:,} parameters",
        "multiply-adds": f"{_short(footprint.multiply_adds)} for {patch}",
        "memory of a step": f"{footprint.step_memory_mib:,.4g} MiB for {footprint.batch} patches",
    }
    if footprint.receptive_field is not None:
        rows["receptive field"] = f"{_times(footprint.receptive_field)} px; {patch}"
    for row in [*rows.items(), *below.items()]:
        table.add_row(*row)
    console = Console()
    console.print(table)
    if warning := footprint.warning():
        console.print(f"note: {warning}", highlight=False)


def _short(count: int) -> str:
    """Write a large number with three digits: ``1.59 M``."""
    for factor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if count >= factor:
            return f"{count / factor:.3g} {letter}"
    return str(count)


def _times(sizes: int | tuple[int, ...]) -> str:
    return " × ".join(map(str, along_axes(sizes, 1)))
