"""Which settings would pair images and masks whose names differ: for messages."""

import re
from collections.abc import Collection
from itertools import takewhile


def pairing_settings(images: Collection[str], masks: Collection[str]) -> str:
    """Find what the stems of all images, and those of all masks, have in common beside the names of the cases.

    Args:
        images: Stems of the images, at least two.
        masks: Stems of the masks.

    Returns:
        Settings for the command line with which at least half of the images have a mask; empty if none were found.
    """
    parts = common_parts(images, masks)
    if parts is None:
        return ""
    (before, after), (mask_before, mask_after) = parts
    if before or mask_before:
        patterns = {"image_pattern": f"{before}{{name}}{after}", "mask_pattern": f"{mask_before}{{name}}{mask_after}"}
        return " ".join(f"""'data.source.{key}="{pattern}"'""" for key, pattern in patterns.items())
    suffixes = {"image_suffix": after, "mask_suffix": mask_after}
    return " ".join(f"data.source.{key}={suffix}" for key, suffix in suffixes.items() if suffix)


def common_parts(images: Collection[str], masks: Collection[str]) -> tuple[tuple[str, str], tuple[str, str]] | None:
    """What stands before and after the names of the cases in the stems of all images, and in those of all masks.

    Returns:
        The two of the images and the two of the masks; None where at least half of the images have no mask by them.
    """
    if len(images) < 2 or len(masks) < 2:
        return None
    before, after = _start(images), _end(images)
    mask_before, mask_after = _start(masks), _end(masks)
    if before == mask_before:
        before = mask_before = ""
    if after == mask_after:
        after = mask_after = ""
    names = {stem.removeprefix(before).removesuffix(after) for stem in images}
    mask_names = {stem.removeprefix(mask_before).removesuffix(mask_after) for stem in masks}
    same = (before, after) == (mask_before, mask_after)
    if same or len(names & mask_names) * 2 < len(images):
        return None
    return (before, after), (mask_before, mask_after)


def _start(stems: Collection[str]) -> str:
    """Common start, up to a boundary between words: the digits of a number stay together."""
    pairs = zip(min(stems), max(stems), strict=False)  # what the first and the last in order share, all do
    common = "".join(first for first, last in takewhile(lambda pair: pair[0] == pair[1], pairs)).rstrip("0123456789")
    if all(stem[len(common) : len(common) + 1].isdigit() for stem in stems):
        return common
    return re.sub(r"[^\W_]+$", "", common)


def _end(stems: Collection[str]) -> str:
    """Common end, likewise."""
    return _start([stem[::-1] for stem in stems])[::-1]
