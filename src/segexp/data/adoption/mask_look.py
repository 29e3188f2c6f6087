"""Finds out what the values of masks mean: classes, colors, or numbers of objects."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from segexp.data.case import IGNORED
from segexp.data.files.images import SUFFIXES, read_image, read_mask, stored_facts
from segexp.data.files.volumes import read_labels, volume_stem
from segexp.errors import some

COLORS: dict[tuple[int, ...], str] = {
    **{(255, 0, 0): "red", (0, 255, 0): "lime", (0, 128, 0): "green", (0, 0, 255): "blue", (255, 255, 0): "yellow"},
    **{(255, 0, 255): "magenta", (0, 255, 255): "cyan", (255, 255, 255): "white", (0, 0, 0): "black"},
    **{(128, 128, 128): "gray", (255, 165, 0): "orange", (128, 0, 128): "purple"},
}
MOST_CLASSES = 32  # values that may be classes
FEWEST_OBJECTS = 4  # numbers in one mask, from which on they may be those of objects
ONE_PIECE = 0.9  # fraction of the numbers whose pixels hang together, if they are those of objects
SMALL = 20  # largest class beside which 255 means that a pixel is not labeled


@dataclass(frozen=True)
class MaskLook:
    """What masks mean.

    Args:
        settings: Settings of ``Folder``: values, colors, instances, merge_masks, mask_tolerance.
        class_names: Name of each class, background first.
        notes: What was seen, in words, by setting.
    """

    settings: dict[str, Any]
    class_names: list[str]
    notes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Seen:
    """What one mask file holds.

    Args:
        path: Path to it.
        values: Pixels of each value; of colors, of each (red, green, blue).
        whole: How many of the values above 0 hang together, of numbers alone.
        lossy: Whether compression may have changed values.
    """

    path: Path
    values: dict[Any, int]
    whole: int
    lossy: bool

    @property
    def drawn(self) -> list[Any]:
        return [value for value in self.values if value not in (0, (0, 0, 0))]


def look_at_masks(masks: Sequence[Sequence[Path]]) -> MaskLook:
    """Look at the masks of some cases.

    Args:
        masks: Paths to the masks of each case, one or several.

    Raises:
        ValueError: The masks are empty, or hold too many values for classes; names files and values.
    """
    seen = [[_look(path) for path in paths] for paths in masks]
    flat = [one for several in seen for one in several]
    total: Counter[Any] = Counter()
    for one in flat:
        total.update(one.values)
    drawn = [value for value in total if value not in (0, (0, 0, 0))]
    if not drawn:
        raise ValueError(f"masks such as {flat[0].path} hold nothing but 0: nothing is labeled in them")
    if any(isinstance(value, tuple) for value in total):
        return _of_colors(total, flat)
    if any(len(several) > 1 for several in seen):
        return _of_several(seen, total)
    if any(one.lossy for one in flat) and len(drawn) > 1:
        return _of_lossy(flat)
    if _are_numbers_of_objects(flat):
        most = max(len(one.drawn) for one in flat)
        why = f"numbers of objects, up to {most} in a mask: touching ones are kept apart by scores"
        return MaskLook({"instances": True}, ["background", "object"], {"instances": why})
    return _of_values(total, flat)


def _look(path: Path) -> _Seen:
    flat = volume_stem(path) is None
    lossy = flat and path.suffix.lower() in SUFFIXES and bool(stored_facts(path).get("lossy"))
    try:
        raw = read_mask(path) if flat else read_labels(path).image[0]
    except ValueError as error:
        if "is in color" not in str(error):
            raise
        packed, counts = np.unique(read_image(path, channels=3).reshape(3, -1), axis=1, return_counts=True)
        colors = {tuple(map(int, color)): int(n) for color, n in zip(packed.T, counts, strict=True)}
        return _Seen(path, colors, 0, lossy)
    values, counts = np.unique(raw, return_counts=True)
    held = {int(value): int(count) for value, count in zip(values, counts, strict=True)}
    whole = _in_one_piece(raw, [value for value in held if value]) if len(held) >= FEWEST_OBJECTS else 0
    return _Seen(path, held, whole, lossy)


def _in_one_piece(raw: np.ndarray, values: Sequence[int]) -> int:
    """How many of the values, all of a mask but 0 in their order, fill one connected region each."""
    places = np.where(raw == 0, 0, np.searchsorted(values, raw) + 1)
    boxes = ndimage.find_objects(places)
    touching = np.ones((3,) * raw.ndim)
    return sum(ndimage.label(places[box] == place, touching)[1] == 1 for place, box in enumerate(boxes, 1) if box)


def _are_numbers_of_objects(flat: Sequence[_Seen]) -> bool:
    """Whether each value is one object: many values, which differ from mask to mask, in one piece nearly all."""
    numbered = [one for one in flat if len(one.drawn) >= FEWEST_OBJECTS]
    if 2 * len(numbered) < len([one for one in flat if one.drawn]):
        return False
    values = sum(len(one.drawn) for one in numbered)
    counts = {len(one.drawn) for one in numbered}
    return sum(one.whole for one in numbered) >= ONE_PIECE * values and (len(counts) > 1 or len(numbered) == 1)


def _of_several(seen: Sequence[Sequence[_Seen]], total: Counter[Any]) -> MaskLook:
    """Several masks to an image: one object each, or parts of one drawing."""
    settings: dict[str, Any] = {"merge_masks": True}
    notes = {"merge_masks": f"up to {max(map(len, seen))} masks of an image"}
    if all(len(one.drawn) <= 1 for several in seen for one in several):
        settings["instances"] = True
        notes["instances"] = "each mask is one object: touching ones are kept apart by scores"
    values = sorted(total)
    if settings.get("instances") or values == [0, 255]:
        settings |= {} if values == [0, 255] or "instances" in settings else {"values": {0: 0, values[-1]: 1}}
        return MaskLook(settings, ["background", "object"], notes)
    found = _of_values(total, [one for several in seen for one in several])
    return MaskLook(settings | found.settings, found.class_names, notes | found.notes)


def _of_lossy(flat: Sequence[_Seen]) -> MaskLook:
    """Masks that JPEG has blurred: two values, and what lies between."""
    ends = max(max(one.values) for one in flat)
    tolerance = ends // 2
    why = f"JPEG has blurred the masks: values up to {tolerance} count as 0, above as {ends}"
    values = {} if ends == 255 else {"values": {0: 0, ends: 1}}
    return MaskLook({"mask_tolerance": tolerance, **values}, ["background", "object"], {"mask_tolerance": why})


def _of_values(total: Counter[Any], flat: Sequence[_Seen]) -> MaskLook:
    """Few values, the same ones in many masks: classes in the order of the values."""
    values = sorted(total)
    unlabeled = [IGNORED] if IGNORED in values and len(values) > 2 and values[-2] <= SMALL else []
    classes = [value for value in values if value not in unlabeled]
    if len(classes) > MOST_CLASSES:
        raise ValueError(
            f"masks such as {flat[0].path} hold {len(classes)} values ({some(classes)}), too many for classes, and not "
            "in one piece each, as numbers of objects would be: correct the masks, or write the option by hand"
        )
    background = classes[0] == 0
    if not background:
        first = max(classes, key=lambda value: total[value])
        classes = [first, *(value for value in classes if value != first)]
    mapped = {value: place for place, value in enumerate(classes)} | dict.fromkeys(unlabeled, IGNORED)
    names = ["background", *(f"class_{value}" for value in classes[1:])]
    names = ["background", "object"] if len(classes) == 2 else names
    shares = ", ".join(f"{value} {total[value] / sum(total.values()):.1%}" for value in values)
    why = [f"of all pixels: {shares}"]
    why += [] if background else [f"{classes[0]}, the most frequent, is taken as background"]
    why += [f"{IGNORED} is taken as not labeled"] if unlabeled else []
    if mapped == {0: 0, 255: 1}:
        return MaskLook({}, names, {"values": "0 and 255"})
    return MaskLook({"values": mapped}, names, {"values": "; ".join(why)})


def _of_colors(total: Counter[Any], flat: Sequence[_Seen]) -> MaskLook:
    """Colors: each a class, the most frequent or black the background."""
    colors: Counter[tuple[int, ...]] = Counter()
    for value, count in total.items():
        colors[value if isinstance(value, tuple) else (value,) * 3] += count
    tolerance = 0
    if any(one.lossy for one in flat):
        tolerance = 60
        colors = _gathered(colors, tolerance)
    if len(colors) > MOST_CLASSES:
        raise ValueError(
            f"masks such as {flat[0].path} hold {len(colors)} colors, too many for classes: draw with hard edges (no "
            "antialiasing) and save as PNG, or write the option by hand"
        )
    ordered = [color for color, _ in colors.most_common()]
    first = (0, 0, 0) if (0, 0, 0) in colors else ordered[0]
    classes = [first, *sorted(color for color in ordered if color != first)]
    words = [COLORS.get(color, "/".join(map(str, color))) for color in classes]
    settings: dict[str, Any] = {"colors": {word: place for place, word in enumerate(words)}}
    notes = {"colors": f"{words[0]} is taken as background"}
    if tolerance:
        settings["mask_tolerance"] = tolerance
        notes["mask_tolerance"] = "JPEG has blurred the colors"
    names = ["background", *(word.replace("/", "_") for word in words[1:])]
    return MaskLook(settings, ["background", "object"] if len(names) == 2 else names, notes)


def _gathered(colors: Counter[tuple[int, ...]], reach: int) -> Counter[tuple[int, ...]]:
    """Colors without those near to a more frequent one."""
    kept: Counter[tuple[int, ...]] = Counter()
    for color, count in colors.most_common():
        near = [one for one in kept if max(abs(a - b) for a, b in zip(color, one, strict=True)) <= reach]
        kept[near[0] if near else color] += count
    rare = sum(kept.values()) / 1000  # what lies between two colors at their border
    return Counter({color: count for color, count in kept.items() if count > rare})
