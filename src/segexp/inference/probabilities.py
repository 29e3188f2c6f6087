"""From a network's output for a tile to probabilities, and how certain these are."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from segexp.errors import require_choice, type_name

Network = Callable[[Tensor], Tensor]
Activation = Callable[[Tensor], Tensor]

# On CPUs networks run up to twice as fast in this order; on other devices the order is the caller's choice.
CPU_MEMORY_FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


def softmax(logits: Tensor) -> Tensor:
    """Turn logits (N, K, *S) into probabilities of K classes."""
    return logits.softmax(1)


ACTIVATIONS: dict[str, Activation] = {"softmax": softmax, "sigmoid": torch.sigmoid}


def in_memory_format(tiles: Tensor) -> Tensor:
    """Bring tiles (N, C, *T) into the memory format that is fast on their device."""
    if tiles.device.type != "cpu" or tiles.ndim not in CPU_MEMORY_FORMATS:
        return tiles
    return tiles.contiguous(memory_format=CPU_MEMORY_FORMATS[tiles.ndim])


def margins_of(network: object, axes: int) -> tuple[int, ...]:
    """Pixels per axis that the output of a network lacks on each side of its input.

    An ensemble has a method ``margins``; a network tells by its attribute ``margin``, one number or one per axis; one
    without it lacks nothing.
    """
    if hasattr(network, "margins"):
        margins: tuple[int, ...] = network.margins(axes)
        return margins
    margin = getattr(network, "margin", 0)
    return tuple(margin) if isinstance(margin, Sequence) else (margin,) * axes


def require_image(image: Tensor) -> None:
    """Refuse what is no batch of images (B, C, *S) in floating point.

    Raises:
        ValueError: It is something else, or has no pixel.
    """
    if not isinstance(image, Tensor):
        raise ValueError(f"image is a {type_name(image)} but must be a tensor (B, C, *S): torch.as_tensor(image)")
    if not image.is_floating_point():
        raise ValueError(f"image of {image.dtype} must be floating point, scaled as for training: image.float()")
    if image.ndim < 3 or 0 in image.shape:
        raise ValueError(f"image of shape {tuple(image.shape)} must be (B, C, *S) with at least 1 px along each axis")


def require_output(logits: Tensor, tiles: Tensor, margins: Sequence[int]) -> None:
    """Refuse an output for tiles (N, C, *T) that is not (N, K, *T'), with T' as the margins of the network make it.

    Raises:
        ValueError: The output has another shape.
    """
    if not isinstance(logits, Tensor):
        raise ValueError(
            f"the network returns a {type(logits).__name__}, not logits (N, K, *S): take them out with "
            "segexp.models.Select"
        )
    size = [side - 2 * margin for side, margin in zip(tiles.shape[2:], margins, strict=True)]
    if logits.ndim != tiles.ndim or len(logits) != len(tiles) or list(logits.shape[2:]) != size:
        raise ValueError(
            f"an output of shape {tuple(logits.shape)} does not fit tiles of shape {tuple(tiles.shape)}: with a margin "
            f"of {tuple(margins)} px it must be (N, K, {', '.join(map(str, size))}); a network of unpadded "
            "convolutions tells by its attribute margin how many pixels its output lacks on each side"
        )


def masks_of(probs: Tensor, classes: bool, dim: int = 0) -> Tensor:
    """Mark the pixels of each foreground class, the most probable one, or of each region, above 0.5.

    Args:
        probs: (..., K, ...) in [0, 1], with the channels along ``dim``.
        classes: Whether the channels are classes that exclude each other, the background first; else regions.
        dim: Axis of the channels.

    Returns:
        (..., P, ...) bool: P = K - 1 foreground classes, or K regions.
    """
    if not classes:
        return probs > 0.5
    channels = torch.arange(1, probs.shape[dim], device=probs.device)
    shape = [-1 if axis == dim else 1 for axis in range(probs.ndim)]
    return probs.max(dim, keepdim=True).indices == channels.view(shape)


def tempered(probs: Tensor, temperature: float, activation: str = "softmax") -> Tensor:
    """Probabilities of the same logits divided by a temperature: above 1 less certain, below 1 more.

    Args:
        probs: (K, *S) in [0, 1].
        temperature: Number above 0.
        activation: "softmax" or "sigmoid", as of ``entropy``.

    Source: Guo et al. 2017 (arXiv:1706.04599).
    """
    if temperature == 1:
        return probs
    power = probs.clamp(0, 1) ** (1 / temperature)
    if activation == "softmax":
        return power / power.sum(0)
    return power / (power + (1 - probs).clamp(0, 1) ** (1 / temperature))


def entropy(probs: Tensor, activation: str = "softmax") -> Tensor:
    """Entropy of predicted probabilities, as a fraction of the largest possible one.

    Args:
        probs: (K, *S) in [0, 1], as in a ``Block``.
        activation: "softmax": classes that exclude each other; "sigmoid": overlapping regions, each with an
            independent binary output.

    Returns:
        In [0, 1], 1 where all is equally probable: (*S) of classes, (K, *S) of regions.

    Raises:
        ValueError: The activation is another, or there is one class only.
    """
    require_choice("activation", activation, ACTIVATIONS)
    if not isinstance(probs, Tensor):
        raise ValueError(f"probs is a {type(probs).__name__} but must be a tensor (K, *S): torch.as_tensor(probs)")
    probs = probs.clamp(0, 1)  # means may be off by a rounding
    fraction: Tensor
    if activation == "sigmoid":
        fraction = (torch.special.entr(probs) + torch.special.entr(1 - probs)) / math.log(2)
    elif len(probs) < 2:
        raise ValueError(f"probabilities of shape {tuple(probs.shape)} are of one class: entropy needs two or more")
    else:
        fraction = torch.special.entr(probs).sum(0) / math.log(len(probs))
    return fraction.clamp_(max=1)
