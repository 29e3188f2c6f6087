"""How images or volumes and their masks are read, wherever they are found."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as changed
from pathlib import Path

import numpy as np

from segexp.data.case import Case, FileFacts
from segexp.data.field_of_view import FIELDS_OF_VIEW
from segexp.data.files import images, volumes
from segexp.data.files.images import pair_facts, read_image, read_mask, require_same_size
from segexp.data.files.mask_values import file_facts, map_values
from segexp.data.files.volumes import opened_files, read_channels, read_labels, require_same_geometry, volume_stem
from segexp.data.sources.masks import MaskRules, Values
from segexp.errors import require_at_least, require_choice

SUFFIXES = (*images.SUFFIXES, *volumes.SUFFIXES)


@dataclass(frozen=True)
class CaseFiles:
    """Files that a case is made of.

    Attributes:
        images: Image; or several of one size, each of which is a channel.
        masks: Mask of the truth; or several, which are laid over each other.
        valid: Mask of the field of view: 0 outside, one other value inside; None = all counts.
        others: Mask by each further observer, under the observer's name.
        instances: Mask that numbers the objects, 0 = none, where the masks of the truth tell classes alone.
        spacing: Size of a pixel (height, width) of a 2-D image in mm; None = that of the source.
    """

    images: tuple[Path, ...]
    masks: tuple[Path, ...]
    valid: Path | None = None
    others: Mapping[str, Path] = field(default_factory=dict)
    spacing: tuple[float, float] | None = None
    instances: Path | None = None

    @property
    def all(self) -> tuple[Path, ...]:
        """All paths, images first."""
        further = [path for path in (self.valid, self.instances) if path]
        return (*self.images, *self.masks, *further, *self.others.values())

    @property
    def opened(self) -> tuple[Path, ...]:
        """All files that reading the case opens, for ``Entry.files``."""
        return opened_files(self.all)


class PairReader:
    """Reads images with their masks: all of a case 2-D (PNG, JPEG, TIFF …), or all volumes as in ``files.volumes``.

    Arguments and errors are those of ``Folder``.
    """

    def __init__(
        self,
        values: Values | None = None,
        channels: int = 1,
        mask_tolerance: int = 0,
        spacing: Sequence[float] | None = None,
        colors: Values | None = None,
        border_width: int = 0,
        merge_masks: bool = False,
        field_of_view: str | None = None,
        instances: bool = False,
    ) -> None:
        self._rules = MaskRules(values, colors, mask_tolerance, border_width, merge_masks, instances)
        require_at_least("channels", channels, 1, integer=True)
        if spacing is not None and (len(spacing) != 2 or min(spacing) <= 0):
            raise ValueError(f"spacing={list(spacing)} must be two numbers above 0: height and width of a pixel in mm")
        self.values = None if values is None else dict(values)
        self.colors = None if colors is None else dict(colors)
        self.channels = channels
        self.mask_tolerance = mask_tolerance
        self.spacing = None if spacing is None else tuple(spacing)
        self.border_width = border_width
        self.merge_masks = merge_masks
        self.instances = instances
        if field_of_view is not None:
            require_choice("field_of_view", field_of_view, FIELDS_OF_VIEW)
        self.field_of_view = field_of_view

    @property
    def mask_values(self) -> dict[int, int]:
        """Class of each declared value of the masks."""
        return self._rules.mask_values

    def read_files(self, name: str, files: CaseFiles) -> Case:
        """Read a case: image (C, H, W) or (C, D, H, W), target (*S) uint8; errors as of ``Source.read``."""
        _require_one_kind(files.all)
        case = self._image(name, files)
        types: dict[Path, FileFacts] = {}

        def numbers(path: Path) -> np.ndarray:
            raw, types[path] = _covering(case, path)
            return raw

        if self.colors is not None and case.affine is not None:
            raise ValueError(f"colors are of 2-D masks, and {files.masks[0]} is of a volume: set values")
        target, raw, instances = self._rules.read(files.masks, numbers, files.instances)
        require_same_size(case.image, target, files.images[0], files.masks[0])
        others = {who: self._rules.read([path], numbers).target for who, path in files.others.items()}
        for who, path in files.others.items():
            require_same_size(case.image, others[who], files.images[0], path)
        valid = self._found(case) if files.valid is None else self._inside(numbers(files.valid), files.valid)
        plain = case.affine is None  # no volume
        facts = pair_facts(case.image, raw, files.images[0], files.masks[0]) if plain else file_facts(case.image, raw)
        facts.update(types.get(files.masks[0], {}))
        case = changed(case, files=files.all, facts=facts)
        return changed(case, target=target, others=others, valid=valid, instances=instances)

    def _image(self, name: str, files: CaseFiles) -> Case:
        """Case without truth."""
        spacing = files.spacing or self.spacing
        first = files.images[0]
        if volume_stem(first) is not None:
            if spacing is not None:
                raise ValueError(
                    f"spacing is for 2-D images, and {first} has its own: leave spacing=null, or the column empty"
                )
            return changed(read_channels(files.images), name=name)
        # One file has all channels, or each of several has one.
        channels = [read_image(path, self.channels if len(files.images) == 1 else 1) for path in files.images]
        for pixels, path in zip(channels, files.images, strict=True):
            if pixels.shape != channels[0].shape:
                raise ValueError(f"{first} and {path}, channels of case {name}, differ in size: crop or resample one")
        return Case(name, np.concatenate(channels), None, spacing or (1.0, 1.0), "mm" if spacing else "px", (first,))

    def _found(self, case: Case) -> np.ndarray | None:
        """Field of view that is found in an image; None where none is looked for."""
        if self.field_of_view is None:
            return None
        if case.affine is not None:
            raise ValueError(
                f"field_of_view={self.field_of_view} is found in 2-D images, and {case.files[0]} is a volume: set null"
            )
        return FIELDS_OF_VIEW[self.field_of_view](case.image)

    def _inside(self, raw: np.ndarray, path: Path) -> np.ndarray:
        """Field of view (*S) bool."""
        if not raw.any():
            raise ValueError(f"field of view {path} is 0 everywhere: it must have another value inside")
        return map_values(raw, {0: 0, int(raw.max()): 1}, self.mask_tolerance, path) > 0


def _require_one_kind(paths: Sequence[Path]) -> None:
    """Refuse files of which some are volumes and others 2-D images; what is not there is for others to tell."""
    volumes_of = [path for path in paths if volume_stem(path) is not None]
    flat = [path for path in paths if path not in volumes_of and path.exists()]
    folders = [path for path in flat if path.is_dir()]
    if folders:
        raise ValueError(f"{folders[0]} is a folder without DICOM files: give a file, or the folder of a DICOM series")
    if volumes_of and flat:
        raise ValueError(
            f"{volumes_of[0]} is a volume, and {flat[0]} is none: all files of a case must be volumes "
            f"({', '.join(volumes.SUFFIXES)}, folders of DICOM files), or all 2-D images"
        )


def _covering(case: Case, path: Path) -> tuple[np.ndarray, FileFacts]:
    """Integers (*S) of a mask that covers the image of a case, and what is known of its file beside them."""
    if case.affine is None:
        raw = read_mask(path)
        require_same_size(case.image, raw, case.files[0], path)
        return raw, {}
    labels = read_labels(path)
    require_same_geometry(case, labels)
    return labels.image[0], labels.facts


def image_stem(path: Path) -> str | None:
    """Name of an image or volume without its suffix; None for any other path."""
    return path.stem if path.suffix.lower() in images.SUFFIXES else volume_stem(path)


def natural_order(name: str) -> tuple[list[str | int], str]:
    """Sort key that puts a2 before a10."""
    words = re.split(r"([0-9]+)", name)  # text and digits take turns
    return [int(word) if turn % 2 else word for turn, word in enumerate(words)], name
