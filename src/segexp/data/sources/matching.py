"""Which images and masks in folders belong together."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from segexp.data.sources.hints import pairing_settings
from segexp.data.sources.listing import Listing, look_through
from segexp.data.sources.masks import require_one_mask
from segexp.data.sources.pairs import CaseFiles, natural_order
from segexp.data.sources.patterns import Key, PathRule
from segexp.errors import did_you_mean, some

_NUMBERED = re.compile(r"(.+?)(?:[ _.-]\(?|\()[0-9]+\)?")  # a_mask_1, a_mask-2, a_mask (3)
_ADD = (
    ": add them, or set mask_suffix or the patterns, or leave unlabeled images out with data.source.skip_unlabeled=true"
)


@dataclass(frozen=True)
class Paired:
    """Images with their masks.

    Attributes:
        cases: Name of each case -> what its paths tell, and its files.
        left_out: Reason -> paths of all that belongs to no case.
    """

    cases: dict[str, tuple[Key, CaseFiles]]
    left_out: dict[str, tuple[str, ...]]


def paired(
    images: Path,
    masks: Path,
    image_rules: Sequence[PathRule],
    mask_rule: PathRule,
    merge: bool = False,
    skip: bool = False,
) -> Paired:
    """Look through two folders, which may be one, and pair what lies there.

    Args:
        images: Folder of the images.
        masks: Folder of the masks.
        image_rules: Rule of the paths of the images; of several, each stands for a channel.
        mask_rule: Rule of the paths of the masks.
        merge: Whether an image may have several masks.
        skip: Whether images without a mask are left out; else they are refused.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: A folder is empty, partners are missing, or files share one name; names the files and the settings.
    """
    seen = look_through(images, without=masks)
    seen_masks = seen if images == masks else look_through(masks, without=images)
    image_keys = _keys(seen, image_rules)
    mask_keys = {path: key for path, (key, _) in _keys(seen_masks, [mask_rule]).items()}
    known = {key for key, _ in image_keys.values()}
    mask_keys |= _numbered(seen_masks, mask_rule, known, mask_keys)
    if seen is seen_masks:
        _part(image_keys, mask_keys)
    channels = _channels(image_keys, image_rules, images)
    masks_of = _masks_of(mask_keys, mask_rule, merge)
    labeled = channels.keys() & masks_of.keys()
    if skip and labeled:
        channels = {key: files for key, files in channels.items() if key in labeled}
    _require_partners(channels, masks_of, mask_rule, seen, seen_masks)
    named = _named(channels, masks_of)
    taken = {path for _, files in named.values() for path in files.all}
    left = _left_out(taken, set(image_keys), (seen, image_rules[0].why_not), (seen_masks, mask_rule.why_not))
    return Paired(named, left)


def _named(
    channels: dict[Key, tuple[Path, ...]], masks: dict[Key, tuple[Path, ...]]
) -> dict[str, tuple[Key, CaseFiles]]:
    """Cases by their names, which no two may share."""
    named: dict[str, tuple[Key, CaseFiles]] = {}
    for key, files in channels.items():
        if key.case in named:
            raise ValueError(_one_name(named[key.case][1].images[0], files[0], key))
        named[key.case] = (key, CaseFiles(files, masks[key]))
    return named


def _keys(listing: Listing, rules: Sequence[PathRule]) -> dict[Path, tuple[Key, int]]:
    """Key of each file that matches a rule, and the position of the first rule that it matches."""
    keys = {}
    for found in listing.images:
        matches = [(key, position) for position, rule in enumerate(rules) if (key := rule.match(found)) is not None]
        if matches:
            keys[found.path] = matches[0]
    return keys


def _numbered(listing: Listing, rule: PathRule, known: set[Key], keys: dict[Path, Key]) -> dict[Path, Key]:
    """Further masks: a_mask_1 beside a_mask, if there is an image a and none that a_mask_1 would be the mask of."""
    further = {}
    for found in listing.images:
        base = _NUMBERED.fullmatch(found.stem)
        if base is None or keys.get(found.path) in known:
            continue
        key = rule.match(replace(found, stem=base[1]))
        if key in known:
            further[found.path] = key
    return further


def _part(image_keys: dict[Path, tuple[Key, int]], mask_keys: dict[Path, Key]) -> None:
    """Decide what is an image and what a mask where files of one folder match both rules."""
    known = {key for key, _ in image_keys.values()}
    with_mask = set(mask_keys.values())
    for path in image_keys.keys() & mask_keys.keys():
        # p1_L is the image of the mask p1_L_L, and no mask unless there is an image p1.
        if mask_keys[path] not in known and image_keys[path][0] in with_mask:
            del mask_keys[path]
        else:
            del image_keys[path]


def _channels(
    keys: dict[Path, tuple[Key, int]], rules: Sequence[PathRule], folder: Path
) -> dict[Key, tuple[Path, ...]]:
    """Files of each case, one per channel."""
    files: dict[tuple[Key, int], Path] = {}
    for path, place in keys.items():
        if place in files:
            raise ValueError(_one_name(files[place], path, place[0]))
        files[place] = path
    cases = sorted({key for key, _ in files}, key=lambda key: natural_order(key.case))
    lacking = [
        rule.path_of(key) for key in cases for position, rule in enumerate(rules) if (key, position) not in files
    ]
    if lacking:
        raise ValueError(f"channels missing in {folder}: {some(lacking)}: add them, or change image_pattern")
    return {key: tuple(files[key, position] for position in range(len(rules))) for key in cases}


def _masks_of(keys: dict[Path, Key], rule: PathRule, merge: bool) -> dict[Key, tuple[Path, ...]]:
    masks: dict[Key, tuple[Path, ...]] = {}
    for path, key in sorted(keys.items(), key=lambda item: natural_order(item[0].as_posix())):
        masks[key] = (*masks.get(key, ()), path)
    for key, paths in masks.items():
        stems = {path.name.partition(".")[0] for path in paths}
        if len(paths) > 1 and len(stems) < len(paths) and not rule.several:
            raise ValueError(_one_name(paths[0], paths[1], key))
        require_one_mask(paths, f"case {key.case}", merge)
    return masks


def _require_partners(
    images: dict[Key, tuple[Path, ...]],
    masks: dict[Key, tuple[Path, ...]],
    rule: PathRule,
    seen: Listing,
    seen_masks: Listing,
) -> None:
    """Refuse images without masks, and masks without images."""
    used = {path for key in images.keys() & masks.keys() for path in (*images[key], *masks[key])}
    alone = sorted((rule.path_of(key) for key in images.keys() - masks.keys()), key=natural_order)
    if alone or not images:
        stems = [[found.stem for found in listing.images] for listing in (seen, seen_masks)]
        settings = "" if seen is seen_masks else pairing_settings(*stems)
        remedy = f": names pair with  {settings}" if settings else _ADD
        if not images:
            raise ValueError(
                f"no file in {seen.folder} is named as an image, such as {seen.images[0].relative}{remedy}"
            )
        near = did_you_mean(alone[0], (found.stem for found in seen_masks.images if found.path not in used))
        raise ValueError(f"masks missing in {seen_masks.folder}: {some(alone)}{near}{remedy}")
    alone = sorted((key.name for key in masks.keys() - images.keys()), key=natural_order)
    if alone:
        raise ValueError(
            f"images missing in {seen.folder} for the masks of {some(alone)}: add them, or set "
            "image_pattern and mask_pattern to what belongs together"
        )


def _one_name(first: Path, second: Path, key: Key) -> str:
    return f"{first} and {second} share the name {key.case!r}: rename or remove one of them"


def _left_out(taken: set[Path], images: set[Path], *listings: tuple[Listing, str]) -> dict[str, tuple[str, ...]]:
    """All that was seen and not taken, by reason; of one folder that was listed twice, an image has both reasons."""
    reasons: dict[str, list[str]] = {}
    for listing, why_not in listings:
        name = listing.folder.name
        for found in listing.images:
            if found.path not in taken:
                reason = "no mask" if found.path in images else why_not
                reasons.setdefault(f"{name}/{found.relative}", []).append(reason)
        for reason, paths in listing.rest.items():
            for path in paths:
                reasons[f"{name}/{path}"] = [reason]
    left: dict[str, list[str]] = {}
    for path, why in reasons.items():
        reason = ", ".join(dict.fromkeys(why))
        left.setdefault(reason, []).append(path)
    return {reason: tuple(paths) for reason, paths in left.items()}
