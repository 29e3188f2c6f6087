"""Any folder of images and masks."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from segexp.data.case import Case, Entry
from segexp.data.files.volumes import opened_files
from segexp.data.sources.pairs import SUFFIXES, PairReader, image_stem, natural_order
from segexp.errors import did_you_mean, some


class Folder(PairReader):
    """Images in one folder, masks in another (or the same), paired by the stem of the file name.

    Case ``a`` is images/a.* with masks/a<mask_suffix>.*. PNG, JPEG, TIFF and BMP count, and the volumes NIfTI, NRRD and
    MetaImage, upper or lower case; a subfolder that holds DICOM files is a volume too. Other and hidden files do not
    count, nor other subfolders, nor masks whose stem lacks the suffix.

    Args:
        images: Folder of the images.
        masks: Folder of the masks; may be ``images`` if ``mask_suffix`` tells them apart.
        values: Class of each value that may occur in the masks; 255 = not labeled. None = {0: 0, 255: 1}.
        channels: 1 reads 2-D images as gray, 3 as RGB; volumes have those of their files.
        mask_suffix: Suffix that the stem of a mask has after the stem of its image, such as "_mask".
        mask_tolerance: Largest distance of a mask value to a declared one; 0 = exact, more for JPEG masks.
        spacing: Height and width of a pixel of 2-D images in mm; None = not known. Volumes tell it themselves.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        images: str | Path,
        masks: str | Path,
        values: Mapping[int, int] | None = None,
        channels: int = 1,
        mask_suffix: str = "",
        mask_tolerance: int = 0,
        spacing: Sequence[float] | None = None,
    ) -> None:
        super().__init__(values, channels, mask_tolerance, spacing)
        if Path(images) == Path(masks) and not mask_suffix:
            raise ValueError(
                f"images and masks are the same folder: set mask_suffix to what tells masks in {masks} apart"
            )
        self.images = Path(images)
        self.masks = Path(masks)
        self.mask_suffix = mask_suffix

    def prepare(self) -> None:
        """Check that every image has its mask and every mask its image; the pixels are checked when read.

        Raises:
            FileNotFoundError: There is no such folder.
            ValueError: A folder is empty, partners are missing, or two files share one stem.
        """
        self.entries()

    def entries(self) -> list[Entry]:
        """Return one case per image, named by its stem, in natural order."""
        return [Entry(name, opened_files(self._pairs[name])) for name in sorted(self._pairs, key=natural_order)]

    def read(self, name: str) -> Case:
        """Read one pair: image (C, H, W) or (C, D, H, W), target (*S) uint8."""
        if name not in self._pairs:
            raise ValueError(f"{self.images} has no case {name!r}{did_you_mean(name, self._pairs)}")
        return self.read_pair(name, *self._pairs[name])

    @cached_property
    def _pairs(self) -> dict[str, tuple[Path, Path]]:
        """Image and mask of each case."""
        images, masks = _by_stem(self.images), _by_stem(self.masks)
        masks = {
            stem.removesuffix(self.mask_suffix): path for stem, path in masks.items() if stem.endswith(self.mask_suffix)
        }
        if self.images == self.masks:
            images = {stem: path for stem, path in images.items() if path not in masks.values()}
        alone = sorted(images.keys() - masks.keys(), key=natural_order)
        if alone:
            wanted = some(f"{stem}{self.mask_suffix}" for stem in alone)
            raise ValueError(f"masks missing in {self.masks}: {wanted}: add them, or set mask_suffix")
        alone = sorted(masks.keys() - images.keys(), key=natural_order)
        if alone:
            raise ValueError(f"images missing in {self.images} for the masks of {some(alone)}: add them")
        return {stem: (path, masks[stem]) for stem, path in images.items()}


def _by_stem(folder: Path) -> dict[str, Path]:
    """Return the images, flat or volumes, of a folder by stem; refuses one that has none, or two of one stem."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder: check the path")
    by_stem: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        stem = None if path.name[0] == "." else image_stem(path)
        if stem in by_stem:
            raise ValueError(f"{by_stem[stem]} and {path} share the name {stem!r}: rename or remove one of them")
        if stem is not None:
            by_stem[stem] = path
    if not by_stem:
        raise ValueError(f"{folder} has no image files: it needs {', '.join(SUFFIXES)}, or subfolders of DICOM files")
    return by_stem
