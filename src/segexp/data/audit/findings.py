"""What the audit finds by its rules on images; each looks at the measures of all cases.

A warning is worth a look and may be well so; what no training should start with is an error. The thresholds are chosen
so that data sets as people have them stay quiet: see docs/data.md for what each rule says of known ones.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from segexp.data.audit.measures import Measures, times
from segexp.errors import some

SCALES = 100  # fold of the median range of intensities
SPACINGS = 2  # fold, largest to smallest pixel


@dataclass(frozen=True)
class Finding:
    """Something about a data set that its owner should know.

    Attributes:
        level: "error" = no training; "warning" = look at it; "note" = good to know.
        rule: Rule that it breaks, in two or three words.
        sentence: Sentence that tells what, where, and what to do.
        cases: Names of the cases that it is about.
    """

    level: str
    rule: str
    sentence: str
    cases: tuple[str, ...] = ()


Rule = Iterator[Finding]  # a rule takes the measures of all cases, those on masks the names of the classes as well


def flagged(level: str, rule: str, cases: Sequence[Measures], seen: Sequence[Measures], what: str) -> Rule:
    """Find that some cases of all ``seen``, if any, are or have ``what``."""
    if cases:
        yield Finding(level, rule, f"{len(cases)} of {len(seen)} {what}", tuple(one.name for one in cases))


def equal_images(seen: Sequence[Measures]) -> Rule:
    """Equal images: in two splits, with different masks, or simply twice; constant images aside."""
    # Images by their hash; of equal ones each is reported under the gravest rule.
    groups = defaultdict(list)
    for one in seen:
        if one.low < one.high:
            groups[one.image_hash].append(one)
    equal = [group for group in groups.values() if len(group) > 1]
    leaking = [group for group in equal if len({one.split for one in group} - {""}) > 1]
    unlike = [group for group in equal if len({one.mask_hash for one in group}) > 1]
    harmless = [group for group in equal if group not in leaking and group not in unlike]
    if leaking:
        sentence = (
            f"equal images lie in two splits ({_pairs(leaking)}), scores on them would be worthless: "
            "remove all but one of each"
        )
        yield Finding("error", "equal images in two splits", sentence, _names(leaking))
    if unlike:
        sentence = f"equal images have different masks ({_pairs(unlike)}): keep the right one of each"
        yield Finding("warning", "contradicting masks", sentence, _names(unlike))
    if harmless:
        sentence = f"equal images with equal masks ({_pairs(harmless)}) count more than once: keep one of each"
        yield Finding("warning", "duplicates", sentence, _names(harmless))


def contents(seen: Sequence[Measures]) -> Rule:
    """Images of one value, gray ones in three equal channels, and those with transparency."""
    constant = [one for one in seen if one.low == one.high]
    yield from flagged("warning", "constant images", constant, seen, "images hold one value only: check their files")
    gray = [one for one in seen if one.gray]
    remedy = ": data.channels=1 is enough" if len(gray) == len(seen) else ""
    yield from flagged("note", "gray in color", gray, seen, f"images are gray, stored in three equal channels{remedy}")
    alpha = [one for one in seen if one.alpha]
    what = "images have an alpha channel (transparency), which is left out"
    yield from flagged("note", "alpha channels", alpha, seen, what)


def intensity_scales(seen: Sequence[Measures]) -> Rule:
    """Ranges of intensities far from the usual one: beyond SCALES-fold, up or down."""
    ranges = {one.name: one.high - one.low for one in seen if one.high > one.low}
    usual = float(np.median(list(ranges.values()))) if ranges else 0
    far = tuple(name for name, span in ranges.items() if not usual / SCALES <= span <= usual * SCALES)
    if far:
        widest, narrowest = max(ranges, key=ranges.__getitem__), min(ranges, key=ranges.__getitem__)
        sentence = (
            f"intensities span {ranges[narrowest]:g} in {narrowest} and {ranges[widest]:g} in {widest}, {usual:g} in "
            "the median: normalize each case by itself, data/intensity=zscore or percentile"
        )
        yield Finding("warning", "intensity scales", sentence, far)


def mixed_types(seen: Sequence[Measures]) -> Rule:
    """Images of more than one type."""
    types = Counter(one.dtype for one in seen)
    if len(types) > 1:
        usual = types.most_common(1)[0][0]
        shown = ", ".join(f"{name} in {count}" for name, count in types.most_common())
        sentence = f"images have different types ({shown}): check that their intensities mean the same"
        yield Finding("warning", "mixed types", sentence, tuple(one.name for one in seen if one.dtype != usual))


def pixel_sizes(seen: Sequence[Measures]) -> Rule:
    """Sizes of pixels that differ much between cases."""
    if len({len(one.spacing) for one in seen}) > 1:
        return
    sizes = np.array([one.spacing for one in seen])
    fold = sizes.max(axis=0) / sizes.min(axis=0)
    axis = int(fold.argmax())
    if fold[axis] > SPACINGS:
        ends = [seen[int(index)] for index in (sizes[:, axis].argmin(), sizes[:, axis].argmax())]
        shown = " and ".join(f"{times(one.spacing)} {one.unit} in {one.name}" for one in ends)
        remedy = "bring them to one size with data.geometry.spacing=median"
        sentence = f"pixels measure {shown}, {fold[axis]:.3g}-fold apart: {remedy}"
        yield Finding("warning", "pixel sizes", sentence, tuple(one.name for one in ends))


def sizes(seen: Sequence[Measures]) -> Rule:
    """Images of different sizes."""
    kinds = sorted({one.size for one in seen}, key=lambda size: float(np.prod(size)))
    if len(kinds) > 1:
        sentence = f"images have {len(kinds)} sizes, from {times(kinds[0])} to {times(kinds[-1])} pixels"
        yield Finding("note", "sizes", sentence)


def orientations(seen: Sequence[Measures]) -> Rule:
    """Volumes whose files run otherwise than to right, anterior, superior."""
    kinds = Counter(one.orientation for one in seen if one.orientation not in ("", "RAS"))
    if kinds:
        shown = ", ".join(f"{count} of {len(seen)} in {axes}" for axes, count in kinds.most_common())
        sentence = f"volumes lie {shown}; all were turned to RAS+ (right, anterior, superior)"
        yield Finding("note", "orientations", sentence, tuple(one.name for one in seen if one.orientation in kinds))


IMAGE_RULES = (equal_images, contents, intensity_scales, mixed_types, pixel_sizes, sizes, orientations)


def _names(groups: Iterable[Sequence[Measures]]) -> tuple[str, ...]:
    return tuple(one.name for group in groups for one in group)


def _pairs(groups: Iterable[Sequence[Measures]]) -> str:
    return some(" = ".join(f"{one.name} ({one.split})" if one.split else one.name for one in group) for group in groups)
