"""Settings of ``Folder`` that the names of files suggest."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from segexp.data.sources.hints import common_parts
from segexp.data.sources.listing import Found
from segexp.data.sources.pairs import natural_order

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


def candidates(seen: Sequence[Found], seen_masks: Sequence[Found], one: bool) -> Iterator[Settings]:
    """Settings worth trying, the plainest first."""
    if not one:
        yield {}
        parts = common_parts([found.stem for found in seen], [found.stem for found in seen_masks])
        if parts:
            yield _settings([parts[0]], parts[1])
    found = [*_by_folders(seen, seen_masks), *_by_ends(seen, seen_masks, one)]
    if all(image.stem.count("/") == 1 for image in seen):  # a folder a patient, where names alone are not enough
        found = [settings for one_of in found for settings in (one_of, _below_groups(one_of))]
    yield from found[:MOST_CANDIDATES]


def _below_groups(settings: Settings) -> Settings:
    """Settings for files in a folder a patient; those of suffixes tell this by themselves."""
    if "image_pattern" not in settings or "/" in str(settings):
        return settings
    patterns = settings["image_pattern"]
    images = f"{{group}}/{patterns}" if isinstance(patterns, str) else [f"{{group}}/{text}" for text in patterns]
    return {"image_pattern": images, "mask_pattern": f"{{group}}/{settings['mask_pattern']}"}


def _settings(images: Sequence[tuple[str, str]], mask: tuple[str, str]) -> Settings:
    """Settings for what stands before and after the name of a case; of several images, one per channel."""
    plain = not any("/" in piece for pieces in (*images, mask) for piece in pieces)
    if len(images) == 1 and not images[0][0] and not mask[0] and plain:
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
        joined += [_settings(pieces, end)] if 1 < len(pieces) <= MOST_CHANNELS and count > 1 else []
    return [*joined, *single]


def _divisions(stem: str, turned: bool) -> Iterator[tuple[str, str]]:
    """Ways to part a stem between words: what names the case, and what does not; the latter may be empty."""
    yield stem, ""
    for place in (hit.start() for hit in re.finditer(r"(?<=[^_. /-])(?=[_. /-])|(?<=[_. -])(?=[^_. /-])", stem)):
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
