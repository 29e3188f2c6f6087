"""Runs of a module on images of several sizes, and sentences for what gives no logits."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from segexp.models.probe import run_once, twin
from segexp.models.taken_sizes import TakenSizes, find_taken_sizes

MOST_PIXELS = 1 << 21  # of an image that a network is tried with in earnest
SELECT = "choose the logits with segexp.models.Select (docs/extending.md)"


class Trial:
    """Runs of a module on images of several sizes."""

    def __init__(self, network: nn.Module, in_channels: int, outputs: int, patch_size: tuple[int, ...]) -> None:
        self.network = network
        self.in_channels = in_channels
        self.outputs = outputs
        self.patch_size = patch_size
        self.known: dict[tuple[int, ...], Any] = {}
        self.device = ""
        self.shapes: tuple[tuple[int, ...], tuple[int, ...]] = (), ()  # of an image and its output
        self.twin = network

    @property
    def name(self) -> str:
        """Name of its class, for messages."""
        return type(self.network).__name__

    def on(self, device: str) -> None:
        """Continue with a copy on a device."""
        self.device, self.known, self.twin = device, {}, twin(self.network, device)

    def run(self, sides: Sequence[int]) -> Any:
        """What it gives for an image, or the error that it raises."""
        key = tuple(sides)
        if key not in self.known:
            try:
                self.known[key] = run_once(self.twin, (self.in_channels, *key))
            except Exception as error:  # whatever a network may raise
                self.known[key] = error
        return self.known[key]

    def require_logits(self) -> None:
        """Refuse a module that gives no logits for any image; turn to real numbers where shapes alone do not do."""
        axes = len(self.patch_size)
        tried = [self.patch_size, (64,) * axes, (128,) * axes, (256,) * axes]
        for device in ("meta", "cpu"):
            self.on(device)
            for sides in tried:
                given = self.run(sides) if self._affordable(sides) else None
                if given is not None and not isinstance(given, Exception):
                    self._require_tensor(given, sides)
                    self.shapes = tuple(sides), tuple(given.shape[2:])
                    return
        error = self.known[self.patch_size]
        raise ValueError(
            f"model: {self.name} does not take an image of shape {(1, self.in_channels, *self.patch_size)}: "
            f"{type(error).__name__}: {' '.join(str(error).split())[:300]}; the data give it {self.in_channels} "
            f"channels and {axes} axes, data.sampling.patch_size={list(self.patch_size)}"
        ) from error

    def _require_tensor(self, given: Any, sides: Sequence[int]) -> None:
        if isinstance(given, Mapping | tuple | list):
            keys = list(given) if isinstance(given, Mapping) else f"positions 0 to {len(given) - 1}"
            kind = type(given).__name__
            raise ValueError(f"model: {self.name} gives a {kind} with {keys} in place of logits: {SELECT}")
        if not isinstance(given, Tensor):
            raise ValueError(f"model: {self.name} gives a {type(given).__name__} in place of logits: {SELECT}")
        shape, axes = tuple(given.shape), len(sides)
        if len(shape) != axes + 2 or shape[0] != 1 or not given.is_floating_point():
            raise ValueError(
                f"model: {self.name} gives {str(given.dtype).removeprefix('torch.')} of shape {shape} for an image of "
                f"{(1, self.in_channels, *sides)}: it must give logits, one per class or region and pixel, "
                f"(1, {self.outputs}, {', '.join(map(str, sides))})"
            )
        if shape[1] != self.outputs:
            raise ValueError(
                f"model: {self.name} gives {shape[1]} channels, but the data have {self.outputs} classes (background "
                f"included) or regions: give its class that number, {_argument(self.network, self.outputs)}"
            )

    def require_same_in_training(self) -> None:
        """Refuse a module that gives something else in training mode, such as the outputs of several levels."""
        expected = self.run(self.shapes[0])
        other = twin(self.network, self.device).train()
        try:
            given = run_once(other, (self.in_channels, *self.shapes[0]))
        except Exception:  # such as batch norms that want a batch
            return
        if not isinstance(given, Tensor) or given.shape != expected.shape:
            what = f"a tensor of {tuple(given.shape)}" if isinstance(given, Tensor) else f"a {type(given).__name__}"
            raise ValueError(
                f"model: {self.name} gives {what} in training and logits of {tuple(expected.shape)} otherwise: it must "
                "give the same in both; switch its deep supervision off, or return its outputs as a list in both and "
                "name them to segexp.models.Select (docs/extending.md)"
            )

    def lacking(self, sides: Sequence[int]) -> int | None:
        """Pixels that the output lacks along each axis; None where an image of this size is not taken."""
        given = self.run(sides) if self._affordable(sides) else None
        if not isinstance(given, Tensor) or given.ndim != len(sides) + 2:
            return None
        lacks = {side - have for side, have in zip(sides, given.shape[2:], strict=True)}
        lack = lacks.pop()
        return None if lacks or lack < 0 or lack % 2 or lack >= min(sides) else lack

    def _affordable(self, sides: Sequence[int]) -> bool:
        pixels = torch.Size(sides).numel()
        return self.device == "meta" or tuple(sides) == self.patch_size or pixels <= MOST_PIXELS

    def sizes(self) -> TakenSizes | None:
        """Sizes that it takes; the least is tried in earnest, as shapes alone do not tell all."""
        axes = len(self.patch_size)
        sizes = find_taken_sizes(lambda side: self.lacking([side] * axes))
        if sizes is None or self.device == "cpu":
            return sizes
        self.on("cpu")
        least = [sizes.even_sizes.least] * axes
        if not self._affordable(least) or self.lacking(least) == 2 * sizes.margin:
            return sizes
        return find_taken_sizes(lambda side: self.lacking([side] * axes))

    def wrong_size(self) -> str:
        """Sentence for logits that are not of the image's size."""
        sides, given = self.shapes
        return (
            f"model: {self.name} gives logits of {given} for an image of {sides}, they must be of its "
            "size, or less by the same margin whatever the size: up-sample them in its forward, or with "
            "segexp.models.Select, output=null and resize=true (docs/extending.md)"
        )


def _argument(network: nn.Module, outputs: int) -> str:
    """Say how the number of outputs is set: by the name that its class has for it, where it is a common one."""
    usual = ("num_classes", "out_channels", "classes", "n_classes", "out_chans", "num_labels")
    own = [name for name in parameters_of(type(network)) if name not in ("args", "kwargs")]
    names = [name for name in usual if name in own]
    if names:
        return f"such as model.{names[0]}={outputs}"
    return f"by whichever of its arguments sets it ({', '.join(own)})" if own else "in its own code"


def parameters_of(function: Any) -> Sequence[str]:
    """Names of the arguments of a function or class; none of builtins."""
    try:
        return list(inspect.signature(cast("Any", function)).parameters)
    except (TypeError, ValueError):  # of builtins
        return []
