"""Memory of a training step and of a prediction, counted on tensors of shapes alone, which take none."""

import copy
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from segexp.training.batches import Batch
from segexp.training.footprint import LiveTensors
from segexp.training.measure import trial_step
from segexp.training.task import Task


def step_bytes(task: Task, trainer: pl.Trainer, batch: Batch, checkpointing: bool = False) -> int | None:
    """Peak bytes of a training step, as `measure_footprint` measures them on a device without scratch memory.

    Args:
        task: Task that would be trained.
        trainer: Its trainer.
        batch: Patches; their shapes alone count.
        checkpointing: Whether to let the network recompute its maps, where it has ``checkpointing``.

    Returns:
        Bytes; None = network or loss cannot be run on shapes alone.
    """

    def step(device: torch.device) -> None:
        twin = _shapes_of(task.network, device).train()
        if checkpointing:
            vars(twin)["config"] = {**twin.config, "checkpointing": True}  # type: ignore[dict-item]
        own: Any = {name: _shape_of(value, device) for name, value in cast(dict[str, Tensor], batch).items()}
        trial_step(task, trainer, twin, task.make_optimizer(twin.parameters()), own)

    return _peak(step, trainer)


def prediction_bytes(task: Task, trainer: pl.Trainer, image: Tensor) -> int | None:
    """Peak bytes of predicting images (B, C, *S), whose shape alone counts, weights included; None = unknown."""

    def predict(device: torch.device) -> None:
        twin = _shapes_of(task.network, device).eval()
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            twin(_shape_of(image, device)).float().softmax(1)

    return _peak(predict, trainer)


def _peak(work: Callable[[torch.device], None], trainer: pl.Trainer) -> int | None:
    try:
        with torch.compiler.set_stance("force_eager"), torch.random.fork_rng([]), _quiet(), _on_shapes() as live:
            work(trainer.strategy.root_device)
    except Exception:  # whatever a network may raise of tensors without numbers
        return None
    return live.peak


@contextmanager
def _on_shapes() -> Iterator[LiveTensors]:
    with FakeTensorMode(allow_non_fake_inputs=True), _AnyNumber(), LiveTensors() as live:
        yield live


class _AnyNumber(TorchDispatchMode):
    """Answers with 1, or no, where a number is read from a tensor that has none, as checks of labels do."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            return args[0].dtype != torch.bool and (1.0 if args[0].is_floating_point() else 1)
        return func(*args, **(kwargs or {}))


@contextmanager
def _quiet() -> Iterator[None]:
    """Let PyTorch not report what it could not run: that is an answer here."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _shapes_of(network: nn.Module, device: torch.device) -> nn.Module:
    """Copy a network with weights of shapes alone."""
    known: dict[int, Any] = {
        id(one): nn.Parameter(_shape_of(one, device), one.requires_grad) for one in network.parameters()
    }
    known |= {id(one): _shape_of(one, device) for one in network.buffers()}
    with _disable_current_modes():
        return copy.deepcopy(network, known)


def _shape_of(tensor: Tensor, device: torch.device) -> Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=device)
