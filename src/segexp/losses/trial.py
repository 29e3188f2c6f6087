"""A loss of others, tried on a few random pixels before anything is trained.

What it takes is found out by calling it; that it gets logits and means what it should is seen from what a right, a
wrong and a surer prediction cost.
"""

import copy
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from segexp.errors import first_line
from segexp.losses.checks import CLASS_DIM
from segexp.losses.foreign_loss import IGNORED, NO_WEIGHT, ForeignLoss, one_channel_each

SIZES = (12, 16, 24)  # of what it is tried on
SURE = 30.0  # logit at which a softmax or a sigmoid is 1 to float32
TORCHS_OWN = -100  # default of torch's ignore_index


@dataclass(frozen=True)
class Fault:
    """What is wrong with a loss, and whether it took the target at all."""

    sentence: str
    taken: bool


class Trial:
    """Random pixels of all classes, or of regions that overlap.

    Args:
        channels: Number of channels of the logits.
        axes: Number of spatial axes.
        regions: Whether the target is of overlapping regions.
        weighted: Whether there is a weight per pixel.
    """

    def __init__(self, channels: int, axes: int, regions: bool, weighted: bool) -> None:
        self.regions = regions
        generator = torch.Generator().manual_seed(0)
        samples = channels + 1  # not the number of channels, nor 1: sizes that broadcast would hide a mistake
        pixels = (samples, *SIZES[-axes:])
        shape = (samples, channels, *pixels[1:])
        self.logits = torch.randn(shape, generator=generator)
        self.target = torch.randint(0, 2 if regions else channels, shape if regions else pixels, generator=generator)
        self.weight = torch.ones(pixels) if weighted else None
        self.partly = self.target.where(torch.rand(self.target.shape, generator=generator) > 0.2, IGNORED)
        unknown = self.partly == IGNORED
        self.unknown = unknown if regions else unknown.unsqueeze(CLASS_DIM).expand_as(self.logits)

    def fault_of(self, candidate: ForeignLoss) -> Fault | None:
        """Try a loss, note in it what it does, and return what is wrong with it."""
        loss = copy.deepcopy(candidate)  # what it remembers of these pixels is forgotten
        try:
            with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
                warnings.filterwarnings("error", message="Using a target size")  # torch's: it would broadcast
                for sentence in self._faults(loss):
                    return Fault(sentence, True)
                candidate.per_pixel, candidate.takes_weight = loss.per_pixel, loss.takes_weight
                own = getattr(loss.loss, "ignore_index", None)
                for value in (own, IGNORED, TORCHS_OWN):
                    if isinstance(value, int) and self._leaves_out(loss, value):
                        candidate.ignored, candidate.leaves_out = value, True
                        break
        except Exception as error:  # whatever the code of others raises
            return Fault(first_line(error), False)
        return None

    def _faults(self, loss: ForeignLoss) -> Iterator[str]:
        loss.takes_weight = loss.takes_weight and self._takes_weight(loss)
        value = loss.called(self.logits, self.target, self.weight if loss.takes_weight else None)
        if not isinstance(value, Tensor):
            yield f"it returns a {type(value).__name__}, not one tensor"
        size = self.logits.shape[2:]
        loss.per_pixel = value.ndim > len(size) and value.shape[-len(size) :] == size
        if self.weight is not None and not loss.takes_weight and not loss.per_pixel:
            yield f"it {NO_WEIGHT}"
        logits = self.logits.clone().requires_grad_()
        value = loss(logits, self.target, self.weight)
        slope = torch.autograd.grad(value, logits, allow_unused=True)[0] if value.requires_grad else None
        if slope is None or not slope.isfinite().all() or not slope.any():
            yield "it has no gradient, or one that is not finite"
        yield from self._senseless(loss)

    def _senseless(self, loss: ForeignLoss) -> Iterator[str]:
        """What it says of predictions whose order is known."""
        truth = self.target.float() if self.regions else one_channel_each(self.target, self.logits.shape[CLASS_DIM], 0)
        wrong = 1 - truth if self.regions else truth.roll(1, CLASS_DIM)

        def cost(prediction: Tensor, sure: float = SURE) -> float:
            return float(loss(sure * prediction, self.target, self.weight))

        half_right, surer = cost(truth), cost(truth, 2 * SURE)  # of regions: undecided outside
        if surer < half_right - 1e-3 * max(1, abs(half_right)):
            yield (
                f"it takes the logits for probabilities: a prediction of {SURE:g} where it is true costs "
                f"{half_right:.3g}, and one of {2 * SURE:g} costs {surer:.3g}"
            )
        if self.regions:
            truth, wrong = 2 * truth - 1, 2 * wrong - 1
        right = cost(truth)
        if not right < cost(wrong):
            yield f"a right prediction costs {right:.3g} and a wrong one {cost(wrong):.3g}"
        shifted = loss(self.logits + self.logits.mean(CLASS_DIM, keepdim=True), self.target, self.weight)
        if self.regions and torch.isclose(shifted, loss(self.logits, self.target, self.weight)):
            yield (
                "it takes regions for classes that exclude each other (softmax): what is added to the logits of all of "
                "them changes nothing"
            )

    def _takes_weight(self, loss: ForeignLoss) -> bool:
        """Whether its argument ``weight`` is one per pixel, as far as that is asked; torch's functions mean classes."""
        if self.weight is not None:
            try:
                loss.called(self.logits, self.target, self.weight)
            except Exception:  # whatever the code of others raises
                return False
        return True

    def _leaves_out(self, loss: ForeignLoss, value: int) -> bool:
        """Whether pixels with this value get no gradient and change nothing."""
        loss.ignored, loss.leaves_out = value, True
        logits = self.logits.clone().requires_grad_()
        try:
            cost = loss(logits, self.partly, self.weight)
            slope = torch.autograd.grad(cost, logits)[0]
            moved = loss(self.logits.where(~self.unknown, -self.logits), self.partly, self.weight)
        except Exception:  # whatever the code of others raises
            return False
        return not slope[self.unknown].any() and bool(torch.isclose(cost, moved)) and bool(slope.any())
