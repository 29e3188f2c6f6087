"""Several networks and views as one: mean probabilities, and how far apart the members are."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, cast

import torch
from torch import Tensor

from segexp.inference.probabilities import (
    Activation,
    Network,
    in_memory_format,
    margins_of,
    masks_of,
    require_output,
    softmax,
)
from segexp.inference.smaller import Smaller
from segexp.inference.views import UNTURNED, View, apply_view, flips_in_words, require_seen, undo_view, views_of


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
        pairs: Whether, of several members, the agreement of their masks follows as 2 P further channels, P the number
            of foreground classes, or of regions: the fraction of the pairs of members that both have a pixel in their
            masks, and the fraction of the members that do. The sum over pixels of the one divided by that of the other
            is the Dice of pairs, intersections and sizes of all pairs summed up.

    Raises:
        ValueError: There is no network or no view.
    """

    networks: Sequence[Network]
    views: Sequence[View] = (UNTURNED,)
    std: bool = False
    pairs: bool = False

    def __post_init__(self) -> None:
        if not self.networks or not self.views:
            raise ValueError(
                f"{len(self.networks)} networks and {len(self.views)} views leave nothing to average: give one of each"
            )

    @classmethod
    def of(cls, network: "Network | Ensemble") -> "Ensemble":
        """Return an ensemble as it is, and a network as an ensemble of its own."""
        return network if isinstance(network, cls) else cls([cast("Network", network)])

    @property
    def members(self) -> int:
        """Number of pairs of a network and a view."""
        return len(self.networks) * len(self.views)

    def margins(self, axes: int) -> tuple[int, ...]:
        """Pixels per axis that the output lacks on each side: the largest margin of all members."""
        margins = [max(margin) for margin in zip(*(margins_of(one, axes) for one in self.networks), strict=True)]
        if any(view.quarters % 2 for view in self.views):
            plane = margins[-2:]  # turned, each of its axes lacks what the other does
            margins[-2:] = [max(plane)] * len(plane)
        return tuple(margins)

    def average_probabilities(self, tiles: Tensor, activation: Activation = softmax) -> Tensor:
        """Return the mean probabilities of tiles (N, C, *T).

        Args:
            tiles: Tiles on the device of the networks.
            activation: Function from float32 logits to probabilities.

        Returns:
            (N, K, *T') float32; with ``std`` and ``pairs`` more channels, the means first, the deviations next.

        Raises:
            ValueError: Two networks differ in their number of classes, or an output has another size than its margin
                makes it.
        """
        total = squares = votes = torch.zeros((), device=tiles.device)
        for count, probs in enumerate(self._probabilities(tiles, activation)):
            # Sums alone are kept, those of the squared differences from the mean as Welford updates them.
            difference = probs - total / max(count, 1) if self.std else probs
            total = total + probs
            if self.std:
                squares = squares + difference * (probs - total / (count + 1))
            if self.pairs:
                votes = votes + masks_of(probs, activation is softmax, dim=1)
        parts = [total / self.members]
        if self.std:
            parts.append((squares / self.members).sqrt_())
        if self.pairs and self.members > 1:
            parts += [votes * (votes - 1) / (self.members * (self.members - 1)), votes / self.members]
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]

    def _probabilities(self, tiles: Tensor, activation: Activation) -> Iterator[Tensor]:
        """Yield the probabilities (N, K, *T') of one member after the other."""
        pairs = zip(tiles.shape[2:], self.margins(tiles.ndim - 2), strict=True)
        size = [side - 2 * margin for side, margin in pairs]
        classes = None
        for number, network in enumerate(self.networks, start=1):
            for view in self.views:
                seen = in_memory_format(apply_view(tiles, view))
                logits = network(seen)
                require_output(logits, seen, margins_of(network, tiles.ndim - 2))
                probs = undo_view(activation(logits.float()), view)
                for dim, side in enumerate(size, start=2):  # the center that all members have
                    probs = probs.narrow(dim, (probs.shape[dim] - side) // 2, side)
                classes = classes or probs.shape[1]
                if probs.shape[1] != classes:
                    raise ValueError(
                        f"network {number} of the ensemble gives {probs.shape[1]} classes and network 1 gives "
                        f"{classes}: average only networks of the same classes"
                    )
                yield probs


Predictor = Callable[[Network | Ensemble, Tensor], Tensor]  # image (B, C, *S) to probabilities (B, K, *S)


class Around:
    """A predictor, a dataclass, that asks another one; where memory is short, that one changes its settings."""

    predictor: Predictor

    def smaller(self, network: object, sizes: Sequence[int]) -> Smaller | None:
        """Settings of the predictor that take less memory for images (*sizes); None = there are none."""
        inner: Any = self.predictor
        found: Smaller | None = inner.smaller(network, sizes) if hasattr(inner, "smaller") else None
        return found

    def changed(self, **settings: Any) -> Self:
        """Return one whose predictor has other settings."""
        inner: Any = self.predictor
        return replace(self, predictor=inner.changed(**settings))  # type: ignore[type-var]


@dataclass(frozen=True)
class FlipTurnPredictor(Around):
    """Averages the predictions of flips and quarter turns of each tile.

    Args:
        predictor: Predictor that gets an ``Ensemble`` in place of the network, such as a ``TiledPredictor``.
        flips: Axes of mirror images, of "z" (the slices of a volume), "y", "x"; True = y and x: 4 views, or 8 with
            turns; None = those that the network has seen.
        turns: Whether to average over quarter turns in the plane of y and x: 4 views, or 8 with flips of both; None =
            those that the network has seen.
        allow_unseen_views: Whether to average over views that the network has not seen, too.
        seen: Flips and turns that the training showed to the network, some of ``segexp.inference.views.WORDS``; None =
            not known, and not looked at.

    Raises:
        ValueError: A view was not seen, or it is not known which were.
    """

    predictor: Predictor
    flips: bool | Sequence[str] | None = True
    turns: bool | None = True
    allow_unseen_views: bool = False
    seen: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.seen is None and (self.flips is None or self.turns is None):
            raise ValueError(
                "inference.averaging takes the views that the training showed to the network, but which these are is "
                "not known: name them, inference.averaging.flips=[x] inference.averaging.turns=false"
            )
        if self.seen is not None and not self.allow_unseen_views:
            require_seen(
                self.views,
                self.seen,
                f"inference.averaging (flips={self.flips}, turns={self.turns})",
                "take inference=tiled_seen, train with an augment that shows them, or say "
                "inference.averaging.allow_unseen_views=true",
            )

    @property
    def views(self) -> list[View]:
        """Views that are averaged over, the image as it is first."""
        seen = list(self.seen or ())
        turning = [word for word in seen if not word.startswith("flip")]
        words = [word for word in seen if word.startswith("flip")] if self.flips is None else flips_in_words(self.flips)
        words += turning if self.turns is None else ["quarter_turn"] * self.turns
        return views_of(words)

    def __call__(self, network: Network | Ensemble, image: Tensor) -> Tensor:
        """Return the mean probabilities (B, K, *S) of all views of an image (B, C, *S).

        Raises:
            ValueError: The image lacks an axis that is to be flipped.
        """
        # Of an ensemble each network gets all views.
        return self.predictor(replace(Ensemble.of(network), views=self.views), image)
