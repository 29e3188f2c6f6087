"""Predicting images larger than memory: tile by tile from a mapped file, and block by block out again."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from segexp.errors import require_at_least, require_choice
from segexp.inference.blending import Blend
from segexp.inference.ensemble import Ensemble
from segexp.inference.layout import Ranges
from segexp.inference.probabilities import Network
from segexp.inference.tiling import Progress, TiledPredictor

Ready = Callable[[np.ndarray], np.ndarray]

ACCUMULATE = ("device", "cpu")


class Block(NamedTuple):
    """Probabilities of a part of an image.

    Attributes:
        px: Pixels of the image, per spatial axis.
        probs: (K, *px) float32 on the CPU; of an ``Ensemble`` with ``std`` (2 K, ..), the means first.
    """

    px: Ranges
    probs: Tensor


@torch.inference_mode()
def predict_blocks(
    network: Network | Ensemble,
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
    """Predict an image tile by tile and yield it in blocks, each px once.

    The probabilities are those of the ``TiledPredictor``. What is kept in memory is a batch of tiles and the overlap of
    neighboring tiles, rows and layers of tiles; the image is read tile by tile. A block is at most as large as a
    tile. A tile=None takes the whole image in one go, and its memory.

    A network of images predicts a volume slice by slice along the first axis, each with its neighbors as further
    channels (see ``SlicePredictor``).

    Args:
        network: Network or ensemble, see ``TiledPredictor``; on ``device``, in eval mode.
        image: (C, *S), an array or a mapped file, in the file's data type.
        ready: Function that makes a part of it (C, *t) ready for the network: float32 of the same shape, px by px.
        settings: Settings of the tiles.
        spatial_dims: Spatial dimensions of the network, 2 or 3.
        context: Number of neighbors on each side of a slice, k: the network has C * (2 k + 1) input channels.
        device: Device where tiles are predicted.
        accumulate: Where overlapping tiles are added up: "device", or "cpu" where their overlaps are too large for
            the device.
        progress: Called after each batch with the number of tiles done and that of all tiles.
        room: Function that makes float32 arrays of a shape for overlaps that are kept on the CPU, such as mapped files
            where they are large; None = all in memory.

    Raises:
        ValueError: The image does not go with the network, a setting is out of range, or the output of the network
            has another size than its margin makes it.
    """
    slices = _by_slices(image, spatial_dims, context)
    require_choice("accumulate", accumulate, ACCUMULATE)
    device = torch.device(device)
    blended_on = device if accumulate == "device" else torch.device("cpu")
    # A volume that goes slice by slice is as many images as it has slices.
    samples = image.shape[1] if slices else 1
    layout = settings.layout(image.shape[2:] if slices else image.shape[1:], network)
    make = (lambda shape: torch.from_numpy(room(shape))) if room and blended_on.type == "cpu" else None
    blend = Blend(layout, settings.blending, blended_on, make, settings.sigma)

    def read(sample: int, px: Ranges) -> Tensor:
        # Of a slice also its neighbors, the first and last slice repeated.
        wanted = np.clip(np.arange(sample - context, sample + context + 1), 0, image.shape[1] - 1)
        source = (slice(wanted[0], wanted[-1] + 1), *px) if slices else px
        part = ready(np.asarray(image[(slice(None), *source)]))
        if slices:
            part = part[:, wanted - wanted[0]].reshape(-1, *part.shape[2:])
        # A copy where torch could not hold it, such as a mapped file as it is.
        return torch.from_numpy(np.require(part, np.float32, ["C", "W"]))

    for (sample, spans), output in settings.tiles(network, layout, read, samples, device, blended_on, progress):
        px, probs = blend.means(spans, output)
        del output  # a view of its whole batch, before the next one needs the memory
        if probs.numel() and slices:
            yield Block((slice(sample, sample + 1), *px), probs[:, None].cpu())
        elif probs.numel():
            yield Block(px, probs.cpu())
        del probs


def _by_slices(image: np.ndarray, spatial_dims: int, context: int) -> bool:
    """Whether a network predicts image (C, *S) slice by slice; refuse what does not go together."""
    require_choice("spatial_dims", spatial_dims, [2, 3])
    require_at_least("context", context, 0, integer=True)
    if not isinstance(image, np.ndarray) or image.dtype.kind not in "biuf":
        raise ValueError(f"image is a {type(image).__name__} but must be an array of numbers, such as image.numpy()")
    slices = spatial_dims == 2 and image.ndim == 4
    if image.ndim != spatial_dims + 1 and not slices:
        wanted = "(C, H, W), or (C, D, H, W) slice by slice" if spatial_dims == 2 else "(C, D, H, W)"
        raise ValueError(f"image of shape {image.shape}: a network with spatial_dims={spatial_dims} needs {wanted}")
    if 0 in image.shape:
        raise ValueError(f"image of shape {image.shape} must have at least 1 px along each axis")
    return slices
