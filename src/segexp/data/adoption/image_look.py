"""Finds out what images are: channels, axes, sizes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segexp.data.files.images import channels_of, read_image
from segexp.data.files.volumes import read_channels, volume_stem
from segexp.errors import some, times


@dataclass(frozen=True)
class ImageLook:
    """What images are.

    Args:
        channels: Channels of a case.
        axes: 2 of images, 3 of volumes.
        size: Median size per axis in pixels.
        note: All of it in words.
        spacing: Median size of a voxel in mm; None of images, whose files tell none that is used.
    """

    channels: int
    axes: int
    size: list[int]
    note: str
    spacing: list[float] | None = None


def look_at_images(cases: Sequence[Sequence[Path]]) -> ImageLook:
    """Look at the images of some cases.

    Args:
        cases: Paths of each case: one, or one per channel.

    Raises:
        ValueError: Images differ in channels, or one cannot be read; names the files.
    """
    if volume_stem(cases[0][0]) is not None:
        return _volumes(cases)
    if len(cases[0]) > 1:
        counts = {paths[0]: len(paths) for paths in cases}
    else:
        counts = {paths[0]: channels_of(paths[0]) for paths in cases}
    distinct = set(counts.values())
    if distinct <= {1, 3} and len(cases[0]) == 1:
        channels = max(distinct)  # gray among RGB is repeated
    elif len(distinct) == 1:
        channels = distinct.pop()
    else:
        told = [f"{path.name}: {count}" for path, count in counts.items()]
        raise ValueError(f"images differ in channels ({some(told)}): leave out those of one kind")
    arrays = [read_image(paths[0], 1 if len(paths) > 1 else channels) for paths in cases]
    size = [int(np.median([array.shape[axis] for array in arrays])) for axis in (1, 2)]
    kinds = ", ".join(sorted({str(array.dtype) for array in arrays}))
    several = len({array.shape[1:] for array in arrays}) > 1
    words = {1: "gray", 3: "RGB"} if len(cases[0]) == 1 else {}
    note = f"{times(size)} px{' (median)' if several else ''}, {words.get(channels, f'{channels} channels')}, {kinds}"
    return ImageLook(channels, 2, size, note)


def _volumes(cases: Sequence[Sequence[Path]]) -> ImageLook:
    volumes = [read_channels(paths, mapped=True) for paths in cases]
    counts = {volume.image.shape[0] for volume in volumes}
    if len(counts) > 1:
        raise ValueError(
            f"volumes such as {cases[0][0]} differ in channels ({some(sorted(counts))}): leave out one kind"
        )
    size = [int(np.median([volume.image.shape[axis] for volume in volumes])) for axis in (1, 2, 3)]
    spacing = [round(float(np.median([volume.spacing[axis] for volume in volumes])), 4) for axis in range(3)]
    channels = counts.pop()
    words = "1 channel" if channels == 1 else f"{channels} channels"
    note = f"volumes of {times(size)} voxels of {times(spacing)} mm (medians), {words}"
    return ImageLook(channels, 3, size, note, spacing)
