"""Weights of classes or regions, given by hand or balanced from the training cases."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segexp.losses.checks import CLASS_DIM, require_tensors, require_weights

AUTO = "auto"


class ClassWeights(nn.Module):
    """One factor per class or region; no part of a checkpoint.

    Args:
        name: Name of the setting, for messages: ``class_weights`` or ``region_weights``.
        weights: Factors of at least 0; "auto" = those of ``balanced_weights``, known after ``fit``; None = no factors.

    Attributes:
        awaits_counts: True with "auto" as long as ``fit`` has not been called.

    Raises:
        ValueError: A weight is negative or not finite, none is above 0, or a word is not "auto".
    """

    def __init__(self, name: str, weights: Sequence[float] | str | None) -> None:
        super().__init__()
        self.name = name
        self.kind = name.removesuffix("_weights")
        self.auto = isinstance(weights, str) and weights == AUTO
        self.values: Tensor | None
        self.register_buffer("values", None, persistent=False)
        if weights is None or self.auto:
            return
        if not isinstance(weights, Sequence) or isinstance(weights, str):
            raise ValueError(f"{name}={weights!r} must be null, a list with one number per {self.kind}, or {AUTO!r}")
        require_weights(name, weights)
        self.values = torch.tensor(weights, dtype=torch.float32)

    @property
    def awaits_counts(self) -> bool:
        """Whether ``fit`` must be called before the first loss."""
        return self.auto and self.values is None

    def fit(self, counts: Tensor) -> None:
        """Balance by the pixels of the training cases; weights given by hand, or None, stay as they are.

        Args:
            counts: (K, 2), see ``balanced_weights``.
        """
        if self.auto:
            self.values = balanced_weights(counts).to(torch.float32)

    def forward(self, logits: Tensor) -> Tensor | None:
        """Return the factors (K,) in precision and on the device of the logits (B, K, *S), or None for no factors.

        Raises:
            ValueError: There is not one weight per class or region, or ``fit`` has not been called.
        """
        if self.awaits_counts:
            raise ValueError(
                f"{self.name}='auto' knows no pixels yet: call {self.name}.fit(counts) before the first loss, "
                "or give a list"
            )
        if self.values is None:
            return None
        count = logits.shape[CLASS_DIM]
        if len(self.values) != count:
            several, each = "regions", "region"
            if self.kind == "class":
                several, each = "classes or regions", "class, background first, or region"
            raise ValueError(
                f"{self.name} has {len(self.values)} values but the logits have {count} {several}: "
                f"give one weight per {each}"
            )
        return self.values.to(logits)


def balanced_weights(counts: Tensor) -> Tensor:
    """Weights in inverse proportion to how frequent a class or region is; the mean over the pixels inside is 1.

    Args:
        counts: (K, 2): pixels inside class or region k, pixels labeled for it (of classes, all the same number).

    Returns:
        (K,) float64. With the frequency f = inside / labeled, w is proportional to 1 / f, scaled so that
        sum(inside * w) = sum(inside). A class without pixels gets 1.

    Raises:
        ValueError: The counts are not (K, 2), or more pixels lie inside than are labeled, or none lies inside.
    """
    require_tensors(counts=counts)
    if counts.ndim != 2 or counts.shape[1] != 2:
        raise ValueError(f"counts of shape {tuple(counts.shape)} must be (K, 2): pixels inside and pixels labeled")
    inside, labeled = counts.double().unbind(1)
    if (inside > labeled).any() or not (inside > 0).any():
        raise ValueError(
            f"counts={counts.tolist()} must have at most as many pixels inside as labeled, and some inside: "
            "check the masks of the training cases, or give the weights by hand"
        )
    occurs = inside > 0
    raw = torch.where(occurs, labeled / inside.where(occurs, 1), 0)
    return torch.where(occurs, raw * inside.sum() / (inside * raw).sum(), 1)
