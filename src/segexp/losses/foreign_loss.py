"""A loss of another library, or a function of logits and a target, under the contract of our losses."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from segexp.errors import name_of
from segexp.losses.checks import CLASS_DIM, at_least_float32, require_shapes
from segexp.losses.reduction import reduce_pixels

IGNORED = 255
UNKNOWN_PIXELS = (
    "counts every pixel, but some are not labeled (255 in the target): take a loss with an ignore_index, one that "
    "gives a value per pixel (reduction=none), or one of ours"
)
NO_WEIGHT = (
    "takes no weight per pixel: leave the weight map out (weight_map=null), or take a loss whose forward has an "
    "argument weight, or that gives a value per pixel (reduction=none)"
)

Form = Callable[[Tensor, int, int], Tensor]  # target with IGNORED, number of channels, value of ignored pixels


def indices(target: Tensor, channels: int, ignored: int) -> Tensor:  # noqa: ARG001
    """Hand over class indices (B, *S) as they are."""
    return target.long().where(target != IGNORED, ignored)


def with_channel(target: Tensor, channels: int, ignored: int) -> Tensor:
    """Hand over class indices (B, *S) as (B, 1, *S)."""
    return indices(target, channels, ignored).unsqueeze(CLASS_DIM)


def one_channel_each(target: Tensor, channels: int, ignored: int) -> Tensor:
    """Hand over class indices (B, *S) as one channel per class, (B, C, *S) of 0 and 1."""
    counted = (target != IGNORED).unsqueeze(CLASS_DIM)
    classes = one_hot(indices(target, channels, 0), channels).movedim(-1, CLASS_DIM)
    return classes.float().where(counted, ignored)


def regions(target: Tensor, channels: int, ignored: int) -> Tensor:  # noqa: ARG001
    """Hand over regions (B, R, *S) as floating point."""
    return target.float().where(target != IGNORED, ignored)


FORMS: dict[str, dict[str, Form]] = {
    "classes": {"(B, *S)": indices, "(B, 1, *S)": with_channel, "one-hot (B, C, *S)": one_channel_each},
    "regions": {"(B, R, *S)": regions},
}


class ForeignLoss(nn.Module):
    """A loss (logits, target) of others; nothing of it is part of a checkpoint.

    Args:
        loss: Module or function.
        kind: "classes" or "regions".
        form: How the target is handed over.

    Attributes:
        ignored: What stands for an ignored pixel in the target that the loss gets.
        takes_weight: Whether it has an argument ``weight``.
        per_pixel: Whether it gives a value per pixel, so that weights and ignored pixels are reckoned with here.
        leaves_out: Whether ignored pixels count nowhere.
    """

    def __init__(self, loss: Callable[..., Any], kind: str, form: Form) -> None:
        super().__init__()
        self._loss = (loss,)  # no module of this one: its buffers would be part of checkpoints
        self.form = form
        self.target_kinds = (kind,)
        self.ignored = 0
        self.takes_weight = "weight" in parameters_of(loss)
        self.per_pixel = False
        self.leaves_out = False

    @property
    def loss(self) -> Any:
        """The loss as it is."""
        return self._loss[0]

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the loss, a scalar; of a loss per pixel the mean over those that count.

        Raises:
            ValueError: The shapes do not fit, or the loss takes no weight or cannot leave out ignored pixels.
        """
        require_shapes(logits, target, weight, regions=self.target_kinds == ("regions",))
        counted = target != IGNORED
        on_cpu = target.device.type == "cpu"  # elsewhere a look would wait for the values
        if not self.leaves_out and on_cpu and not torch.compiler.is_compiling() and not counted.all():
            raise ValueError(f"loss {name_of(self.loss)} {UNKNOWN_PIXELS}")
        value: Tensor = self.called(logits, target, weight)
        if not self.per_pixel:
            return value.mean()
        if value.ndim > counted.ndim:  # a value per class, or one channel
            value = value.mean(CLASS_DIM)
        if weight is not None and counted.ndim > weight.ndim:
            weight = weight.unsqueeze(CLASS_DIM)
        return reduce_pixels(value.where(counted, 0), None if self.takes_weight else weight, counted)

    def called(self, logits: Tensor, target: Tensor, weight: Tensor | None) -> Any:
        """Call the loss as it is.

        Raises:
            ValueError: It takes no weight.
        """
        if weight is not None and not self.takes_weight and not self.per_pixel:
            raise ValueError(f"loss {name_of(self.loss)} {NO_WEIGHT}")
        logits = at_least_float32(logits)
        words = {"weight": weight} if self.takes_weight and weight is not None else {}
        return self.loss(logits, self.form(target, logits.shape[CLASS_DIM], self.ignored), **words)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "ForeignLoss":
        """Move the loss along to another device."""
        if isinstance(self.loss, nn.Module):
            self.loss._apply(fn, recurse)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self


def parameters_of(loss: Any) -> dict[str, inspect.Parameter]:
    """Arguments of a function, of a module's forward, or of a class; none where Python cannot tell."""
    try:
        return dict(inspect.signature(loss.forward if isinstance(loss, nn.Module) else loss).parameters)
    except (TypeError, ValueError):
        return {}
