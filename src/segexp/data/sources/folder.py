"""Any folder of images and masks."""

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from segexp.data.case import Case, Entry
from segexp.data.sources.masks import Values
from segexp.data.sources.matching import Paired, paired
from segexp.data.sources.pairs import PairReader, natural_order
from segexp.data.sources.patterns import PathRule, Pattern, SuffixPattern
from segexp.errors import did_you_mean


class Folder(PairReader):
    """Images in one folder, masks in another (or the same), paired by their names.

    Case ``a`` is images/a<image_suffix>.* with masks/a<mask_suffix>.*. In subfolders, both lie alike, images/p1/a.png
    and masks/p1/a.png: the first of them is the group, as of a patient, and the case is called p1_a; subfolders called
    train, val or test (or training, validation and so on) are prescribed splits instead. Other layouts are told by
    patterns, see ``Pattern``. PNG, JPEG, TIFF and so on count, and the volumes NIfTI, NRRD and MetaImage, upper
    or lower case; a subfolder that holds DICOM files is a volume too. ``left_out`` lists everything else.

    Args:
        images: Folder of the images.
        masks: Folder of the masks; may be ``images``, or lie in it, if their names tell them apart.
        values: Class of each value that may occur in the masks; the key "other" stands for all that are not declared,
            such as {0: 0, "other": 1} for anything but 0. 255 as class = not labeled. None = {0: 0, 255: 1}.
        channels: 1 reads 2-D images as gray, 3 as RGB; volumes have those of their files.
        mask_suffix: Suffix that the stem of a mask has after the name of the case, such as "_mask".
        mask_tolerance: Largest distance of a mask value to a declared one; 0 = exact, more for JPEG masks.
        spacing: Height and width of a pixel of 2-D images in mm; None = not known. Volumes tell it themselves.
        image_suffix: Suffix that the stem of an image has after the name of the case.
        image_pattern: Pattern of the images' paths, in place of the suffixes; a list of patterns joins the files of a
            case as channels, in this order.
        mask_pattern: Pattern of the masks' paths; goes with ``image_pattern``.
        colors: Class of each color of masks in color, in place of ``values``, see ``MaskRules``.
        border_width: Reach in pixels of a further class between objects, see ``MaskRules``; 0 = no such class.
        merge_masks: Whether several masks of an image are laid over each other; else they are refused.
        field_of_view: Function that finds in each image what counts, a key of ``FIELDS_OF_VIEW``; None = all counts.
        skip_unlabeled: Whether images without a mask are left out; else they are refused.
        instances: Whether masks number objects, which scores then keep apart, see ``MaskRules``.

    Raises:
        ValueError: An argument is out of its range, or does not go with the others.
    """

    def __init__(
        self,
        images: str | Path,
        masks: str | Path,
        values: Values | None = None,
        channels: int = 1,
        mask_suffix: str = "",
        mask_tolerance: int = 0,
        spacing: Sequence[float] | None = None,
        image_suffix: str = "",
        image_pattern: str | Sequence[str] | None = None,
        mask_pattern: str | None = None,
        colors: Values | None = None,
        border_width: int = 0,
        merge_masks: bool = False,
        field_of_view: str | None = None,
        skip_unlabeled: bool = False,
        instances: bool = False,
    ) -> None:
        rules = colors, border_width, merge_masks, field_of_view, instances
        super().__init__(values, channels, mask_tolerance, spacing, *rules)
        if (image_pattern is None) != (mask_pattern is None):
            raise ValueError(
                f"image_pattern={image_pattern} and mask_pattern={mask_pattern} go together: set both or neither"
            )
        if image_pattern is not None and (image_suffix or mask_suffix):
            raise ValueError("image_pattern and mask_pattern take the place of image_suffix and mask_suffix: set these")
        if Path(images) == Path(masks) and image_pattern is None and image_suffix == mask_suffix:
            raise ValueError(
                f"images and masks are the same folder: set mask_suffix to what tells masks in {masks} apart, or "
                "image_pattern and mask_pattern"
            )
        self.images = Path(images)
        self.masks = Path(masks)
        self.image_suffix = image_suffix
        self.mask_suffix = mask_suffix
        one = isinstance(image_pattern, str)
        self.image_pattern = [str(image_pattern)] if one else image_pattern and [str(text) for text in image_pattern]
        self.mask_pattern = mask_pattern
        self.skip_unlabeled = skip_unlabeled
        self._path_rules()  # refuses patterns that are none

    @property
    def channels_by_suffix(self) -> bool:
        """Whether the patterns join files by _0000, _0001 and so on, as images to predict are joined then, too."""
        ends = [re.search(r"_([0-9]{4})(\.[\w.]+)?$", text) for text in self.image_pattern or ()]
        return bool(ends) and [end and int(end[1]) for end in ends] == list(range(len(ends)))

    def prepare(self) -> None:
        """Check that every image has its mask and every mask its image; the pixels are checked when read.

        Raises:
            FileNotFoundError: There is no such folder.
            ValueError: A folder is empty, partners are missing, or files share one name.
        """
        self.entries()

    def entries(self) -> list[Entry]:
        """Return one case per image, in natural order of their names."""
        return [
            Entry(name, files.opened, key.group, key.stratum, key.split)
            for name, (key, files) in sorted(self._paired.cases.items(), key=lambda item: natural_order(item[0]))
        ]

    def read(self, name: str) -> Case:
        """Read one case: image (C, H, W) or (C, D, H, W), target (*S) uint8."""
        if name not in self._paired.cases:
            raise ValueError(f"{self.images} has no case {name!r}{did_you_mean(name, self._paired.cases)}")
        return self.read_files(name, self._paired.cases[name][1])

    def left_out(self) -> dict[str, tuple[str, ...]]:
        """Tell what lies in the two folders and belongs to no case, as the function ``left_out`` does."""
        return self._paired.left_out

    @cached_property
    def _paired(self) -> Paired:
        return paired(self.images, self.masks, *self._path_rules(), merge=self.merge_masks, skip=self.skip_unlabeled)

    def _path_rules(self) -> tuple[list[PathRule], PathRule]:
        """Rules of the images, one per channel, and of the masks."""
        if self.image_pattern is None or self.mask_pattern is None:
            return [SuffixPattern(self.image_suffix, "image_suffix")], SuffixPattern(self.mask_suffix, "mask_suffix")
        images: list[PathRule] = [Pattern(text, "image_pattern") for text in self.image_pattern]
        return images, Pattern(self.mask_pattern, "mask_pattern")
