"""Finds which settings of ``Folder`` pair the images and masks that lie in folders."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segexp.data.files.images import read_image
from segexp.data.files.volumes import read_volume, volume_stem
from segexp.data.sources.hints import common_parts
from segexp.data.sources.listing import Found, look_through
from segexp.data.sources.matching import Paired, paired
from segexp.data.sources.pairs import natural_order
from segexp.data.sources.patterns import SPLITS, PathRule, Pattern, SuffixPattern
from segexp.errors import some

Settings = dict[str, str | list[str]]  # image_suffix and mask_suffix, or image_pattern and mask_pattern
IMAGE_WORDS = ("images", "image", "imgs", "img", "raw", "input", "inputs", "scans", "photos", "imagestr", "data")
MASK_WORDS = (
    *(
        "masks",
        "mask",
        "labels",
        "label",
        "labelstr",
        "lbl",
        "gt",
        "groundtruth",
        "ground_truth",
        "truth",
        "annotations",
    ),
    *("annotation", "segmentations", "segmentation", "seg", "segs", "manual", "1st_manual", "targets", "target"),
)
ENOUGH = 0.5  # fraction of the images that a pairing must find masks for, to be one
MOST_CANDIDATES = 12  # pairings that are tried
MOST_CHANNELS = 8  # files that are channels of one case
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
    for settings in _candidates(seen, seen_masks, images == masks):
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


def _candidates(seen: Sequence[Found], seen_masks: Sequence[Found], one: bool) -> Iterator[Settings]:
    """Settings worth trying, the plainest first."""
    if not one:
        yield {}
        parts = common_parts([found.stem for found in seen], [found.stem for found in seen_masks])
        if parts:
            yield _settings([parts[0]], parts[1])
    found = [*_by_folders(seen, seen_masks), *_by_ends(seen, seen_masks, one)]
    yield from found[:MOST_CANDIDATES]


def _settings(images: Sequence[tuple[str, str]], mask: tuple[str, str]) -> Settings:
    """Settings for what stands before and after the name of a case; of several images, one per channel."""
    if len(images) == 1 and not images[0][0] and not mask[0]:
        suffixes = {"image_suffix": images[0][1], "mask_suffix": mask[1]}
        return {key: suffix for key, suffix in suffixes.items() if suffix}
    patterns = [f"{before}{{name}}{after}" for before, after in images]
    one = len(patterns) == 1
    return {"image_pattern": patterns[0] if one else patterns, "mask_pattern": f"{mask[0]}{{name}}{mask[1]}"}


def _by_ends(seen: Sequence[Found], seen_masks: Sequence[Found], one: bool) -> list[Settings]:
    """Pairs of ends, such as _DAPI and _seg, that follow the same starts in many names; and of starts likewise."""
    votes = {turned: _votes(seen, seen_masks, turned) for turned in (False, True)}
    if one:  # by a word for masks, if there is one; else by what the files hold
        told = {
            turned: Counter({pair: n for pair, n in counts.items() if _is_mask(*pair)})
            for turned, counts in votes.items()
        }
        votes = told if any(told.values()) else votes
    return [settings for turned, counts in votes.items() for settings in _joined(counts, turned)]


def _votes(seen: Sequence[Found], seen_masks: Sequence[Found], turned: bool) -> Counter[tuple[str, str]]:
    """How many names share what stands before each pair of ends, of an image and of a mask."""
    ends: dict[str, set[str]] = {}
    for image in seen:
        for kept, rest in _divisions(image.stem, turned):
            ends.setdefault(kept, set()).add(rest)
    votes: Counter[tuple[str, str]] = Counter()
    for mask in seen_masks:
        for kept, rest in _divisions(mask.stem, turned):
            votes.update((other, rest) for other in ends.get(kept, ()) if seen is not seen_masks or other != rest)
    return votes


def _joined(votes: Counter[tuple[str, str]], turned: bool) -> list[Settings]:
    """Settings of the ends with the most votes; several images to one mask are channels."""
    joined, single = [], []
    most = max(votes.values(), default=0)
    of_masks: Counter[str] = Counter()
    for (_, mask), count in votes.items():
        of_masks[mask] = max(of_masks[mask], count)
    for mask, count in of_masks.most_common():
        if count < max(1, ENOUGH * most):
            continue
        images = [image for (image, other), n in votes.items() if other == mask and n == count]
        pieces = [(image, "") if turned else ("", image) for image in sorted(images, key=natural_order)]
        end = (mask, "") if turned else ("", mask)
        single += [_settings([piece], end) for piece in pieces[:2]]
        joined += [_settings(pieces, end)] if 1 < len(pieces) <= MOST_CHANNELS else []
    return [*joined, *single]


def _divisions(stem: str, turned: bool) -> Iterator[tuple[str, str]]:
    """Ways to part a stem between words: what names the case, and what does not; the latter may be empty."""
    yield stem, ""
    for place in (hit.start() for hit in re.finditer(r"(?<=[A-Za-z0-9])(?=[_. -])|(?<=[_. -])(?=[A-Za-z0-9])", stem)):
        if 0 < place < len(stem):
            yield (stem[place:], stem[:place]) if turned else (stem[:place], stem[place:])


def _is_mask(other: str, rest: str) -> bool:
    """Whether, in one folder, the first is the end of an image and the second that of a mask."""
    words = set(re.findall(r"[a-z]+", rest.lower()))
    return bool(words & set(MASK_WORDS)) and not set(re.findall(r"[a-z]+", other.lower())) & set(MASK_WORDS)


def _by_folders(seen: Sequence[Found], seen_masks: Sequence[Found]) -> list[Settings]:
    """Patterns where each split, patient or case has folders for images and masks: a/images/x.png, a/masks/x.png."""
    image, mask = _second_folder(seen, IMAGE_WORDS), _second_folder(seen_masks, MASK_WORDS)
    if not image or not mask:
        return []
    return [
        {"image_pattern": f"{first}/{image}/{last}", "mask_pattern": f"{first}/{mask}/{last}"}
        for first, last in (("{split}", "{name}"), ("{group}", "{name}"), ("{name}", "*"))
    ]


def _second_folder(seen: Sequence[Found], words: Sequence[str]) -> str:
    """Second folder of most paths of three parts, if it is such a word; else empty."""
    parts = [found.relative.split("/") for found in seen]
    folders = Counter(part[1] for part in parts if len(part) == 3 and part[1].lower() in words)
    return folders.most_common(1)[0][0] if folders else ""


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
