"""The overlap-tile strategy: predict an image of any size from tiles of one size."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from segexp.errors import require_at_least, require_choice
from segexp.inference.layout import Border, Layout, Place, Sides, region

Network = Callable[[Tensor], Tensor]
Activation = Callable[[Tensor], Tensor]

# On CPUs networks run up to twice as fast in this order; on other devices the order is the caller's choice.
CPU_MEMORY_FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


def softmax(logits: Tensor) -> Tensor:
    """Turn logits (N, K, *S) into probabilities of K classes."""
    return logits.softmax(1)


ACTIVATIONS: dict[str, Activation] = {"softmax": softmax, "sigmoid": torch.sigmoid}


@torch.inference_mode()
def predict_tiled(
    network: Network,
    image: Tensor,
    tile: int | Sequence[int] | None = None,
    overlap: float = 0.25,
    border: Border = "auto",
    blending: str = "gaussian",
    batch_size: int = 4,
    activation: Activation = softmax,
) -> Tensor:
    """Predict an image of any size and any number of spatial dimensions tile by tile.

    The image is mirrored beyond its borders (again and again where it is small) and cut into tiles at regular
    positions, the last one shifted inward. Where tiles overlap, their probabilities are averaged with the weights of
    a window. An image smaller than the tile is mirrored up to it.

    A network whose output is smaller than its input (valid convolutions) is recognised by its first output: the
    image is then mirrored by the missing margin and the tiles advance by the size of the output, so that every pixel
    is predicted from full context; ``overlap`` and ``border`` play no part. That first batch is computed in vain.

    Train or eval mode is the caller's business.

    Args:
        network: (N, C, *T) to logits (N, K, *T'), each axis of T' equal to T or smaller by an even number of px. On
            the CPU its input is channels-last in memory.
        image: (B, C, *S).
        tile: Side T of a tile in px, one for all axes or one per axis; None takes the whole image in one go.
        overlap: Share of a tile, in [0, 1), that it has in common with the next one.
        border: Mirrored border in px; "auto" is half the overlap along axes that take more than one tile, else 0.
        blending: "gaussian" (sigma = tile / 8, nowhere below 1e-3 of its height) or "constant".
        batch_size: Tiles per call of the network, at least 1.
        activation: From float32 logits to what is averaged.

    Returns:
        (B, K, *S) float32 on the device of the image.

    Raises:
        ValueError: A setting is outside its range, or the output of the network is none of the above.

    Source: Ronneberger et al. 2015 (U-Net), figure 2; window as in nnU-Net and MONAI.
    """
    require_settings(tile, overlap, border, blending, batch_size)
    sizes = tuple(image.shape[2:])
    sides = tile_sides(tile, image)
    predict = partial(predict_layout, network, image, WINDOWS[blending], batch_size, activation)
    try:
        return predict(Layout.of_same(sizes, sides, overlap, border))
    except SmallerOutputError as found:
        layout = Layout.of_valid(sizes, sides, found.margins)
    return predict(layout)


@dataclass(frozen=True)
class TiledPredictor:
    """``predict_tiled``, which says what each setting does, with its settings kept.

    Args:
        tile: Side of a tile in px, one for all axes or one per axis; None takes the whole image in one go.
        overlap: Share of a tile, in [0, 1), that it has in common with the next one.
        border: Mirrored border in px, or "auto".
        blending: "gaussian" or "constant".
        batch_size: Tiles per call of the network, at least 1.
        activation: "softmax" of classes, or "sigmoid" of overlapping regions.

    Raises:
        ValueError: A setting is outside its range.
    """

    tile: int | Sequence[int] | None = None
    overlap: float = 0.25
    border: Border = "auto"
    blending: str = "gaussian"
    batch_size: int = 4
    activation: str = "softmax"

    def __post_init__(self) -> None:
        require_settings(self.tile, self.overlap, self.border, self.blending, self.batch_size)
        require_choice("activation", self.activation, ACTIVATIONS)

    def __call__(self, network: Network, image: Tensor) -> Tensor:
        """Return the probabilities (B, K, *S) float32 of an image (B, C, *S)."""
        activation = ACTIVATIONS[self.activation]
        settings = self.tile, self.overlap, self.border, self.blending, self.batch_size
        return predict_tiled(network, image, *settings, activation)


class SmallerOutputError(ValueError):
    """The output of the network is smaller than planned.

    Attributes:
        margins: What it lacks on each side of its input, in px per axis.
    """

    def __init__(self, tile: Sequence[int], output: Sequence[int]) -> None:
        self.margins = tuple((size - smaller) // 2 for size, smaller in zip(tile, output, strict=True))
        super().__init__(
            f"a tile of {tuple(tile)} px gives an output of {tuple(output)} px, a margin other than that of the image "
            "as it is: the margin of this network depends on the size, so give a tile in place of tile=None"
        )


def predict_layout(
    network: Network,
    image: Tensor,
    window: Callable[[Sequence[int]], Tensor],
    batch_size: int,
    activation: Activation,
    layout: Layout,
) -> Tensor:
    """Predict all tiles of a layout and put them together: probabilities (B, K, *S).

    Raises:
        SmallerOutputError: The output of the network lacks another margin than the layout has.
    """
    places = layout.places(len(image))
    image = layout.mirrored(image)
    predict = partial(predict_batch, network, image, activation, layout)
    batches = [places[first : first + batch_size] for first in range(0, len(places), batch_size)]
    if len(places) == len(image):
        return layout.cropped(torch.cat([predict(batch) for batch in batches]))
    blend = Blend(layout, len(image), window(layout.output).to(image.device))
    for batch in batches:
        blend.add(batch, predict(batch))
    return layout.cropped(blend.mean())


def predict_batch(
    network: Network, image: Tensor, activation: Activation, layout: Layout, places: Sequence[Place]
) -> Tensor:
    """Predict tiles (N, K, *output) of the mirrored image.

    Raises:
        SmallerOutputError: The output of the network lacks another margin than the layout has.
    """
    order = CPU_MEMORY_FORMATS.get(image.ndim) if image.device.type == "cpu" else None
    size = (len(places), image.shape[1], *layout.tile)
    tiles = torch.empty(size, dtype=image.dtype, device=image.device, memory_format=order or torch.contiguous_format)
    for tile, place in zip(tiles, places, strict=True):
        tile.copy_(image[region(place, layout.tile)])
    logits = network(tiles)
    require_output(logits, tiles)
    if tuple(logits.shape[2:]) != layout.output:
        raise SmallerOutputError(layout.tile, logits.shape[2:])
    return activation(logits.float())


class Blend:
    """The weighted mean of overlapping tiles.

    Args:
        layout: Where the tiles lie.
        samples: Number of images B.
        window: (*output) weights of the pixels of a tile.
    """

    def __init__(self, layout: Layout, samples: int, window: Tensor) -> None:
        self.layout = layout
        self.samples = samples
        self.window = window
        self.sums: Tensor | None = None

    def add(self, places: Sequence[Place], tiles: Tensor) -> None:
        """Add tiles (N, K, *output); the first ones tell K."""
        if self.sums is None:
            self.sums = tiles.new_zeros((self.samples, tiles.shape[1], *self.layout.canvas))
        for place, tile in zip(places, tiles, strict=True):
            self.sums[region(place, self.layout.output)].addcmul_(tile, self.window)

    def mean(self) -> Tensor:
        """Divide by the sum of the weights: (B, K, *canvas)."""
        assert self.sums is not None, "add tiles first"
        weights = self.window.new_zeros((1, 1, *self.layout.canvas))
        for place in self.layout.places(samples=1):
            weights[region(place, self.layout.output)] += self.window
        return self.sums.div_(weights)


def constant_window(sides: Sequence[int]) -> Tensor:
    """Weigh all pixels of a tile alike."""
    return torch.ones(tuple(sides))


def gaussian_window(sides: Sequence[int]) -> Tensor:
    """Weigh the middle of a tile most: a bell with sigma = side / 8 and a floor that keeps corners above 0."""
    window = torch.ones(())
    for side in sides:
        distance = torch.arange(side) - (side - 1) / 2
        window = window.unsqueeze(-1) * torch.exp(-(distance**2) / (2 * (side / 8) ** 2))
    return window.clamp_min(1e-3)


WINDOWS = {"constant": constant_window, "gaussian": gaussian_window}


def tile_sides(tile: int | Sequence[int] | None, image: Tensor) -> Sides:
    """Give each spatial axis of an image (B, C, *S) its side of the tile.

    Raises:
        ValueError: The image has no pixels or no spatial axis, or the tile has another number of sides.
    """
    axes = image.ndim - 2
    if axes < 1 or image.numel() == 0:
        raise ValueError(f"image of shape {tuple(image.shape)} must be (B, C, *S) with at least 1 px along each axis")
    if tile is None or isinstance(tile, int):
        return (tile,) * axes
    if len(tile) != axes:
        raise ValueError(f"tile={list(tile)} must have one side per spatial axis of the image: {axes}")
    return tuple(tile)


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


def require_settings(
    tile: int | Sequence[int] | None, overlap: float, border: Border, blending: str, batch_size: int
) -> None:
    """Refuse settings outside their range.

    Raises:
        ValueError: Names the setting, its value and the rule.
    """
    if tile is not None:
        for side in tile if isinstance(tile, Sequence) else [tile]:
            require_at_least("tile", side, 1, whole=True)
    require_at_least("overlap", overlap, 0)
    if overlap >= 1:
        raise ValueError(f"overlap={overlap} must be below 1: it is a share of the tile")
    if isinstance(border, str):
        require_choice("border", border, ["auto"])
    else:
        require_at_least("border", border, 0, whole=True)
    require_choice("blending", blending, WINDOWS)
    require_at_least("batch_size", batch_size, 1, whole=True)
