"""How good a mask is, as far as the prediction itself tells: measures of one case without its truth.

They are sums over pixels, so that an image may come block by block.
"""

from collections.abc import Sequence
from typing import TypedDict

import torch
from torch import Tensor

from segexp.inference.probabilities import entropy, masks_of, tempered


class Measures(TypedDict):
    """Measures of one case.

    Attributes:
        expected_dice: Dice of the mask with a truth that is drawn from the probabilities, pixel by pixel: the ratio of
            the expectations, averaged over the classes or regions that the mask has; 0 of an empty mask.
        agreement: Dice of pairs of members of an ensemble, networks or views, see ``Ensemble``, averaged over the
            classes or regions that any member has; 0 where none has any, None of one member.
        entropy: Mean entropy of the probabilities in the mask, from 0 to 1; None of an empty mask.
        predicted: Number of pixels in the mask, of several regions the sum.
        temperature: Temperature of the probabilities for ``expected_dice``, see ``tempered``.
    """

    expected_dice: float
    agreement: float | None
    entropy: float | None
    predicted: int
    temperature: float


class CaseQuality:
    """Gathers what the measures of one case are made of.

    Args:
        activation: "softmax" of classes, the background first, or "sigmoid" of overlapping regions.
        temperatures: Temperatures of the probabilities for ``expected_dice``, see ``tempered``.
    """

    def __init__(self, activation: str = "softmax", temperatures: Sequence[float] = (1.0,)) -> None:
        self.activation = activation
        self.temperatures = tuple(temperatures)
        self._pixels = self._entropy = self._pairs = torch.zeros(0)
        self._soft: dict[float, Tensor] = {}

    def add(self, probs: Tensor, pairs: Tensor | None = None, inside: Tensor | None = None) -> None:
        """Add a part of the case.

        Args:
            probs: (K, *S) probabilities, background included.
            pairs: (2 P, *S), channels of the agreement of an ``Ensemble``; None = there is one member.
            inside: (*S) bool, pixels that count; None = all.
        """
        if inside is not None:
            probs, pairs = probs[:, inside], None if pairs is None else pairs[:, inside]
        classes = self.activation == "softmax"
        masks = masks_of(probs, classes).flatten(1)
        uncertain = entropy(probs, self.activation)
        uncertain = (uncertain[None] if classes else uncertain).flatten(1)
        self._pixels = _sum(self._pixels, masks)
        self._entropy = _sum(self._entropy, (uncertain * masks).sum(0, keepdim=True))
        if pairs is not None:
            self._pairs = _sum(self._pairs, pairs.flatten(1))
        for temperature in self.temperatures:
            soft = tempered(probs, temperature, self.activation)[int(classes) :].flatten(1)
            before = self._soft.get(temperature, torch.zeros(0))
            self._soft[temperature] = _sum(before, torch.cat([soft * masks, soft]))

    def measures(self, temperature: float | None = None) -> Measures:
        """Return the measures of all that was added, with one of the temperatures; None = the first."""
        temperature = temperature or self.temperatures[0]
        hits, sizes = self._soft[temperature].chunk(2)
        there = self._pixels > 0
        dice = (2 * hits / (self._pixels + sizes))[there]
        predicted = int(self._pixels.sum())
        agreement = None
        if len(self._pairs):
            both, any_ = self._pairs.chunk(2)
            agreement = _mean((both / any_)[any_ > 0])
        return Measures(
            expected_dice=_mean(dice),
            agreement=agreement,
            entropy=float(self._entropy.sum()) / predicted if predicted else None,
            predicted=predicted,
            temperature=temperature,
        )


def certainty(measures: Measures, name: str) -> float:
    """Value of the measure "agreement" or "expected_dice", from 0 to 1.

    Raises:
        ValueError: The case has no such measure.
    """
    value = measures["expected_dice"] if name == "expected_dice" else measures["agreement"]
    if value is None:
        raise ValueError(f"there is no {name} of one network and one view: take several, or another measure")
    return min(1.0, max(0.0, value))


def _sum(before: Tensor, channels: Tensor) -> Tensor:
    """Add the sum over the pixels of channels (n, N) to earlier sums (n,) float64, if there are any."""
    added = channels.sum(1, dtype=torch.float64).cpu()
    return before + added if len(before) else added


def _mean(values: Tensor) -> float:
    return float(values.mean()) if len(values) else 0.0
