"""A loss of logits (B, C, *S) and a target (B, *S), as a plain function."""

from torch import Tensor
from torch.nn.functional import one_hot


def squared_error(logits: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of probability and truth, the Brier score."""
    truth = one_hot(target, logits.shape[1]).movedim(-1, 1)
    return (logits.softmax(dim=1) - truth).square().sum(dim=1).mean()
