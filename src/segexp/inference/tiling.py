"""The overlap-tile strategy: predict an image of any size from tiles of one size."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Self, cast

import torch
from torch import Tensor

from segexp.errors import require_at_least, require_between, require_choice
from segexp.inference.blending import WINDOWS, Blend
from segexp.inference.ensemble import Ensemble
from segexp.inference.layout import PADDING, Border, Layout, Overlap, Place, Ranges, in_px
from segexp.inference.probabilities import (
    ACTIVATIONS,
    CPU_MEMORY_FORMATS,
    Network,
    margins_of,
    require_image,
    require_output,
)
from segexp.inference.smaller import Smaller, smaller_tiles

Read = Callable[[int, Ranges], Tensor]  # sample and px per axis to these px (C, *t)
Progress = Callable[[int, int], object]  # called with the number of tiles done and that of all tiles


@dataclass(frozen=True)
class TiledPredictor:
    """Predicts an image of any size and any number of spatial dimensions tile by tile.

    The image is mirrored beyond its borders (again and again where it is small) and cut into tiles at regular
    positions, the last one shifted inward. Where tiles overlap, their probabilities are averaged with the weights of
    a window. An image smaller than the tile is mirrored up to it.

    A network whose output is smaller than its input (valid convolutions) tells by its attribute ``margin`` how many
    pixels its output lacks on each side, one number or one per axis: the image is then mirrored by the margin and the
    tiles advance by the size of the output, so that every pixel is predicted from full context; ``overlap`` and
    ``border`` play no part.

    Args:
        tile: Side of a tile in px, one for all axes or one per axis; None takes the whole image in one go.
        overlap: What a tile has in common with the next one: a fraction of it in [0, 1), or a whole number of px from 1
            on; one for all axes or one per axis.
        border: Mirrored border in px; "auto" is half the overlap along axes that take more than one tile, else 0.
        blending: "gaussian" (nowhere below 1e-3 of its height) or "constant".
        batch_size: Number of tiles per call of the network, at least 1.
        activation: "softmax" of classes, or "sigmoid" of overlapping regions.
        sigma: Of the Gaussian window, as a fraction of the tile, at least 0.001; one for all axes or one per axis.
        padding_mode: What lies beyond the image: "reflect" mirrors it, "replicate" repeats its edge, "constant" is 0 in
            the intensities that the network sees.

    Raises:
        ValueError: A setting is outside its range.

    Source: Ronneberger et al. 2015 (U-Net), figure 2; window as in nnU-Net and MONAI.
    """

    tile: int | Sequence[int] | None = None
    overlap: Overlap | Sequence[Overlap] = 0.25
    border: Border = "auto"
    blending: str = "gaussian"
    batch_size: int = 4
    activation: str = "softmax"
    sigma: float | Sequence[float] = 0.125
    padding_mode: str = "reflect"

    def __post_init__(self) -> None:
        if self.tile is not None:
            for side in self.tile if isinstance(self.tile, Sequence) else [self.tile]:
                require_at_least("tile", side, 1, integer=True)
        for overlap in self.overlap if isinstance(self.overlap, Sequence) else [self.overlap]:
            if not in_px(overlap):
                rule = "it is a fraction of the tile, or a whole number of px"
                require_between("overlap", overlap, 0, 1, rule, open_at="high")
        for sigma in self.sigma if isinstance(self.sigma, Sequence) else [self.sigma]:
            require_between("sigma", sigma, 1e-3, 1e3, "it is a fraction of the tile")
        require_choice("padding_mode", self.padding_mode, PADDING)
        if isinstance(self.border, str):
            require_choice("border", self.border, ["auto"])
        else:
            require_at_least("border", self.border, 0, integer=True)
        require_choice("blending", self.blending, WINDOWS)
        require_at_least("batch_size", self.batch_size, 1, integer=True)
        require_choice("activation", self.activation, ACTIVATIONS)

    @torch.inference_mode()
    def __call__(self, network: Network | Ensemble, image: Tensor) -> Tensor:
        """Predict images in memory; whether the network is in train or eval mode is the caller's business.

        Args:
            network: Network, (N, C, *T) to logits (N, K, *T'), each axis of T' the tile's less twice the margin; on the
                CPU its input is channels-last in memory. Or ``Ensemble``, several of these.
            image: (B, C, *S).

        Returns:
            Probabilities (B, K, *S) float32 on the device of the image.

        Raises:
            ValueError: The image has no pixels, the tile other axes, or the output of the network another size.
        """
        require_image(image)
        sizes = image.shape[2:]
        layout = self.layout(sizes, network)
        blend = Blend(layout, self.blending, image.device, sigma=self.sigma)

        def read(sample: int, px: Ranges) -> Tensor:
            return image[sample][(slice(None), *px)]

        means = torch.empty(0)
        for (sample, spans), output in self.tiles(network, layout, read, len(image), image.device, image.device):
            if not means.numel():
                means = output.new_zeros((len(image), len(output), *sizes))
            blend.add(means[sample], spans, output)
            del output  # a view of its whole batch, before the next one needs the memory
        return means

    def smaller(self, network: object, sizes: Sequence[int]) -> Smaller | None:
        """Settings that take less memory for images of a size, see ``smaller_tiles``; None = there are none."""
        return smaller_tiles(self, network, sizes)

    def changed(self, **settings: Any) -> Self:
        """Return a predictor with other settings."""
        return replace(self, **settings)

    def layout(self, sizes: Sequence[int], network: Network | Ensemble) -> Layout:
        """Lay the tiles for a network over images of a size.

        Raises:
            ValueError: A setting has another number of axes, or the tile is not larger than the network's margins or
                the overlap.
        """
        axes = len(sizes)
        for name, what in {"tile": "side", "overlap": "number", "sigma": "number"}.items():
            value = getattr(self, name)
            if isinstance(value, Sequence) and len(value) != axes:
                raise ValueError(f"{name}={list(value)} must have one {what} per spatial axis of the image: {axes}")
        sides = self.tile if isinstance(self.tile, Sequence) else [self.tile] * axes
        return Layout.plan(sizes, sides, self.overlap, self.border, margins_of(network, axes), self.padding_mode)

    def tiles(
        self,
        network: Network | Ensemble,
        layout: Layout,
        read: Read,
        samples: int,
        device: torch.device,
        blended_on: torch.device,
        progress: Progress | None = None,
    ) -> Iterator[tuple[Place, Tensor]]:
        """Yield the places of all tiles and their probabilities (K, *output).

        Args:
            network: Network or ensemble on ``device``.
            layout: Where the tiles lie.
            read: Called with a sample and px per axis, returns these px of the image (C, *t).
            samples: Number of images.
            device: Device where tiles are predicted.
            blended_on: Device where their probabilities go.
            progress: Called after each batch with the number of tiles done and that of all tiles.

        Raises:
            ValueError: The output of the network has another size than its margin makes it.
        """
        activation = ACTIVATIONS[self.activation]
        average = getattr(network, "average_probabilities", None)  # of an ensemble
        margins = margins_of(network, len(layout.sizes))
        places = layout.places(samples)
        count = samples * math.prod(map(len, layout.axes))
        done = 0
        while batch := list(islice(places, self.batch_size)):
            tiles = _stacked([layout.cut(place, read) for place in batch], device)
            if average:
                probs = average(tiles, activation)
            else:
                logits = cast("Network", network)(tiles)
                require_output(logits, tiles, margins)
                probs = activation(logits.float())
                del logits
            del tiles
            yield from zip(batch, probs.to(blended_on), strict=True)
            del probs  # before the next batch needs the memory
            done += len(batch)
            if progress:
                progress(done, count)


def _stacked(tiles: Sequence[Tensor], device: torch.device) -> Tensor:
    """Bring tiles (C, *T) to the device as one batch, in the memory format that is fast there."""
    shape = (len(tiles), *tiles[0].shape)
    order = CPU_MEMORY_FORMATS.get(len(shape)) if device.type == "cpu" else None
    batch = torch.empty(
        shape, dtype=tiles[0].dtype, device=tiles[0].device, memory_format=order or torch.contiguous_format
    )
    for index, tile in enumerate(tiles):
        batch[index] = tile  # no stack in between that would have to be copied into the memory format
    return batch.to(device, non_blocking=True)
