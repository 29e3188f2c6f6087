"""From probabilities to labels, as the metrics decide, and back."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot


@dataclass(frozen=True)
class DecisionRule:
    """How labels are made of probabilities.

    Args:
        boundary_class: Class that is decided first; None = the most probable class wins.
        threshold: Probability of not being boundary above which a pixel belongs to the most probable other class.
    """

    boundary_class: int | None = None
    threshold: float = 0.5

    def labels(self, probs: Tensor, regions: bool = False) -> np.ndarray:
        """Decide for labels.

        Args:
            probs: (K, *S) float.
            regions: Whether the channels are overlapping regions, each present where it is above 0.5.

        Returns:
            (*S) unsigned integers, or (K, *S) bool of regions.
        """
        if regions:
            return (probs > 0.5).cpu().numpy()
        kind = np.uint8 if len(probs) <= 256 else np.uint16
        if self.boundary_class is None:
            return probs.max(dim=0).indices.cpu().numpy().astype(kind)
        interior = 1 - probs[self.boundary_class].cpu().double() > self.threshold
        others = probs.cpu().clone()
        others[self.boundary_class] = -1
        return torch.where(interior, others.max(dim=0).indices, self.boundary_class).numpy().astype(kind)


def certain_probs(labels: Tensor, num_classes: int | None) -> Tensor:
    """Turn labels into probabilities of 0 and 1.

    Args:
        labels: (*S) class indices, or (K, *S) of overlapping regions.
        num_classes: Number of classes, background included; None = regions. What is no class counts as background,
            what is not 1 as outside the region.

    Returns:
        (K, *S) float.

    Raises:
        ValueError: ``labels`` is no tensor.
    """
    if not isinstance(labels, Tensor):
        raise ValueError(f"labels is a {type(labels).__name__} but must be a tensor (*S): torch.as_tensor(labels)")
    if num_classes is None:
        return (labels == 1).float()
    return one_hot(torch.where(labels < num_classes, labels, 0).long(), num_classes).movedim(-1, 0).float()
