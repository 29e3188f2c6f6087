"""Averaging predictions over flipped and turned views of the image (test-time augmentation)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

Network = Callable[[Tensor], Tensor]
Predictor = Callable[[Network, Tensor], Tensor]

PLANE = (-2, -1)


@dataclass(frozen=True)
class FlipTurnPredictor:
    """Averages what a predictor says about flips and quarter turns of the image, in the plane of the last two axes.

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
        if image.ndim < 4:
            raise ValueError(f"image of shape {tuple(image.shape)} has no plane to flip or turn: give (B, C, H, W)")
        views = list(self.views())
        return reduce(torch.add, (self.predict_view(network, image, *view) for view in views)) / len(views)

    def views(self) -> Iterator[tuple[int, bool]]:
        """Yield quarter turns and whether to flip after them; both flips in one are a half turn."""
        quarters = range(4) if self.turns else range(0, 4, 2) if self.flips else range(1)
        for flipped in (False, True) if self.flips else (False,):
            for quarter in quarters:
                yield quarter, flipped

    def predict_view(self, network: Network, image: Tensor, quarter: int, flipped: bool) -> Tensor:
        """Predict a turned and flipped image and bring the probabilities back."""
        view = image.rot90(quarter, PLANE)
        probs = self.predictor(network, view.flip(-1) if flipped else view)
        return (probs.flip(-1) if flipped else probs).rot90(-quarter, PLANE)
