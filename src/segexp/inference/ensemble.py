"""Several networks and views as one: mean probabilities, and how far apart the members are."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from segexp.errors import require_choice
from segexp.inference.averaging import UNTURNED, Network, View, brought_back, seen

Activation = Callable[[Tensor], Tensor]

# On CPUs networks run up to twice as fast in this order; on other devices the order is the caller's choice.
CPU_MEMORY_FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


def softmax(logits: Tensor) -> Tensor:
    """Turn logits (N, K, *S) into probabilities of K classes."""
    return logits.softmax(1)


ACTIVATIONS: dict[str, Activation] = {"softmax": softmax, "sigmoid": torch.sigmoid}


@dataclass(frozen=True)
class Members:
    """Networks and views whose probabilities are averaged, tile by tile; it takes the place of a network.

    Each network looks at each view: a member is a pair of both. The networks may differ in architecture. Where their
    outputs differ in size (valid convolutions), the middle that all have is averaged. Views by quarter turns turn the
    tile: where it is not square, networks meet both of its shapes.

    Args:
        networks: Each (N, C, *T) to logits (N, K, *T'), with the same K; on the same device.
        views: From ``averaging.views``; the default is the tile as it is.
        spread: Append the standard deviations over the members (divided by their number) to the means: 2 K channels.

    Raises:
        ValueError: There is no network or no view.
    """

    networks: Sequence[Network]
    views: Sequence[View] = (UNTURNED,)
    spread: bool = False

    def __post_init__(self) -> None:
        if not self.networks or not self.views:
            raise ValueError(
                f"{len(self.networks)} networks and {len(self.views)} views leave nothing to average: give one of each"
            )

    def __call__(self, tiles: Tensor, activation: Activation = softmax) -> Tensor:
        """Return the mean probabilities of tiles (N, C, *T).

        Args:
            tiles: On the device of the networks.
            activation: From float32 logits to probabilities.

        Returns:
            (N, K, *T') float32; with ``spread`` (N, 2 K, *T'), the means before the standard deviations.

        Raises:
            ValueError: Two networks differ in their number of classes, or an output does not fit the tiles.
        """
        members = self._members(tiles, activation)
        mean = next(members)
        squares = torch.zeros_like(mean) if self.spread else None
        for count, probs in enumerate(members, start=2):
            mean, probs = _same_middle(mean, probs)
            difference = probs - mean
            mean = mean + difference / count
            if squares is not None:
                squares = _middle(squares, mean.shape) + difference * (probs - mean)
        if squares is None:
            return mean
        return torch.cat([mean, (squares / (len(self.networks) * len(self.views))).sqrt_()], dim=1)

    def _members(self, tiles: Tensor, activation: Activation) -> Iterator[Tensor]:
        """Yield the probabilities of each network for each view, brought back."""
        classes = None
        for number, network in enumerate(self.networks, start=1):
            for view in self.views:
                probs = brought_back(_predict(network, in_order(seen(tiles, view)), activation), view)
                classes = classes or probs.shape[1]
                if probs.shape[1] != classes:
                    raise ValueError(
                        f"network {number} of the ensemble gives {probs.shape[1]} classes and network 1 gives "
                        f"{classes}: average only networks of the same classes"
                    )
                yield probs


def in_order(tiles: Tensor) -> Tensor:
    """Bring tiles (N, C, *T) into the order of memory that is fast on their device."""
    if tiles.device.type != "cpu" or tiles.ndim not in CPU_MEMORY_FORMATS:
        return tiles
    return tiles.contiguous(memory_format=CPU_MEMORY_FORMATS[tiles.ndim])


def require_output(logits: Tensor, tiles: Tensor) -> None:
    """Refuse an output that is neither as large as the tiles (N, C, *T) nor smaller by the same margin on both sides.

    Raises:
        ValueError: The shape of the logits (N, K, *T') does not allow it.
    """
    sides = zip(tiles.shape[2:], logits.shape[2:], strict=False)
    fits = all(1 <= output <= tile and (tile - output) % 2 == 0 for tile, output in sides)
    if not fits or logits.ndim != tiles.ndim or len(logits) != len(tiles):
        raise ValueError(
            f"an output of shape {tuple(logits.shape)} does not fit tiles of shape {tuple(tiles.shape)}: it must be "
            "(N, K, *T), each axis of T as large as the tile or smaller by the same margin on both sides"
        )


def entropy(probs: Tensor, activation: str = "softmax") -> Tensor:
    """Entropy of predicted probabilities, as a share of the largest possible one.

    Args:
        probs: (K, *S) in [0, 1], as in a ``Block``.
        activation: "softmax": classes that exclude each other; "sigmoid": overlapping regions, each of which is there
            or not.

    Returns:
        In [0, 1], 1 where all is equally probable: (*S) of classes, (K, *S) of regions.

    Raises:
        ValueError: The activation is another, or there is one class only.
    """
    require_choice("activation", activation, ACTIVATIONS)
    probs = probs.clamp(0, 1)  # means may be off by a rounding
    if activation == "sigmoid":
        return ((torch.special.entr(probs) + torch.special.entr(1 - probs)) / math.log(2)).clamp_(max=1)
    if len(probs) < 2:
        raise ValueError(f"probabilities of shape {tuple(probs.shape)} are of one class: entropy needs two or more")
    return (torch.special.entr(probs).sum(0) / math.log(len(probs))).clamp_(max=1)


def _predict(network: Network, tiles: Tensor, activation: Activation) -> Tensor:
    logits = network(tiles)
    require_output(logits, tiles)
    return activation(logits.float())


def _same_middle(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Cut both (N, K, *T) to the middle that they have in common."""
    shape = [min(sizes) for sizes in zip(one.shape, other.shape, strict=True)]
    return _middle(one, shape), _middle(other, shape)


def _middle(maps: Tensor, shape: Sequence[int]) -> Tensor:
    for dim, size in enumerate(shape[2:], start=2):
        maps = maps.narrow(dim, (maps.shape[dim] - size) // 2, size)
    return maps
