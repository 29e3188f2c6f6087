"""Averaging predictions over flipped and turned views of the image (test-time augmentation)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

Network = Callable[[Tensor], Tensor]
Predictor = Callable[[Network, Tensor], Tensor]
View = tuple[int, bool]  # quarter turns, and whether to flip the last axis after them

PLANE = (-2, -1)
UNTURNED: View = (0, False)


def views(flips: bool = True, turns: bool = True) -> Iterator[View]:
    """Yield the views of the plane of the last two axes, the image as it is first.

    Both flips in one are a half turn: 4 views of flips or of turns alone, 8 of both, 1 of neither.
    """
    quarters = range(4) if turns else range(0, 4, 2) if flips else range(1)
    for flipped in (False, True) if flips else (False,):
        for quarter in quarters:
            yield quarter, flipped


def seen(image: Tensor, view: View) -> Tensor:
    """Turn and flip an image (B, C, *S).

    Raises:
        ValueError: The image has one spatial axis only and the view is not the image as it is.
    """
    if view == UNTURNED:
        return image
    if image.ndim < 4:
        raise ValueError(f"image of shape {tuple(image.shape)} has no plane to flip or turn: give (B, C, H, W)")
    quarter, flipped = view
    turned = image.rot90(quarter, PLANE)
    return turned.flip(-1) if flipped else turned


def brought_back(probs: Tensor, view: View) -> Tensor:
    """Undo ``seen`` on the probabilities (B, K, *S) of a view."""
    if view == UNTURNED:
        return probs
    quarter, flipped = view
    return (probs.flip(-1) if flipped else probs).rot90(-quarter, PLANE)


@dataclass(frozen=True)
class FlipTurnPredictor:
    """Averages what a predictor says about flips and quarter turns of the image, in the plane of the last two axes.

    The whole image is turned; ``Members`` averages over the views of each tile instead.

    Args:
        predictor: Called with network and image (B, C, *S), returns probabilities (B, K, *S); a ``TiledPredictor``,
            say. A tile that is not square is not turned with the image.
        flips: Average over mirror images: 4 views, or 8 with turns.
        turns: Average over quarter turns: 4 views, or 8 with flips.
    """

    predictor: Predictor
    flips: bool = True
    turns: bool = True

    @torch.inference_mode()
    def __call__(self, network: Network, image: Tensor) -> Tensor:
        """Return the mean probabilities of all views.

        Args:
            network: Handed to the predictor.
            image: (B, C, *S) with two or three spatial axes.

        Returns:
            (B, K, *S).

        Raises:
            ValueError: The image has one spatial axis only.
        """
        chosen = list(views(self.flips, self.turns))
        return reduce(torch.add, (self._predict(network, image, view) for view in chosen)) / len(chosen)

    def _predict(self, network: Network, image: Tensor, view: View) -> Tensor:
        return brought_back(self.predictor(network, seen(image, view)), view)
