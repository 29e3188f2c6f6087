"""Images without truth that are to be predicted: found by path, folder or pattern, and read as cases."""

import glob
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

import numpy as np

from segexp.data.case import Case
from segexp.data.files.images import read_image, read_pages, require_same_size
from segexp.data.files.volumes import read_channels, volume_stem
from segexp.data.resample import resample
from segexp.data.sources.listing import kind_of
from segexp.data.sources.pairs import SUFFIXES, image_stem, natural_order
from segexp.data.spacing import has_spacing, spacing_of_network
from segexp.errors import some
from segexp.prediction.which import require_input

NUMBERED = re.compile(r"(.+)_([0-9]{4})")  # name of a channel, as nnU-Net has it


@dataclass(frozen=True)
class Input:
    """A case that is to be predicted.

    Attributes:
        name: Path without suffix, relative to the folder that was searched; with slashes.
        files: One image, volume or folder of DICOM files; several hold one channel each.
        joined: Whether the files were put together since they end with _0000, _0001 and so on.
    """

    name: str
    files: tuple[Path, ...]
    joined: bool = False


def find_inputs(where: str, by_suffix: bool = False) -> list[Input]:
    """Find images and volumes.

    Of a folder, all files in it that can be read, and subfolders that hold a DICOM series; hidden files do not count.

    Args:
        where: Path to a file or folder, or a pattern such as "scans/**/*.nii.gz".
        by_suffix: Whether files that end with _0000, _0001, … are the channels of one case, as nnU-Net names them;
            else each is an input of its own, whatever its name.

    Returns:
        Inputs in natural order of their names.

    Raises:
        FileNotFoundError: Nothing is there that can be read.
        ValueError: Two inputs have one name.
    """
    root, paths = _search(where)
    shown = [path for path in paths if path.name[0] != "." or path == Path(where)]
    found = sorted((path for path in shown if image_stem(path) is not None), key=lambda path: natural_order(str(path)))
    if not found:
        raise FileNotFoundError(
            f"input={where} has nothing to predict{_seen(paths)}: it must be or hold files with {', '.join(SUFFIXES)}, "
            "or a folder of DICOM files"
        )
    groups: dict[str, list[Path]] = defaultdict(list)
    for path in found:
        groups[_case_name(path, root, by_suffix)].append(path)
    for name, files in groups.items():
        if len({image_stem(path) for path in files}) < len(files):  # by chance, such as a.png and a.tif
            raise ValueError(f"{some(files)} share the name {name}: rename one, or predict them into different folders")
    return [Input(name, tuple(files), by_suffix and any(map(_channel, files))) for name, files in groups.items()]


def _seen(paths: Sequence[Path]) -> str:
    """Count what was found and cannot be predicted, by kind; name folders with images in them."""
    folders = [path for path in paths if path.is_dir()]
    deeper = [path for path in folders if any(image_stem(child) is not None for child in path.iterdir())]
    kinds = Counter(kind_of(path) for path in paths if path not in folders)
    words = [f"{count} {kind}" for kind, count in kinds.most_common()]
    words += [f"{len(folders)} folder{'s' if len(folders) > 1 else ''}"] if folders else []
    hint = f"; images lie in {some(path.name for path in deeper)}: the pattern '**/*' finds them" if deeper else ""
    return f" (found: {some(words) or 'nothing'}{hint})"


def _search(where: str) -> tuple[Path, list[Path]]:
    """Folder that names are relative to, and the paths that may be inputs."""
    path = Path(where)
    if path.is_dir() and volume_stem(path) is None:
        return path, list(path.iterdir())
    if path.exists():
        return path.parent, [path]
    require_input(where)
    # Names are relative to the folder that the pattern begins in.
    fixed = Path(*takewhile(lambda part: not glob.has_magic(part), path.parts))
    return fixed, [Path(found) for found in glob.glob(where, recursive=True)]


def _case_name(path: Path, root: Path, by_suffix: bool) -> str:
    numbered = _channel(path) if by_suffix else None
    return (path.relative_to(root).parent / (numbered[1] if numbered else str(image_stem(path)))).as_posix()


def _channel(path: Path) -> re.Match[str] | None:
    """Case and number of a channel, if the name of a file is that of one."""
    return NUMBERED.fullmatch(str(image_stem(path)))


def read_input(item: Input, channels: int, spacing: Sequence[float] | None = None) -> Case:
    """Read an input in its own geometry; the pixels of uncompressed TIFF and NIfTI stay in the file until used.

    Args:
        item: Input, see ``find_inputs``.
        channels: Number of channels that the network takes: 1 reads flat images as gray, 3 as RGB.
        spacing: Size of a pixel per axis of flat images and stacks, which do not tell it; None = not known.

    Returns:
        Image (C, H, W); (C, D, H, W) of a volume, turned to right, anterior, superior; (1, N, H, W) of a TIFF with
        several gray pages. There is no target.

    Raises:
        ValueError: A file cannot be read, files of one case do not belong together, or there are not ``channels``.
    """
    _require_all_channels(item)
    if volume_stem(item.files[0]) is not None:
        case = replace(read_channels(item.files, mapped=True), name=item.name)
    else:
        case = _read_images(item, channels, spacing)
    if len(case.image) != channels:
        names = f" ({some(path.name for path in item.files)})" if len(item.files) > 1 else ""
        raise ValueError(
            f"{item.files[0]} has {len(case.image)} channel{'s' if len(case.image) > 1 else ''}{names}, the network "
            f"takes {channels}: give a case with these channels, in one file, or as files that end with _0000, _0001 … "
            "and channels_by_suffix=true"
        )
    return case


def _require_all_channels(item: Input) -> None:
    """Refuse channels that are not numbered from 0 without gaps."""
    found = [_channel(path) for path in item.files]
    numbers = [int(numbered[2]) if numbered else None for numbered in found]
    if item.joined and numbers != list(range(len(numbers))):
        raise ValueError(
            f"{item.files[0]}: {item.name} has the files {some(path.name for path in item.files)}: channels must be "
            "numbered from _0000 without gaps; add what is missing, or give channels_by_suffix=false if these are "
            "images of their own"
        )


def _read_images(item: Input, channels: int, spacing: Sequence[float] | None) -> Case:
    if len(item.files) > 1:
        parts = [read_image(path, 1) for path in item.files]
        for path, part in zip(item.files[1:], parts[1:], strict=True):
            require_same_size(parts[0], part[0], item.files[0], path)
        image = np.concatenate(parts)
    else:
        image = read_pages(item.files[0], channels, mapped=True)
    axes = image.ndim - 1
    if spacing is not None and (len(spacing) != axes or min(spacing) <= 0):
        raise ValueError(f"spacing={list(spacing)} must be {axes} numbers above 0, one per axis of {item.files[0]}")
    size = tuple(float(s) for s in spacing) if spacing is not None else (1.0,) * axes
    return Case(item.name, image, None, size, "px" if spacing is None else "mm", item.files)


def at_spacing(case: Case, spacing: Sequence[float] | None, unit: str) -> Case:
    """Bring a case to the spacing of the network, as in training; the case itself where it has that spacing.

    Raises:
        ValueError: The spacing of the case is not known, or has another number of axes.
    """
    wanted = spacing_of_network(case, spacing, unit)
    return case if wanted is None or has_spacing(case, wanted) else resample(case, wanted)


def pages_of(case: Case) -> Iterable[Case]:
    """Give each page of a stack (1, N, H, W) as a case of its own."""
    for index in range(case.image.shape[1]):
        yield replace(case, image=case.image[:, index], spacing=case.spacing[1:])


def is_stack(case: Case) -> bool:
    """Whether a case is a TIFF of several pages, rather than a volume with a place in the world or one image."""
    return case.image.ndim == 4 and case.affine is None
