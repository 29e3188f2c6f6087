"""Sizes of maps: fitting one to another, padding an image and cropping its logits, unpadded convolutions."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def fit_centre(x: Tensor, size: Sequence[int]) -> Tensor:
    """Zero-pad or crop the spatial axes of x (B, C, *S) about its centre to ``size``."""
    if tuple(x.shape[2:]) == tuple(size):
        return x
    pads: list[int] = []
    for have, want in zip(reversed(x.shape[2:]), reversed(size), strict=True):
        before = (want - have) // 2 if want > have else -((have - want) // 2)
        pads += [before, want - have - before]
    return F.pad(x, pads)


def pad_end(image: Tensor, size: Sequence[int]) -> Tensor:
    """Repeat the last pixels of image (B, C, *S) until each spatial axis has at least ``size``."""
    missing = [max(0, want - have) for have, want in zip(image.shape[2:], size, strict=True)]
    if not any(missing):
        return image
    return F.pad(image, [pad for lack in reversed(missing) for pad in (0, lack)], mode="replicate")


def crop_end(x: Tensor, size: Sequence[int]) -> Tensor:
    """Undo ``pad_end``: keep the first ``size`` pixels of the spatial axes of x (B, C, *S)."""
    for axis, length in enumerate(size, start=2):
        x = x.narrow(axis, 0, length)
    return x


def next_multiple(size: Sequence[int], factor: int, least: int = 1) -> list[int]:
    """Round each size up to a multiple of ``factor`` that is not below ``least``."""
    return [-(-max(n, least) // factor) * factor for n in size]


def valid_output_size(size: Sequence[int], depth: int) -> tuple[int, ...]:
    """Size of a U-Net's logits under unpadded convolutions, per spatial axis.

    Raises:
        ValueError: A pooling would meet an odd size; names the nearest sizes that can be halved.
    """
    outs = [_valid_output(n, depth) for n in size]
    if None in outs:
        bad = size[outs.index(None)]
        near = [n for n in range(bad, bad + 2 ** (depth + 4)) if _valid_output(n, depth)]
        smaller = [n for n in range(bad, 0, -1) if _valid_output(n, depth)]
        fits = " or ".join(str(n) for n in (*smaller[:1], *near[:1]))
        raise ValueError(
            f"size {tuple(size)}: with padding=valid and depth={depth} an axis of {bad} pixels cannot be "
            f"halved evenly at every level; take {fits}, or model.padding=same"
        )
    return tuple(out for out in outs if out is not None)


def _valid_output(size: int, depth: int) -> int | None:
    """Output of an axis of ``size`` pixels, None if a pooling would meet an odd size or nothing remains."""
    for _ in range(depth):
        size -= 4
        if size <= 0 or size % 2:
            return None
        size //= 2
    size -= 4
    for _ in range(depth):
        size = 2 * size - 4
    return size if size > 0 else None
