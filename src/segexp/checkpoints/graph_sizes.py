"""Image sizes that the graph of an exported network takes."""

from dataclasses import dataclass
from typing import Any

from segexp.checkpoints.checkpoint import Model

FCN_DEPTH = 5  # down-samplings of FCN8s


@dataclass(frozen=True)
class Sizes:
    """Image sizes that an exported graph takes: ``least + k * multiple_of`` px per axis, k = 0, 1, ...

    Attributes:
        least: The smallest.
        multiple_of: Step to the next one.
    """

    least: int
    multiple_of: int

    @property
    def plain(self) -> dict[str, int]:
        """For the JSON file: sizes are ``plus`` more than a multiple of ``multiple_of``."""
        return {"least": self.least, "multiple_of": self.multiple_of, "plus": self.least % self.multiple_of}

    def at_least(self, size: int) -> int:
        """Smallest such size that is not below ``size``."""
        steps = max(0, -(-(size - self.least) // self.multiple_of))
        return self.least + steps * self.multiple_of


def graph_sizes(model: Model) -> Sizes:
    """Sizes at which the graph of a network is the same: those that every pooling halves evenly.

    The network itself takes others, too: it pads, crops and rounds there, which a graph has no branches for.
    """
    step = 2 ** model.config.get("depth", FCN_DEPTH)
    if model.config.get("padding", "same") == "same":
        return Sizes(2 * step, step)
    return Sizes(next(n for n in range(1, 64 * step) if _takes(model.network, n)), step)


def _takes(network: Any, side: int) -> bool:
    try:
        network.output_size([side])
    except ValueError:
        return False
    return True
