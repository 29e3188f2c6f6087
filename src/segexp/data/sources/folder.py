"""Any folder of images and masks."""

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from segexp.data.case import Case, Entry
from segexp.data.images import SUFFIXES, map_values, read_image, read_mask, require_same_size, some
from segexp.errors import did_you_mean, require_at_least, require_choice


class Folder:
    """Images in one folder, masks in another (or the same), paired by the stem of the file name.

    Case ``a`` is images/a.* with masks/a<mask_suffix>.*; PNG, JPEG, TIFF and BMP count, upper or lower case, other and
    hidden files do not, nor masks whose stem lacks the suffix. Subfolders are not searched.

    Args:
        images: Folder of the images.
        masks: Folder of the masks; may be ``images`` if ``mask_suffix`` tells them apart.
        values: Class of each value that may occur in the masks.
        channels: 1 reads the images as gray, 3 as RGB.
        mask_suffix: What the stem of a mask has after the stem of its image, such as "_mask".
        mask_tolerance: Largest distance of a mask value to a declared one; 0 = exact, more for JPEG masks.
        spacing: Height and width of a pixel in mm; None = not known.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        images: str | Path,
        masks: str | Path,
        values: Mapping[int, int] = MappingProxyType({0: 0, 255: 1}),
        channels: int = 1,
        mask_suffix: str = "",
        mask_tolerance: int = 0,
        spacing: Sequence[float] | None = None,
    ) -> None:
        require_choice("channels", channels, (1, 3))
        require_at_least("mask_tolerance", mask_tolerance, 0, whole=True)
        _require_values(values)
        if spacing is not None and (len(spacing) != 2 or min(spacing) <= 0):
            raise ValueError(f"spacing={list(spacing)} must be two numbers above 0: height and width of a pixel in mm")
        if Path(images) == Path(masks) and not mask_suffix:
            raise ValueError(
                f"images and masks are the same folder: set mask_suffix to what tells masks in {masks} apart"
            )
        self.images = Path(images)
        self.masks = Path(masks)
        self.values = dict(values)
        self.channels = channels
        self.mask_suffix = mask_suffix
        self.mask_tolerance = mask_tolerance
        self.spacing = None if spacing is None else tuple(spacing)

    def prepare(self) -> None:
        """Check that every image has its mask and every mask its image; the pixels are checked when read.

        Raises:
            FileNotFoundError: There is no such folder.
            ValueError: A folder is empty, partners are missing, or two files share one stem.
        """
        self.entries()

    def entries(self) -> list[Entry]:
        """Return one case per image, named by its stem, in natural order."""
        return [Entry(name, self._pairs[name]) for name in sorted(self._pairs, key=_natural_order)]

    def read(self, name: str) -> Case:
        """Read one pair: image (C, H, W), target (H, W) uint8.

        Raises:
            ValueError: There is no such case, a file cannot be read, the sizes differ, or the mask has a value without
                a class.
        """
        if name not in self._pairs:
            raise ValueError(f"{self.images} has no case {name!r}{did_you_mean(name, self._pairs)}")
        files = self._pairs[name]
        image, raw = read_image(files[0], self.channels), read_mask(files[1])
        require_same_size(image, raw, *files)
        target = map_values(raw, self.values, self.mask_tolerance, files[1])
        return Case(name, image, target, self.spacing or (1.0, 1.0), "mm" if self.spacing else "px", files)

    @cached_property
    def _pairs(self) -> dict[str, tuple[Path, Path]]:
        """Image and mask of each case."""
        images, masks = _by_stem(self.images), _by_stem(self.masks)
        masks = {
            stem.removesuffix(self.mask_suffix): path for stem, path in masks.items() if stem.endswith(self.mask_suffix)
        }
        if self.images == self.masks:
            images = {stem: path for stem, path in images.items() if path not in masks.values()}
        wanted = [f"{stem}{self.mask_suffix}" for stem in _missing(images, masks)]
        if wanted:
            raise ValueError(f"masks missing in {self.masks}: {some(wanted)}: add them, or set mask_suffix")
        wanted = _missing(masks, images)
        if wanted:
            raise ValueError(f"images missing in {self.images} for the masks of {some(wanted)}: add them")
        return {stem: (path, masks[stem]) for stem, path in images.items()}


def _require_values(values: Mapping[int, int]) -> None:
    """Refuse a value map that is empty, or whose keys are not whole numbers and classes not 0 to 255."""
    whole = all(type(number) is int for pair in values.items() for number in pair)
    if not values or not whole or min(values.values()) < 0 or max(values.values()) > 255:
        raise ValueError(f"values={dict(values)} must give each mask value (a whole number) a class from 0 to 255")


def _by_stem(folder: Path) -> dict[str, Path]:
    """Return the image files of a folder by stem.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It has no image files, or two of one stem.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder: check the path")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != ".")
    if not files:
        raise ValueError(f"{folder} has no image files: it needs some with {', '.join(SUFFIXES)}")
    found: dict[str, Path] = {}
    for path in files:
        twin = found.setdefault(path.stem, path)
        if twin is not path:
            raise ValueError(f"{twin} and {path} share the name {path.stem!r}: rename or remove one of them")
    return found


def _missing(names: Iterable[str], present: Container[str]) -> list[str]:
    return sorted((name for name in names if name not in present), key=_natural_order)


def _natural_order(name: str) -> tuple[list[str | int], str]:
    """Sort key that puts a2 before a10."""
    words = re.split(r"([0-9]+)", name)  # text and digits take turns
    return [int(word) if turn % 2 else word for turn, word in enumerate(words)], name
