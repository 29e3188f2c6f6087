"""What a metric says of itself: direction, unit, what it is computed from, and how each score comes about."""

from dataclasses import dataclass
from typing import Literal

Source = Literal["labels", "probabilities"]
Targets = Literal["classes", "regions"]


@dataclass(frozen=True)
class MetricInfo:
    """Description of one score.

    Args:
        protocol: One sentence: what is averaged over what, at which threshold, chosen how.
        higher_is_better: Whether a higher value is the better one.
        unit: "fraction" of a score between 0 and 1 whose differences are shown in points (hundredths), a unit of length
            such as "mm" or "px", or "" for a plain number.
        computed_from: "labels", the decided classes or regions, which post-processing changes, or "probabilities".
        targets: "classes", indices that exclude each other, or "regions", which may overlap.
    """

    protocol: str
    higher_is_better: bool = True
    unit: str = ""
    computed_from: Source = "labels"
    targets: Targets = "classes"
