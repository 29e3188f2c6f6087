"""Channels, kernels and strides of the levels of a U-Net, and what sizes follow from them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeGuard

from segexp.errors import require_at_least
from segexp.models.receptive_field import unet_receptive_field
from segexp.models.sizes import EvenSizes, even_sizes, shared, valid_margin
from segexp.models.upsampling import LEARNED_UPSAMPLING

PerLevel = int | Sequence[int | Sequence[int]]
KERNELS = range(1, 32, 2)
STRIDES = (1, 2)


@dataclass(frozen=True)
class Levels:
    """What a U-Net does to sizes at its levels, the finest first.

    Attributes:
        kernels: Size of the convolutions of each level, per axis.
        strides: Factor of the pooling below each level but the deepest, per axis; the up-sampling undoes it.
        padding: "same" or "valid".
    """

    kernels: tuple[tuple[int, ...], ...]
    strides: tuple[tuple[int, ...], ...]
    padding: str

    @classmethod
    def of(cls, kernels: PerLevel, strides: PerLevel, padding: str, depth: int, spatial_dims: int) -> "Levels":
        """Read the arguments of a network.

        Raises:
            ValueError: There are too few or too many numbers, or one is not allowed.
        """
        return cls(
            per_level("kernels", kernels, depth + 1, spatial_dims, KERNELS, "odd numbers from 1 to 31"),
            per_level("strides", strides, depth, spatial_dims, STRIDES, "1 (not pooled) or 2"),
            padding,
        )

    @property
    def scales(self) -> list[tuple[int, ...]]:
        """Pixels of the image that a pixel of each level spans, per axis."""
        finest = (1,) * len(self.kernels[0])
        return list(
            accumulate(
                self.strides, lambda above, s: tuple(a * b for a, b in zip(above, s, strict=True)), initial=finest
            )
        )

    @property
    def margin(self) -> int | tuple[int, ...]:
        """Pixels that the logits lack on each side, of all axes or per axis."""
        if self.padding == "same":
            return 0
        return shared([valid_margin(kernels, strides) for kernels, strides in self._axes()])

    @property
    def even_sizes(self) -> EvenSizes | tuple[EvenSizes, ...]:
        """Image sizes that every pooling divides evenly, of all axes or per axis."""
        return shared([even_sizes(kernels, strides, self.padding) for kernels, strides in self._axes()])

    def receptive_field(self, linear: bool) -> int | tuple[int, ...]:
        """Width in pixels of what a logit depends on, of all axes or per axis."""
        return shared([unet_receptive_field(kernels, strides, linear) for kernels, strides in self._axes()])

    def _axes(self) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Kernels and strides along each axis."""
        return list(zip(zip(*self.kernels, strict=True), zip(*self.strides, strict=True), strict=True))


def per_level(
    name: str, value: PerLevel, levels: int, axes: int, allowed: Collection[int], words: str
) -> tuple[tuple[int, ...], ...]:
    """Spell out one number for all levels, or one per level, each for all axes or one per axis.

    Args:
        name: Name of the argument, for messages.
        value: The argument.
        levels: Number of levels.
        axes: Number of spatial axes.
        allowed: Numbers that are allowed.
        words: These in words.

    Returns:
        A number per level and axis.

    Raises:
        ValueError: There are too few or too many numbers, or one is not allowed.
    """
    of_levels: list[Any] = list(value) if _is_list(value) else [value] * levels
    if len(of_levels) != levels:
        raise ValueError(
            f"{name}={value!r} has {len(of_levels)} entries: give one number, or a list of {levels}, the finest level "
            f"first, each a number or a list of {axes}, one per axis"
        )
    rows = [tuple(entry) if _is_list(entry) else (entry,) * axes for entry in of_levels]
    for row in rows:
        if len(row) != axes or not all(type(number) is int and number in allowed for number in row):
            raise ValueError(f"{name}={value!r} must be {words}, for each level one or {axes}, one per axis")
    return tuple(rows)


def channels_per_level(
    channels: Sequence[int] | None, base_channels: int, max_channels: int | None, depth: int, upsampling: str
) -> tuple[list[int], list[int]]:
    """Channels of the contracting and of the expanding path, the finest level first; they share the deepest one."""
    if channels is None:
        limit = max_channels or base_channels * 2**depth
        widths = [min(base_channels * 2**level, limit) for level in range(depth + 1)]
    else:
        widths = list(channels)
    if upsampling in LEARNED_UPSAMPLING:
        return widths, widths
    halves = [max(width // 2, 1) for width in widths]
    return [*widths[:-1], halves[-1]], [widths[0], *halves[1:]]


def require_channels(channels: object, depth: int) -> None:
    """Refuse what is not one number of channels per level."""
    if not _is_list(channels) or len(channels) != depth + 1:
        raise ValueError(
            f"channels={channels!r} must be null or a list of depth + 1 = {depth + 1}, the finest level first"
        )
    for level, count in enumerate(channels):
        require_at_least(f"channels[{level}]", count, 1, integer=True)


def as_lists(value: object) -> object:
    """Turn sequences of numbers, nested ones too, into lists, as a description keeps them."""
    return [as_lists(part) for part in value] if _is_list(value) else value


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    """Whether it is a sequence, a list of OmegaConf's too; a word is none."""
    return isinstance(value, Sequence) and not isinstance(value, str)
