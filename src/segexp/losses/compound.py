"""Any weighted sum of losses."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from segexp.errors import did_you_mean, require_at_least


class Compound(nn.Module):
    """Sum of losses, each times its weight. On an empty mask each does what it says of itself.

    Args:
        terms: Weights of the parts by name, at least 0; a part of weight 0, or without a weight, is not computed.
        parts: Losses by name: ``forward(logits, target, weight)`` to a scalar, and ``target_kinds``.

    Attributes:
        target_kinds: Kinds of target that all active parts are for: "classes", "regions" or both.
        terms: The weights above 0.

    Raises:
        ValueError: A weight is negative, none is above 0, a term has no part, a part gives no single number, or the
            active parts take no target in common.
    """

    def __init__(self, terms: Mapping[str, float], parts: Mapping[str, nn.Module]) -> None:
        super().__init__()
        for name, weight in terms.items():
            require_at_least(f"terms.{name}", weight, 0)
            if name not in parts:
                hint = did_you_mean(name, parts)
                raise ValueError(f"terms.{name}={weight} is the weight of no part{hint}: the parts are {list(parts)}")
        self.terms = {name: weight for name, weight in terms.items() if weight > 0}
        if not self.terms or not math.isfinite(sum(self.terms.values())):
            raise ValueError(f"terms={dict(terms)} must be finite, and one at least above 0, such as terms.ce=1")
        self.parts = nn.ModuleDict({name: parts[name] for name in self.terms})
        for name, part in self.parts.items():
            if getattr(part, "reduction", None) == "none":
                raise ValueError(f"parts.{name}.reduction='none' gives no number to be summed: take 'mean' or 'sum'")
        kinds = {name: _target_kinds(name, parts[name]) for name in self.terms}
        self.target_kinds = tuple(
            kind for kind in ("classes", "regions") if all(kind in of_part for of_part in kinds.values())
        )
        if not self.target_kinds:
            listed = ", ".join(f"{name} takes {' and '.join(of_part)}" for name, of_part in kinds.items())
            raise ValueError(f"{listed}: these cannot be summed over one target; put the weight of one kind to 0")

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the weighted sum; every part gets ``weight``. Arguments and errors as those of the parts."""
        return self.with_terms(logits, target, weight)[0]

    def with_terms(
        self, logits: Tensor, target: Tensor, weight: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum, and the active parts' losses by name, unweighted."""
        losses = {name: part(logits, target, weight) for name, part in self.parts.items()}
        return torch.stack([self.terms[name] * loss for name, loss in losses.items()]).sum(), losses


def _target_kinds(name: str, part: nn.Module) -> tuple[str, ...]:
    target_kinds = getattr(part, "target_kinds", None)
    if target_kinds is None:
        raise ValueError(
            f"parts.{name} {type(part).__name__} does not say which targets it takes: "
            'give its class target_kinds = ("classes",), ("regions",) or ("classes", "regions")'
        )
    return tuple(target_kinds)
