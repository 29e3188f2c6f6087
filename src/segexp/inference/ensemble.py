"""Several networks and views as one: mean probabilities, and how far apart the members are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from segexp.inference.probabilities import Activation, Network, in_memory_format, margins_of, require_output, softmax
from segexp.inference.views import UNTURNED, View, apply_view, undo_view, views


@dataclass(frozen=True)
class Ensemble:
    """Networks and views whose probabilities are averaged, tile by tile; it takes the place of a network.

    Each network predicts each view: a member is a pair of both. The networks may differ in architecture. Where their
    outputs differ in size (valid convolutions), the center that all have is averaged. Views by quarter turns turn the
    tile: where it is not square, networks get both of its shapes.

    Args:
        networks: Networks, each (N, C, *T) to logits (N, K, *T'), with the same K; on the same device.
        views: Views of each tile, from ``views.views``; the default is the tile as it is.
        std: Whether the standard deviations over the members (divided by their number) follow the means as K further
            channels.

    Raises:
        ValueError: There is no network or no view.
    """

    networks: Sequence[Network]
    views: Sequence[View] = (UNTURNED,)
    std: bool = False

    def __post_init__(self) -> None:
        if not self.networks or not self.views:
            raise ValueError(
                f"{len(self.networks)} networks and {len(self.views)} views leave nothing to average: give one of each"
            )

    def margins(self, axes: int) -> tuple[int, ...]:
        """Pixels per axis that the output lacks on each side: the largest margin of all members."""
        margins = [max(margin) for margin in zip(*(margins_of(one, axes) for one in self.networks), strict=True)]
        if any(quarter % 2 for quarter, _ in self.views):
            plane = margins[-2:]  # turned, each of its axes lacks what the other does
            margins[-2:] = [max(plane)] * len(plane)
        return tuple(margins)

    def average_probabilities(self, tiles: Tensor, activation: Activation = softmax) -> Tensor:
        """Return the mean probabilities of tiles (N, C, *T).

        Args:
            tiles: Tiles on the device of the networks.
            activation: Function from float32 logits to probabilities.

        Returns:
            (N, K, *T') float32; with ``std`` (N, 2 K, *T'), the means before the standard deviations.

        Raises:
            ValueError: Two networks differ in their number of classes, or an output has another size than its margin
                makes it.
        """
        pairs = zip(tiles.shape[2:], self.margins(tiles.ndim - 2), strict=True)
        size = [side - 2 * margin for side, margin in pairs]
        total = squares = torch.zeros((), device=tiles.device)
        count = 0
        for number, network in enumerate(self.networks, start=1):
            for view in self.views:
                seen = in_memory_format(apply_view(tiles, view))
                logits = network(seen)
                require_output(logits, seen, margins_of(network, tiles.ndim - 2))
                probs = undo_view(activation(logits.float()), view)
                for dim, side in enumerate(size, start=2):  # the center that all members have
                    probs = probs.narrow(dim, (probs.shape[dim] - side) // 2, side)
                if count and probs.shape[1] != total.shape[1]:
                    raise ValueError(
                        f"network {number} of the ensemble gives {probs.shape[1]} classes and network 1 gives "
                        f"{total.shape[1]}: average only networks of the same classes"
                    )
                # Sums alone are kept, those of the squared differences from the mean as Welford updates them.
                difference = probs - total / max(count, 1) if self.std else probs
                total = total + probs
                count += 1
                if self.std:
                    squares = squares + difference * (probs - total / count)
        mean = total / count
        return torch.cat([mean, (squares / count).sqrt_()], dim=1) if self.std else mean


Predictor = Callable[[Network | Ensemble, Tensor], Tensor]  # image (B, C, *S) to probabilities (B, K, *S)


@dataclass(frozen=True)
class FlipTurnPredictor:
    """Averages the predictions of flips and quarter turns of each tile, in the plane of the last two axes.

    Args:
        predictor: Predictor that gets an ``Ensemble`` in place of the network, such as a ``TiledPredictor``.
        flips: Whether to average over mirror images: 4 views, or 8 with turns.
        turns: Whether to average over quarter turns: 4 views, or 8 with flips.
    """

    predictor: Predictor
    flips: bool = True
    turns: bool = True

    def __call__(self, network: Network | Ensemble, image: Tensor) -> Tensor:
        """Return the mean probabilities (B, K, *S) of all views of an image (B, C, *S).

        Raises:
            ValueError: The image has one spatial axis only.
        """
        networks = getattr(network, "networks", [network])  # an ensemble's, each of which gets all views
        return self.predictor(Ensemble(networks, views(self.flips, self.turns)), image)
