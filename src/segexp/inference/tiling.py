"""The overlap-tile strategy: predict an image of any size from tiles of one size."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import torch
from torch import Tensor

from segexp.errors import require_at_least, require_choice
from segexp.inference.averaging import Network
from segexp.inference.blending import WINDOWS, Blend, Tile, constant_window
from segexp.inference.ensemble import ACTIVATIONS, CPU_MEMORY_FORMATS, Activation, Members, softmax
from segexp.inference.layout import Border, Layout, Place, Ranges, Sides

Read = Callable[[int, Ranges], Tensor]  # sample and px per axis to these px (C, *t)
Progress = Callable[[int, int], object]  # told the tiles done and all tiles


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
            the CPU its input is channels-last in memory. Or ``Members``, several of these.
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
    sides = tile_sides(tile, sizes, tuple(image.shape))

    def read(sample: int, px: Ranges) -> Tensor:
        return image[sample][(slice(None), *px)]

    tiles = Tiles(network, activation, read, len(image), batch_size, image.device, image.device)
    layout, predicted = tiles.laid_out(sizes, sides, overlap, border)
    return Blend(layout, window_of(layout, blending).to(image.device)).whole(predicted, samples=len(image))


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


@dataclass(frozen=True)
class Tiles:
    """The tiles of images of one size on their way through a network.

    Args:
        network: See ``predict_tiled``; on ``device``.
        activation: From float32 logits to what is averaged.
        read: Called with a sample and px per axis, returns these px of the image (C, *t).
        samples: Number of images.
        batch_size: Tiles per call of the network.
        device: Where tiles are predicted.
        blended_on: Where their probabilities go.
        progress: Called after each batch with the number of tiles done and that of all tiles.
    """

    network: Network | Members
    activation: Activation
    read: Read
    samples: int
    batch_size: int
    device: torch.device
    blended_on: torch.device
    progress: Progress | None = None

    def laid_out(
        self, sizes: Sequence[int], sides: Sides, overlap: float, border: Border
    ) -> tuple[Layout, Iterator[Tile]]:
        """Find the layout that goes with the network's output, and predict the tiles one batch after the other."""
        layout = Layout.of_same(sizes, sides, overlap, border)
        predicted = self.predicted(layout)
        try:
            first = next(predicted)
        except SmallerOutputError as found:
            layout = Layout.of_valid(sizes, sides, found.margins)
            return layout, self.predicted(layout)
        return layout, chain([first], predicted)

    def predicted(self, layout: Layout) -> Iterator[Tile]:
        """Yield the places and probabilities (K, *output) of all tiles.

        Raises:
            SmallerOutputError: The output of the network lacks another margin than the layout has.
        """
        members = self.network if isinstance(self.network, Members) else Members((self.network,))
        places, done, count = layout.places(self.samples), 0, layout.count(self.samples)
        while batch := list(islice(places, self.batch_size)):
            probs = members(self._batch(layout, batch), self.activation)
            if tuple(probs.shape[2:]) != layout.output:
                raise SmallerOutputError(layout.tile, probs.shape[2:])
            yield from zip(batch, probs.to(self.blended_on), strict=True)
            del probs  # before the next batch needs the memory
            done += len(batch)
            if self.progress:
                self.progress(done, count)

    def _batch(self, layout: Layout, places: Sequence[Place]) -> Tensor:
        """Read tiles (N, C, *tile) and bring them to the device."""
        tiles = [layout.cut(place, self.read) for place in places]
        shape = (len(tiles), *tiles[0].shape)
        order = CPU_MEMORY_FORMATS.get(len(shape)) if self.device.type == "cpu" else None
        batch = torch.empty(
            shape,
            dtype=tiles[0].dtype,
            device=tiles[0].device,
            memory_format=order or torch.contiguous_format,
        )
        for index, tile in enumerate(tiles):
            batch[index] = tile
        return batch.to(self.device, non_blocking=True)


def window_of(layout: Layout, blending: str) -> Tensor:
    """Weights (*output) of the pixels of a tile; all alike where one tile is all there is."""
    return (constant_window if layout.single else WINDOWS[blending])(layout.output)


def tile_sides(tile: int | Sequence[int] | None, sizes: Sequence[int], shape: tuple[int, ...]) -> Sides:
    """Give each spatial axis its side of the tile.

    Args:
        tile: As the user gave it.
        sizes: Of the image, per spatial axis.
        shape: Of the image, for the message.

    Raises:
        ValueError: The image has no pixels or no spatial axis, or the tile has another number of sides.
    """
    axes = len(sizes)
    if axes < 1 or 0 in shape:
        raise ValueError(f"image of shape {shape} must be (B, C, *S) with at least 1 px along each axis")
    if tile is None or isinstance(tile, int):
        return (tile,) * axes
    if len(tile) != axes:
        raise ValueError(f"tile={list(tile)} must have one side per spatial axis of the image: {axes}")
    return tuple(tile)


def require_settings(
    tile: int | Sequence[int] | None, overlap: float, border: Border, blending: str, batch_size: int
) -> None:
    """Refuse settings outside their range.

    Raises:
        ValueError: Names the setting, its value and the rule.
    """
    if tile is not None:
        for side in tile if isinstance(tile, Sequence) else [tile]:
            require_at_least("tile", side, 1, integer=True)
    require_at_least("overlap", overlap, 0)
    if overlap >= 1:
        raise ValueError(f"overlap={overlap} must be below 1: it is a share of the tile")
    if isinstance(border, str):
        require_choice("border", border, ["auto"])
    else:
        require_at_least("border", border, 0, integer=True)
    require_choice("blending", blending, WINDOWS)
    require_at_least("batch_size", batch_size, 1, integer=True)
