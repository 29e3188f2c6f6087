"""Cases for metrics of others, and what ours say of them."""

import torch

from segexp.metrics import OverlapScores, gather
from segexp.metrics.adapter import adapted

NAMES = ["background", "vessel", "nerve"]
REGIONS = {"tissue": [1, 2], "nerve": [2]}


def cases(regions=False, count=3):
    """Probabilities and truths of cases of different sizes."""
    generator = torch.Generator().manual_seed(5)
    drawn = []
    for case in range(count):
        size = (9 + case, 14)
        probs = torch.rand((1, 2 if regions else 3, *size), generator=generator)
        shape, values = (probs.shape, 2) if regions else ((1, *size), 3)
        drawn.append(
            (
                probs if regions else probs / probs.sum(1, keepdim=True),
                torch.randint(0, values, shape, generator=generator),
            )
        )
    return drawn


def scores(metric, drawn):
    for case, (probs, target) in enumerate(drawn):
        metric.update(probs, target, torch.tensor([case]))
    return gather([(metric.compute(), metric.info)]).scores


def ours(drawn, kind=OverlapScores, regions=None):
    return scores(kind(NAMES, regions), drawn)


def made(metric, regions=None, axes=2):
    return adapted(metric, "mine", NAMES, regions, axes)
