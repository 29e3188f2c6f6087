"""The rules of the audit on how files store their pixels, and on what a source saw and did not take."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from segexp.data.audit.findings import Finding, Rule, flagged
from segexp.data.audit.measures import Measures
from segexp.errors import some


def orientation_tags(seen: Sequence[Measures]) -> Rule:
    """Images that note an orientation, and those whose mask notes another one."""
    noted = [one for one in seen if "orientation" in one.image_stored]
    unlike = [one for one in seen if one.mask_stored and _turn(one.image_stored) != _turn(one.mask_stored)]
    what = (
        "images note an orientation (EXIF, or TIFF's tag) that their masks do not, or the other way round; each was "
        "turned as it notes: look in audit.html whether the masks lie on the images"
    )
    yield from flagged("warning", "orientation tags", unlike, seen, what, remedy=None)
    quiet = [one for one in noted if _turn(one.image_stored) == _turn(one.mask_stored)]
    what = "images note an orientation (EXIF, or TIFF's tag), as their masks do; they were turned upright"
    yield from flagged("note", "turned images", quiet, seen, what)


def photometric(seen: Sequence[Measures]) -> Rule:
    """Images that store white as 0, or colors in another space, while others do not."""
    inverted = [one for one in seen if one.image_stored.get("white_is_zero")]
    if len(inverted) < len(seen):
        what = "images store white as 0, unlike the others; they were turned round: look whether they are alike now"
        yield from flagged("warning", "mixed photometric meaning", inverted, seen, what, remedy=None)
    else:
        yield from flagged("note", "white is zero", inverted, seen, "images store white as 0; they were turned round")
    spaces = Counter(one.image_stored.get("color", "") for one in seen)
    if len(spaces) > 1:
        rare = [one for one in seen if one.image_stored.get("color", "") != spaces.most_common(1)[0][0]]
        shown = ", ".join(f"{name or 'RGB or gray'} in {count}" for name, count in spaces.most_common())
        what = f"images store colors in another space than most ({shown}); all were turned to RGB"
        yield from flagged("warning", "mixed color spaces", rare, seen, what, remedy=None)


def palettes(seen: Sequence[Measures]) -> Rule:
    """Masks with palettes in which one index has two colors, so that it may mean two classes."""
    colors: dict[int, dict[str, list[Measures]]] = defaultdict(lambda: defaultdict(list))
    for one in seen:
        palette = one.mask_stored.get("palette", [])
        for index in one.mask_values:
            if 0 <= index < len(palette):
                colors[index][palette[index]].append(one)
    for index, kinds in sorted(colors.items()):
        if len(kinds) > 1:
            ranked = sorted(kinds.items(), key=lambda kind: -len(kind[1]))
            shown = ", ".join(f"{color} in {len(masks)}" for color, masks in ranked)
            rare = [one for _, masks in ranked[1:] for one in masks]
            what = (
                f"masks have another color than most at index {index} of their palettes ({shown}): one index is one "
                "class, whatever its color; check that the order of the colors is the same"
            )
            yield from flagged("warning", "palettes", rare, seen, what, remedy=None)
            return  # the other indices tell the same


def parts_of_files(seen: Sequence[Measures]) -> Rule:
    """Files that hold more than was read."""
    kinds: dict[str, list[Measures]] = defaultdict(list)
    for one in seen:
        for part in one.image_stored.get("left_out", []):
            kinds[part].append(one)
    alpha = kinds.pop("alpha", [])
    what = "images have an alpha channel (transparency), which is left out"
    yield from flagged("note", "alpha channels", alpha, seen, what)
    for part, cases in kinds.items():
        yield from flagged("note", "parts of files", cases, seen, f"images hold beside what was read: {part}")


FILE_RULES = (orientation_tags, photometric, palettes, parts_of_files)


def not_taken(left_out: Mapping[str, Sequence[str]]) -> Rule:
    """What the source saw in its folders and did not take, by reason."""
    if left_out:
        kinds = "; ".join(f"{len(paths)} {reason} ({some(paths, 3)})" for reason, paths in left_out.items())
        yield Finding("note", "not taken", f"the source saw, and did not take: {kinds}")


def _turn(stored: Mapping[str, object]) -> object:
    return stored.get("orientation", 1)
