"""Predicting images larger than memory: tile by tile from a mapped file, and block by block out again."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from segexp.errors import require_at_least, require_choice
from segexp.inference.averaging import Network
from segexp.inference.blending import Blend
from segexp.inference.ensemble import ACTIVATIONS, Members
from segexp.inference.layout import Ranges
from segexp.inference.tiling import Progress, TiledPredictor, Tiles, tile_sides, window_of

Ready = Callable[[np.ndarray], np.ndarray]

ACCUMULATE = ("device", "cpu")


class Block(NamedTuple):
    """Probabilities of a part of an image.

    Attributes:
        px: Of the image, per spatial axis.
        probs: (K, *px) float32 on the CPU; of ``Members`` with ``spread`` (2 K, ..), the means first.
    """

    px: Ranges
    probs: Tensor


@torch.inference_mode()
def predict_blocks(
    network: Network | Members,
    image: np.ndarray,
    ready: Ready,
    settings: TiledPredictor,
    spatial_dims: int,
    context: int = 0,
    device: torch.device | str = "cpu",
    accumulate: str = "device",
    progress: Progress | None = None,
    room: Callable[[tuple[int, ...]], np.ndarray] | None = None,
) -> Iterator[Block]:
    """Predict an image tile by tile and hand it out in blocks, each px once.

    The probabilities are those of ``predict_tiled``. What is kept in memory is a batch of tiles and the overlap of
    neighbouring tiles, rows and layers of tiles; the image is read tile by tile. A block is at most as large as a
    tile. A tile=None takes the whole image in one go, and its memory.

    A network of images predicts a volume slice by slice along the first axis, each with its neighbours as further
    channels (see ``SlicePredictor``).

    Args:
        network: See ``predict_tiled``; on ``device``, in eval mode.
        image: (C, *S), an array or a mapped file, in the file's data type.
        ready: Makes a part of it (C, *t) ready for the network: float32 of the same shape, px by px.
        settings: Of the tiles.
        spatial_dims: Of the network, 2 or 3.
        context: Neighbours on each side of a slice, k: the network has C * (2 k + 1) input channels.
        device: Where tiles are predicted.
        accumulate: Where overlapping tiles are added up: "device", or "cpu" where their overlaps are too large for
            the device.
        progress: Called after each batch with the number of tiles done and that of all tiles.
        room: Makes float32 arrays of a shape for overlaps that are kept on the CPU, such as mapped files where they are
            large; None = all in memory.

    Raises:
        ValueError: The image does not go with the network, a setting is out of range, or the output of the network
            does not fit its input.
    """
    slices = _by_slices(image, spatial_dims, context)
    require_choice("accumulate", accumulate, ACCUMULATE)
    device = torch.device(device)
    sizes = image.shape[2:] if slices else image.shape[1:]
    samples = image.shape[1] if slices else 1

    def read(sample: int, px: Ranges) -> Tensor:
        if not slices:
            return torch.from_numpy(_made_ready(image[(slice(None), *px)], ready))
        return _with_neighbours(image, ready, sample, context, px)

    blended_on = device if accumulate == "device" else torch.device("cpu")
    activation = ACTIVATIONS[settings.activation]
    tiles = Tiles(network, activation, read, samples, settings.batch_size, device, blended_on, progress)
    sides = tile_sides(settings.tile, sizes, image.shape)
    layout, predicted = tiles.laid_out(sizes, sides, settings.overlap, settings.border)
    window = window_of(layout, settings.blending).to(blended_on)
    made = (lambda shape: torch.from_numpy(room(shape))) if room and blended_on.type == "cpu" else None
    for sample, px, probs in Blend(layout, window, made).parts(predicted):
        if slices:
            yield Block((slice(sample, sample + 1), *px), probs[:, None].cpu())
        else:
            yield Block(px, probs.cpu())


def _by_slices(image: np.ndarray, spatial_dims: int, context: int) -> bool:
    """Say whether a network of ``spatial_dims`` takes image (C, *S) slice by slice.

    Raises:
        ValueError: They do not go together, or a number is out of range.
    """
    require_choice("spatial_dims", spatial_dims, [2, 3])
    require_at_least("context", context, 0, integer=True)
    slices = spatial_dims == 2 and image.ndim == 4
    if image.ndim != spatial_dims + 1 and not slices:
        wanted = "(C, H, W), or (C, D, H, W) slice by slice" if spatial_dims == 2 else "(C, D, H, W)"
        raise ValueError(f"image of shape {image.shape}: a network with spatial_dims={spatial_dims} needs {wanted}")
    if 0 in image.shape:
        raise ValueError(f"image of shape {image.shape} must have at least 1 px along each axis")
    return slices


def _made_ready(part: np.ndarray, ready: Ready) -> np.ndarray:
    """Make a part of the image ready; a copy where torch could not hold it, such as a mapped file as it is."""
    return np.require(ready(np.asarray(part)), np.float32, ["C", "W"])


def _with_neighbours(image: np.ndarray, ready: Ready, centre: int, context: int, px: Ranges) -> Tensor:
    """Read a tile (C * (2 k + 1), h, w) of a slice and its neighbours, the first and last slice repeated."""
    wanted = np.clip(np.arange(centre - context, centre + context + 1), 0, image.shape[1] - 1)
    part = _made_ready(image[(slice(None), slice(wanted[0], wanted[-1] + 1), *px)], ready)
    return torch.from_numpy(part[:, wanted - wanted[0]]).flatten(0, 1)
