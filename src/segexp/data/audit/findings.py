"""What the audit finds by its rules on images; each looks at the measures of all cases.

A warning is worth a look and may be well so; what no training should start with is an error. The thresholds are chosen
so that data sets as people have them stay quiet: see docs/data.md for what each rule says of known ones.
"""

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from segexp.data.audit.measures import Measures
from segexp.errors import times

SCALES = 100  # fold of the median range of intensities
SPACINGS = 2  # fold, largest to smallest pixel
LARGEST_PATCH = 128  # pixels, of those that a remedy names
ANISOTROPY = 3  # fold, longest to shortest side of a pixel
PLAIN = re.compile(
    r"(?!(?:true|false|null|nan|inf)$)[A-Za-z_][\w.-]*", re.IGNORECASE
)  # a name that needs no quotes in an override


@dataclass(frozen=True)
class Finding:
    """Something about a data set that its owner should know.

    Attributes:
        level: "error" = no training; "warning" = look at it; "note" = good to know.
        rule: Rule that it breaks, in two or three words.
        sentence: Sentence that tells what, where, and what to do.
        cases: Names of the cases that it is about.
        remedy: Overrides that answer it, to be pasted; "" where none does.
    """

    level: str
    rule: str
    sentence: str
    cases: tuple[str, ...] = ()
    remedy: str = ""


Rule = Iterator[Finding]  # a rule takes the measures of all cases, those on masks the names of the classes as well


def flagged(
    level: str, rule: str, cases: Sequence[Measures], seen: Sequence[Measures], what: str, remedy: str | None = ""
) -> Rule:
    """Find that some cases of all ``seen``, if any, are or have ``what``; a remedy of None leaves them out."""
    if cases:
        names = tuple(one.name for one in cases)
        remedy = excluding(names, len(seen)) if remedy is None else remedy
        yield Finding(level, rule, f"{len(cases)} of {len(seen)} {what}", names, remedy)


def excluding(names: Iterable[str], count: int) -> str:
    """Override that leaves cases out, in quotes of a shell where a name needs them; "" for more than half of ``count``.

    Args:
        names: Names of the cases.
        count: Number of all cases.
    """
    words = [name if PLAIN.fullmatch(name) else _quoted(name) for name in names]
    if 2 * len(words) > count:
        return ""
    override = f"data.split.exclude=[{','.join(words)}]"
    return override if all(map(PLAIN.fullmatch, words)) else shlex.quote(override)


def _quoted(name: str) -> str:
    """Write a name in quotes of Hydra, which take a backslash before a quote, and before backslashes there, alone."""
    escaped = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + ("\\'" if found[2] else ""), name)
    return f"'{escaped}'"


def contents(seen: Sequence[Measures]) -> Rule:
    """Images of one value, gray ones in three equal channels, and those with transparency."""
    constant = [one for one in seen if one.low == one.high]
    what = "images hold one value only: check their files"
    yield from flagged("warning", "constant images", constant, seen, what, remedy=None)
    gray = [one for one in seen if one.gray]
    remedy = "data.channels=1" if len(gray) == len(seen) else ""
    more = f": {remedy} is enough" if remedy else ""
    what = f"images are gray, stored in three equal channels{more}"
    yield from flagged("note", "gray in color", gray, seen, what, remedy)


def hot_pixels(seen: Sequence[Measures]) -> Rule:
    """Images whose range is made by single pixels, as defects of a detector make it."""
    hot = [one for one in seen if (one.low, one.high) != (one.usual_low, one.usual_high)]
    if hot:
        one = max(hot, key=lambda one: one.high - one.low)
        what = (
            f"images have a range that single pixels make, such as {one.low:g} to {one.high:g} in {one.name}, where "
            f"all others lie within {one.usual_low:g} to {one.usual_high:g}: they are clipped there; repair the files "
            "where you can"
        )
        yield from flagged("warning", "hot pixels", hot, seen, what, "data/intensity=percentile")


def intensity_scales(seen: Sequence[Measures]) -> Rule:
    """Ranges of intensities far from the usual one: beyond SCALES-fold, up or down."""
    ranges = {one.name: one.usual_high - one.usual_low for one in seen if one.high > one.low}
    usual = float(np.median(list(ranges.values()))) if ranges else 0
    far = tuple(name for name, span in ranges.items() if not usual / SCALES <= span <= usual * SCALES)
    if far:
        widest, narrowest = max(ranges, key=ranges.__getitem__), min(ranges, key=ranges.__getitem__)
        sentence = (
            f"intensities span {ranges[narrowest]:g} in {narrowest} and {ranges[widest]:g} in {widest}, {usual:g} in "
            "the median: normalize each case by itself, data/intensity=zscore or percentile"
        )
        yield Finding("warning", "intensity scales", sentence, far, "data/intensity=percentile")


def mixed_types(seen: Sequence[Measures]) -> Rule:
    """Images of more than one type."""
    types = Counter(one.dtype for one in seen)
    if len(types) > 1:
        usual = types.most_common(1)[0][0]
        shown = ", ".join(f"{name} in {count}" for name, count in types.most_common())
        sentence = f"images have different types ({shown}): check that their intensities mean the same"
        others = tuple(one.name for one in seen if one.dtype != usual)
        yield Finding("warning", "mixed types", sentence, others, "data/intensity=percentile")


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
        names = tuple(one.name for one in ends)
        yield Finding("warning", "pixel sizes", sentence, names, "data.geometry.spacing=median")


def anisotropy(seen: Sequence[Measures]) -> Rule:
    """Pixels much longer along one axis than along another, for a network that takes all axes alike."""
    long = [one for one in seen if max(one.spacing) > ANISOTROPY * min(one.spacing)]
    if not long:
        return
    one = max(long, key=lambda one: max(one.spacing) / min(one.spacing))
    fold, axis = max(one.spacing) / min(one.spacing), int(np.argmax(one.spacing))
    what = (
        f"cases have pixels up to {fold:.3g} times longer along one axis than along another, such as {one.name} with "
    )
    what += f"{times(one.spacing)} {one.unit}"
    if len(one.spacing) == 3:
        what += ": take slices across the long axis, or resample with data.geometry.spacing"
        planes = [side for one in seen for place, side in enumerate(one.size) if place != axis]
        side = min(LARGEST_PATCH, max(16, min(planes) // 16 * 16))
        remedy = (
            f"data.geometry.spatial_dims=2 data.geometry.slice_axis={axis} data.sampling.patch_size=[{side},{side}]"
        )
        yield from flagged("warning", "anisotropy", long, seen, what, remedy)
    else:
        what += ": resample with data.geometry.spacing"
        remedy = f"data.geometry.spacing=[{min(one.spacing):g},{min(one.spacing):g}]"
        yield from flagged("warning", "oblong pixels", long, seen, what, remedy)


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


IMAGE_RULES = (contents, hot_pixels, intensity_scales, mixed_types, pixel_sizes, anisotropy, sizes, orientations)
