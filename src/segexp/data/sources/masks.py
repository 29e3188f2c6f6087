"""What mask files mean: the rules by which a source makes classes of their values, colors and objects."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import ImageColor

from segexp.data.files.images import SUFFIXES, read_image, stored_facts
from segexp.data.files.mask_values import map_values, require_values
from segexp.data.sources.border import border_of
from segexp.data.sources.instances import numbered, objects_of, require_classes, require_one_object_each
from segexp.errors import require_at_least, some

OTHER = "other"  # key of all that is not declared
Values = Mapping[Any, int]  # class of each value (int), color (str) and of OTHER
MANY = 4  # values in a mask, from which on they may be numbers of objects


class Masks(NamedTuple):
    """What the masks of an image hold.

    Attributes:
        target: (*S) uint8 class indices.
        raw: (*S) integers of the file; None of several files and of colors.
        instances: (*S) int32 numbers of objects, see ``Case``; None where they are not asked for.
    """

    target: np.ndarray
    raw: np.ndarray | None
    instances: np.ndarray | None


class MaskRules:
    """Rules that turn the masks of an image into class indices.

    Args:
        values: Class of each value that may occur; the key "other" stands for all values that are not declared, such
            as {0: 0, "other": 1} for anything but 0. 255 as class = not labeled. None = {0: 0, 255: 1}.
        colors: Class of each color that may occur, in place of ``values``; "other" as above. A color is a word
            ("red"), "#ff0000" or "255/0/0". None = masks are not in color.
        tolerance: Largest distance of a value, or of a channel of a color, to a declared one; 0 = exact.
        border_width: Reach in pixels of a further class between objects, see ``border_of``; objects are the numbers in
            a mask that stand for other classes than 0, or the masks of an image that has several. 0 = no such class.
        merge: Whether several masks of an image are laid over each other; else they are refused.
        instances: Whether objects are numbered: by the values of a mask that stand for other classes than 0 and 255, or
            by the masks of an image that has several, one object each, later ones on top. ``values`` of None are then
            {0: 0, "other": 1}.

    Raises:
        ValueError: An argument is out of its range, both values and colors are given, or values that are no numbers of
            objects meet ``instances``.
    """

    def __init__(
        self,
        values: Values | None = None,
        colors: Values | None = None,
        tolerance: int = 0,
        border_width: int = 0,
        merge: bool = False,
        instances: bool = False,
    ) -> None:
        if values is not None and colors is not None:
            raise ValueError("values and colors are both given: masks hold numbers or colors; set one of them to null")
        require_at_least("mask_tolerance", tolerance, 0, integer=True)
        require_at_least("border_width", border_width, 0, integer=True)
        if instances and not merge and (tolerance or colors is not None):
            raise ValueError(
                "instances=true takes the numbers in a mask as those of objects, and colors and blurred values "
                f"(mask_tolerance={tolerance}) are none: number the objects, or give each its own file and set "
                "merge_masks=true"
            )
        # None in place of a default: Hydra merges a mapping on the command line into one that is there.
        default: Values = {0: 0, OTHER: 1} if instances else {0: 0, 255: 1}
        self._numbers = NumberCode(default if values is None else values, tolerance)
        self._colors = None if colors is None else ColorCode(colors, tolerance)
        self._tolerance = tolerance
        self._border_width = border_width
        self._merge = merge
        self._instances = instances

    @property
    def mask_values(self) -> dict[int, int]:
        """Class of each declared value; empty where masks are in color, which are predicted as numbers of classes."""
        return {} if self._colors else self._numbers.values

    def read(
        self, paths: Sequence[Path], numbers: Callable[[Path], np.ndarray], numbering: Path | None = None
    ) -> Masks:
        """Read the masks of one image.

        Args:
            paths: Path to each mask.
            numbers: Reader of a mask as integers (*S).
            numbering: Path to a mask of its own that numbers the objects, 0 = none; None = there is none.

        Raises:
            ValueError: A file cannot be used, or masks contradict each other; names the files.
        """
        require_one_mask(paths, "one image", self._merge)
        self._require_lossless(paths)
        if self._colors:
            raws = [read_image(path, channels=3) for path in paths]
            classes = [self._colors.classes(raw, path) for raw, path in zip(raws, paths, strict=True)]
        else:
            raws = [numbers(path) for path in paths]
            classes = [self._classes(raw, path) for raw, path in zip(raws, paths, strict=True)]
        alone = raws[0] if len(paths) == 1 and not self._colors else None
        masks = Masks(_laid_over(classes, paths), alone, None)
        # Objects have numbers in a file of their own, in the mask, or by the order of the masks.
        if numbering is not None:
            objects = numbers(numbering)
            require_classes(objects, masks.target, str(numbering), f"mask {paths[0]}")
            return self._with_objects(masks, objects, True, paths[0])
        if self._instances and not (self._tolerance or self._colors):
            require_one_object_each(classes, raws, paths)
        if self._border_width or self._instances:
            objects = objects_of(classes, None if self._instances and self._tolerance else alone)
            return self._with_objects(masks, objects, self._instances, paths[0])
        return masks

    def _with_objects(self, masks: Masks, objects: np.ndarray, instances: bool, path: Path) -> Masks:
        """Put a border between objects, if that is said, and keep their numbers, if they are wanted."""
        target = self._with_border(masks.target, objects, path) if self._border_width else masks.target
        kept = np.where(target == masks.target, objects, 0)  # none in the border, where objects end
        return Masks(target, masks.raw, numbered(kept, target) if instances else None)

    def _classes(self, raw: np.ndarray, path: Path) -> np.ndarray:
        """Class indices (*S) of the integers of a mask; of what may be numbers of objects, the error says so."""
        try:
            return self._numbers.classes(raw, path)
        except ValueError as error:
            count = len(np.unique(raw))
            if self._instances or count < MANY or _is_lossy(path):
                raise
            raise ValueError(
                f"{error}; if its {count} values are numbers of objects, such as nuclei, set data.source.instances=true"
                "; if it is an image, swap images and masks"
            ) from error

    def _require_lossless(self, paths: Sequence[Path]) -> None:
        """Refuse masks whose blurred values would all count as "other"."""
        code = self._colors or self._numbers
        for path in paths if code.takes_other and not self._tolerance else ():
            if _is_lossy(path):
                raise ValueError(
                    f"mask {path} is compressed with loss: each value near a declared one would count as {OTHER!r}; "
                    "set data.source.mask_tolerance, such as to 20, or declare all classes"
                )

    def _with_border(self, target: np.ndarray, objects: np.ndarray, path: Path) -> np.ndarray:
        if target.ndim != 2:
            raise ValueError(
                f"border_width={self._border_width} is for 2-D images, and {path} is a volume: set it to 0"
            )
        declared = (self._colors or self._numbers).known
        border = 1 + max((label for label in declared if label < 255), default=0)
        return np.where(border_of(objects, self._border_width) & (target != 255), np.uint8(border), target)


def require_one_mask(paths: Sequence[Path], whose: str, merge: bool) -> None:
    """Refuse several masks of one image, by a ValueError, unless they are to be laid over each other."""
    if len(paths) > 1 and not merge:
        raise ValueError(
            f"{whose} has {len(paths)} masks ({some(paths, 3)}): set data.source.merge_masks=true to lay them over "
            "each other, or leave one of them"
        )


class NumberCode:
    """Classes of the numbers in a mask; arguments as of ``MaskRules``."""

    def __init__(self, values: Values, tolerance: int) -> None:
        self.values, self._other = _declared(values, "values")
        require_values(self.values)
        self.known = set(values.values())
        self.takes_other = self._other is not None
        self._tolerance = tolerance

    def classes(self, raw: np.ndarray, path: Path) -> np.ndarray:
        """Class indices (*S) uint8 of the integers of a mask."""
        if self._other is None:
            return map_values(raw, self.values, self._tolerance, path)
        present = np.unique(raw).astype(np.int64)
        declared = np.array(sorted(self.values), dtype=np.int64)
        apart = np.abs(present[:, None] - declared)
        nearest = [self.values[value] for value in declared[apart.argmin(axis=1)].tolist()]
        near = (apart.min(axis=1) <= self._tolerance).tolist()
        known = {
            value: label if is_near else self._other
            for value, label, is_near in zip(present.tolist(), nearest, near, strict=True)
        }
        return map_values(raw, known, 0, path)


class ColorCode:
    """Classes of the colors in a mask; arguments as of ``MaskRules``."""

    def __init__(self, colors: Values, tolerance: int) -> None:
        declared, self._other = _declared(colors, "colors")
        self._colors = np.array([_color(color) for color in declared])
        self._labels = np.array(list(declared.values()), dtype=np.uint8)
        self.known = set(colors.values())
        self.takes_other = self._other is not None
        self._tolerance = tolerance

    def classes(self, pixels: np.ndarray, path: Path) -> np.ndarray:
        """Class indices (H, W) uint8 of a mask (3, H, W)."""
        if pixels.dtype != np.uint8:
            raise ValueError(f"mask {path} holds {pixels.dtype} colors: save it with 8 bits per channel")
        red, green, blue = pixels.astype(np.int64)
        packed, where = np.unique(red << 16 | green << 8 | blue, return_inverse=True)
        present = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1)
        apart = np.abs(present[:, None] - self._colors).max(axis=2)
        labels = self._labels[apart.argmin(axis=1)]
        far = apart.min(axis=1) > self._tolerance
        if far.any() and self._other is None:
            raise ValueError(
                f"mask {path} has colors without a class: {_written(present[far])} (declared are "
                f"{_written(self._colors)}): declare a class for each, or raise data.source.mask_tolerance (now "
                f"{self._tolerance}) where JPEG blurred the mask"
            )
        labels[far] = self._other or 0
        return labels[where].reshape(pixels.shape[1:])


def _declared(classes: Values, what: str) -> tuple[dict, int | None]:
    """What is declared by name, and the class of all else, if there is one; refuses classes that are none."""
    labels = list(classes.values())
    named = {key: label for key, label in classes.items() if key != OTHER}
    if not named or not all(type(label) is int and 0 <= label <= 255 for label in labels):
        raise ValueError(
            f"{what}={dict(classes)} must give each mask value (an integer; a color) a class from 0 to 255, and may "
            f"give one to {OTHER!r}, all that is not declared"
        )
    return named, classes.get(OTHER)


def _color(name: object) -> tuple[int, ...]:
    """Red, green and blue of "red", "#ff0000" or "255/0/0"."""
    text = str(name)
    if re.fullmatch(r"\d{1,3}/\d{1,3}/\d{1,3}", text):
        text = f"rgb({text.replace('/', ',')})"
    try:
        color = ImageColor.getrgb(text)[:3]
        if max(color) <= 255:
            return color
        cause = None
    except ValueError as error:
        cause = error
    raise ValueError(f'colors: {name!r} is no color: write a word ("red"), "#ff0000" or 255/0/0') from cause


def _written(colors: np.ndarray) -> str:
    return some("#{:02x}{:02x}{:02x}".format(*color) for color in colors.tolist())


def _is_lossy(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and bool(stored_facts(path).get("lossy"))


def _laid_over(classes: Sequence[np.ndarray], paths: Sequence[Path]) -> np.ndarray:
    """Lay masks over each other: a pixel has the class, not 0, that any of them gives it."""
    target = classes[0].copy()
    for labels, path in zip(classes[1:], paths[1:], strict=True):
        if labels.shape != target.shape:
            raise ValueError(f"masks {paths[0]} and {path} differ in size: crop or resample one of them")
        drawn = labels != 0
        if (drawn & (target != 0) & (target != labels)).any():
            before = ", ".join(path.name for path in paths[: paths.index(path)][:3])
            raise ValueError(f"mask {path} gives pixels another class than {before} do: say which one is right")
        target[drawn] = labels[drawn]
    return target
