"""Finds which settings of ``Folder`` pair the images and masks that lie in folders."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segexp.data.adoption.candidates import ENOUGH, IMAGE_WORDS, MASK_WORDS, Settings, candidates
from segexp.data.files.images import read_image
from segexp.data.files.volumes import read_volume, volume_stem
from segexp.data.sources.listing import look_through
from segexp.data.sources.matching import Paired, paired
from segexp.data.sources.patterns import SPLITS, PathRule, Pattern, SuffixPattern
from segexp.errors import some

PATIENT = re.compile(
    r"((?:patient|pat|subject|subj|sub|case|mouse|animal|donor|volunteer|child|p|s|pt)[-]?\d+)([_-])([^_]+)", re.I
)


@dataclass(frozen=True)
class Layout:
    """Where images and masks lie, and how they pair.

    Args:
        images: Folder of the images.
        masks: Folder of the masks.
        settings: Further settings of ``Folder``.
        paired: The pairs.
        merge: Whether an image has several masks.
        unlabeled: Number of images without a mask.
    """

    images: Path
    masks: Path
    settings: Settings
    paired: Paired
    merge: bool = False
    unlabeled: int = 0


def find_layout(images: Path, masks: Path) -> Layout:
    """Find how images and masks pair, by trying what their names suggest; most pairs win.

    Args:
        images: Folder of the images.
        masks: Folder of the masks; may be the same.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: No pairing finds masks for half of the images; names files of both.
    """
    _require_unknown_layout(images)
    images, masks = _parted(images, masks)
    seen = look_through(images, without=masks).images
    seen_masks = seen if images == masks else look_through(masks, without=images).images
    best: Layout | None = None
    for settings in candidates(seen, seen_masks, images == masks):
        found = _try(images, masks, settings)
        if found and images == masks and not _is_drawn(found):
            continue
        if found and (best is None or len(found.paired.cases) > len(best.paired.cases)):
            best = found
    if best is None:
        raise ValueError(
            f"{images} and {masks}: the names do not tell which mask belongs to which image, such as "
            f"{some([one.relative for one in seen], 2)} and {some([one.relative for one in seen_masks], 2)}: name "
            "masks like their images (beside a suffix), or list them in a CSV file with columns image and mask, and "
            "give csv=FILE"
        )
    return _with_patients(best)


def _require_unknown_layout(folder: Path) -> None:
    """Refuse layouts that have a source of their own, by a ValueError that names it."""
    for place in (folder, folder.parent):
        if (place / "dataset.json").is_file():
            kind = "nnunet" if any(place.glob("imagesTr/*_0000.*")) else "msd"
            raise ValueError(
                f"{place / 'dataset.json'} describes these data: they need no file of their own, train with "
                f"data={kind} data.source.root={place}"
            )


def _parted(images: Path, masks: Path) -> tuple[Path, Path]:
    """Folders of images and masks in one folder that has a subfolder for each."""
    if images != masks or not images.is_dir():
        return images, masks
    subfolders = {path.name.lower(): path for path in sorted(images.iterdir()) if path.is_dir()}
    own = [subfolders[word] for word in IMAGE_WORDS if word in subfolders]
    theirs = [subfolders[word] for word in MASK_WORDS if word in subfolders]
    return (own[0], theirs[0]) if own and theirs else (images, masks)


def other_masks(masks: Path) -> list[Path]:
    """Folders beside that of the masks whose names are those of masks, too."""
    if masks.name.lower() not in MASK_WORDS or not masks.parent.is_dir():
        return []
    return sorted(path for path in masks.parent.iterdir() if path.name.lower() in MASK_WORDS and path != masks)


def _try(images: Path, masks: Path, settings: Settings) -> Layout | None:
    """Pair by settings; None where they do not fit."""
    try:
        rules, mask_rule = _rules(settings)
        if images == masks and not settings:
            return None
        found = paired(images, masks, rules, mask_rule, merge=True, skip=True)
    except ValueError:
        return None
    alone = [path for reason, paths in found.left_out.items() if "no mask" in reason for path in paths]
    labeled = len(found.cases)
    if labeled < ENOUGH * (labeled + len(alone)):
        return None
    several = any(len(files.masks) > 1 for _, files in found.cases.values())
    return Layout(images, masks, settings, found, several, len(alone))


def _is_drawn(layout: Layout) -> bool:
    """Whether, in one folder, what is taken as masks has few colors or values, and what is taken as images many."""
    _, files = next(iter(layout.paired.cases.values()))
    image, mask = (_distinct(path) for path in (files.images[0], files.masks[0]))
    return mask < image or mask <= 2


def _distinct(path: Path) -> int:
    """Number of distinct values, or colors, in a file."""
    if volume_stem(path) is not None:
        return len(np.unique(read_volume(path).image))
    return len(np.unique(read_image(path, channels=3).reshape(3, -1), axis=1).T)


def _rules(settings: Settings) -> tuple[list[PathRule], PathRule]:
    if "image_pattern" not in settings:
        image = SuffixPattern(str(settings.get("image_suffix", "")), "image_suffix")
        return [image], SuffixPattern(str(settings.get("mask_suffix", "")), "mask_suffix")
    patterns = settings["image_pattern"]
    texts = [patterns] if isinstance(patterns, str) else patterns
    return [Pattern(text, "image_pattern") for text in texts], Pattern(str(settings["mask_pattern"]), "mask_pattern")


def _with_patients(layout: Layout) -> Layout:
    """Let the start of the names be the patient, where all names begin with one and several share it."""
    keys = [key for key, _ in layout.paired.cases.values()]
    names = [PATIENT.fullmatch(key.name) for key in keys]
    starts = Counter(name[1] for name in names if name)
    between = {name[2] for name in names if name}
    shared = len(starts) > 1 and max(starts.values(), default=0) > 1
    if not all(names) or not shared or len(between) != 1 or any(key.group or key.split in SPLITS for key in keys):
        return layout
    whole = f"{{group}}{between.pop()}{{name}}"
    settings: Settings = {}
    for what in ("image", "mask"):
        pattern = layout.settings.get(f"{what}_pattern", f"{{name}}{layout.settings.get(f'{what}_suffix', '')}")
        texts = [pattern] if isinstance(pattern, str) else pattern
        told = [text.replace("{name}", whole) for text in texts]
        settings[f"{what}_pattern"] = told[0] if isinstance(pattern, str) else told
    return _try(layout.images, layout.masks, settings) or layout
