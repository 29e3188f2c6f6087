"""A data set of the user's own as an option of the group data, with what was seen as comments."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from segexp.data.adoption.image_look import ImageLook, look_at_images
from segexp.data.adoption.layout import find_layout, other_masks
from segexp.data.adoption.mask_look import MaskLook, look_at_masks
from segexp.data.sources import Manifest
from segexp.data.sources.pairs import CaseFiles

LOOKED_AT = 200  # cases, spread over all, whose files are opened
FLAT_PATCH, VOLUME_PATCH = 128, 64  # pixels per axis of a patch, at most
MULTIPLE = 16  # of the sides of a patch, which four levels halve


@dataclass(frozen=True)
class Adopted:
    """What was found.

    Args:
        text: Content of the option, YAML with comments.
        found: Sentences for the screen.
        unknown: What could not be seen, and stays to be set.
    """

    text: str
    found: list[str]
    unknown: list[str]


@dataclass(frozen=True)
class _Place:
    """Cases with their files, and the settings that lead a source to them."""

    option: str  # of the group data, that the new one builds on
    settings: dict[str, Any]
    notes: dict[str, str]
    cases: dict[str, CaseFiles]
    groups: set[str]
    splits: set[str]
    left: dict[str, tuple[str, ...]]


def adopt(images: Path | None, masks: Path | None, csv: Path | None, command: str) -> Adopted:
    """Look at images and masks, and describe them.

    Args:
        images: Folder of the images, or of both.
        masks: Folder of the masks; None = the same.
        csv: CSV file that lists them instead.
        command: Command line, for the head of the file.

    Raises:
        FileNotFoundError: There is no such folder or file.
        ValueError: Files do not pair, or what they hold is not understood; names files and remedy.
    """
    place = _listed(csv) if csv else _in_folders(images or Path(), masks or images or Path())
    names = list(place.cases)
    shown = [
        place.cases[names[n * len(names) // min(len(names), LOOKED_AT)]] for n in range(min(len(names), LOOKED_AT))
    ]
    look = look_at_images([files.images for files in shown])
    mask_look = look_at_masks([files.masks for files in shown])
    counts = f"{len(names)} cases" + (f" of {len(place.groups)} groups" if place.groups else "")
    found = [f"{counts}: {look.note}", *place.notes.values()]
    found += [f"{setting}: {note}" for setting, note in mask_look.notes.items()]
    found += [f"left out ({reason}): {len(paths)} files, such as {paths[0]}" for reason, paths in place.left.items()]
    if len(shown) < len(names):
        found.append(f"{len(shown)} cases were opened, spread over all; segexp audit opens every one")
    text = _yaml(place, look, mask_look, [f"Written by: {command}", f"{counts}: {look.note}"])
    return Adopted(text, found, _unknown(place, look, mask_look))


def _in_folders(images: Path, masks: Path) -> _Place:
    layout = find_layout(images, masks)
    keys = [key for key, _ in layout.paired.cases.values()]
    settings: dict[str, Any] = {"images": str(layout.images.resolve()), "masks": str(layout.masks.resolve())}
    settings |= layout.settings
    notes = {}
    first = next(iter(layout.paired.cases.values()))[1]
    pair = f"{first.images[0].name} goes with {first.masks[0].name}"
    notes["image_pattern" if "image_pattern" in layout.settings else "images"] = pair
    if layout.unlabeled:
        settings["skip_unlabeled"] = True
        notes["skip_unlabeled"] = f"{layout.unlabeled} images have no mask"
    cases = {name: files for name, (_, files) in layout.paired.cases.items()}
    groups, splits = {key.group for key in keys} - {""}, {key.split for key in keys} - {""}
    if groups:
        notes["masks"] = f"{len(groups)} patients by the names, such as {sorted(groups)[0]}: each stays in one split"
    return _Place("folder", settings, notes, cases, groups, splits, layout.paired.left_out)


def _listed(csv: Path) -> _Place:
    source = Manifest(csv)
    entries = source.entries()
    groups, splits = {one.group for one in entries} - {""}, {one.split for one in entries} - {""}
    settings = {"csv": str(csv.resolve())}
    return _Place("manifest", settings, {}, source.files_of_cases(), groups, splits, {})


def _unknown(place: _Place, look: ImageLook, masks: MaskLook) -> list[str]:
    """What stays to be set by hand, where it matters."""
    unknown = [
        f"whether {path} should be the masks instead" for path in other_masks(Path(place.settings.get("masks", "/")))
    ]
    if masks.class_names[1:] == ["object"] or any(name.startswith("class_") for name in masks.class_names):
        unknown.append("what the classes are called: labels.class_names")
    if not place.groups:
        unknown.append("which images are of one patient: a subfolder each, or a CSV file with a column group")
    if look.axes == 2:
        unknown.append("the size of a pixel: source.spacing, in mm")
    return unknown


def _yaml(place: _Place, look: ImageLook, masks: MaskLook, head: Sequence[str]) -> str:
    notes = place.notes | masks.notes
    source = place.settings | masks.settings
    patch = [_side(n, FLAT_PATCH if look.axes == 2 else VOLUME_PATCH) for n in look.size]
    lines = [*(f"# {line}" for line in head), "defaults:", f"  - {place.option}", "  - _self_", "source:"]
    lines += [f"  {key}: {_written(value)}{_comment(notes.get(key))}" for key, value in source.items()]
    lines += [f"channels: {look.channels}"]
    lines += ["labels:", f"  num_classes: {len(masks.class_names)}"]
    lines += [f"  class_names: {_written(masks.class_names)}"]
    if look.axes == 3:
        lines += ["geometry:", "  spatial_dims: 3", "  distance_unit: mm"]
    lines += ["sampling: # a start; segexp train data=… alone plans it", f"  patch_size: {_written(patch)}"]
    if place.splits:
        told = f" # the paths tell {', '.join(sorted(place.splits))}"
        lines += ["split:", f"  method: prescribed{told if place.option == 'folder' else ' # column split'}"]
    return "\n".join(lines) + "\n"


def _side(size: int, most: int) -> int:
    return min(most, max(MULTIPLE, -(-size // MULTIPLE) * MULTIPLE))


def _written(value: Any) -> str:
    """Value in one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n...\n").strip()


def _comment(note: str | None) -> str:
    return f" # {note}" if note else ""
