"""The rules of the audit on masks; each looks at the measures of all cases."""

from collections.abc import Sequence

import numpy as np

from segexp.data.audit.findings import Finding, Rule
from segexp.data.audit.measures import Measures
from segexp.data.files.mask_values import some

RARE = 0.01  # share of foreground below which random patches seldom show it
MAJORITY = 0.5  # share of foreground above which two classes may be swapped


def one_class(seen: Sequence[Measures], class_names: Sequence[str]) -> Rule:
    """Masks without foreground, without background, or without any class."""
    masked = [one for one in seen if one.counts]
    kinds = (
        ("unlabeled masks", "no labeled pixel at all", [one for one in masked if not one.labeled]),
        ("empty masks", "no foreground", [one for one in masked if one.labeled and not one.share]),
        ("full masks", f"nothing but {some(class_names[1:])}", [one for one in masked if one.share == 1]),
    )
    for rule, what, found in kinds:
        if found:
            names = tuple(one.name for one in found)
            said = f"{len(found)} of {len(seen)} masks have {what}: check that this is meant"
            yield Finding("warning", rule, said, names)


def missing_classes(seen: Sequence[Measures], class_names: Sequence[str]) -> Rule:
    """Classes that no training case has."""
    split = any(one.split for one in seen)
    training = [one for one in seen if one.counts and (one.split == "train" or not split)]
    for label, name in enumerate(class_names):
        if any(one.counts[label] for one in training) or not training:
            continue
        elsewhere = tuple(one.name for one in seen if one.split and one.counts and one.counts[label])
        remedy = (
            f"but {some(elsewhere)} have it: change data.split so that training sees it"
            if elsewhere
            else "nor any other: check the values of the masks, or take it out of data.labels.class_names"
        )
        said = f"no training case has {name} (class {label}), {remedy}"
        yield Finding("warning", "classes not in training", said, elsewhere)


def class_imbalance(seen: Sequence[Measures], class_names: Sequence[str]) -> Rule:  # noqa: ARG001
    """Little foreground, all cases together."""
    share = _foreground(seen)
    if 0 < share < RARE:
        said = (
            f"foreground makes {share:.2%} of the labeled pixels, patches seldom show it: "
            "data.sampling.foreground_fraction=0.5 centers half of them on it"
        )
        yield Finding("warning", "class imbalance", said)


def swapped_classes(seen: Sequence[Measures], class_names: Sequence[str]) -> Rule:
    """More foreground than background, in all cases together or in a few that stand out."""
    if len(class_names) != 2:
        return
    shares = {one.name: one.share for one in seen if one.labeled}
    most = tuple(name for name, share in shares.items() if share > MAJORITY)
    usual = float(np.median(list(shares.values()))) if shares else 0
    if _foreground(seen) > MAJORITY:
        said = (
            f"{class_names[1]} makes {_foreground(seen):.1%} of the labeled pixels: if background and foreground are "
            "swapped, swap the classes in data.source.values"
        )
        yield Finding("warning", "swapped classes", said, most)
    elif most and usual < MAJORITY / 5:
        said = (
            f"{len(most)} of {len(seen)} masks have more {class_names[1]} than {class_names[0]}, but the median case "
            f"{usual:.1%}: check that black and white are not swapped in them"
        )
        yield Finding("warning", "swapped classes", said, most)


def blurred_masks(seen: Sequence[Measures], class_names: Sequence[str]) -> Rule:  # noqa: ARG001
    """Masks with values beside the usual ones, as JPEG leaves them."""
    blurred = [one for one in seen if _blur(one)]
    if blurred:
        names = tuple(one.name for one in blurred)
        count = max(len(one.mask_values) for one in blurred)
        said = (
            f"{len(blurred)} of {len(seen)} masks hold up to {count} values close to those of their classes, as JPEG "
            "leaves them, each was taken as the nearest: save masks as PNG where you can"
        )
        yield Finding("warning", "blurred masks", said, names)


def polarity(seen: Sequence[Measures], class_names: Sequence[str]) -> Rule:
    """Two classes whose foreground is the darker value of the mask files."""
    if len(class_names) == 2 and all(_is_dark(one) for one in seen):
        low, high = min(seen[0].mask_values), max(seen[0].mask_values)
        said = f"foreground is dark in the mask files: {low} is {class_names[1]}, {high} is {class_names[0]}"
        yield Finding("note", "polarity", said)


MASK_RULES = (one_class, missing_classes, class_imbalance, swapped_classes, blurred_masks, polarity)


def _foreground(seen: Sequence[Measures]) -> float:
    labeled = sum(one.labeled for one in seen)
    return 1 - sum(one.counts[0] for one in seen if one.counts) / labeled if labeled else 0.0


def _blur(one: Measures) -> bool:
    """Whether the values of a mask crowd around as many values as it has classes, far from each other."""
    values = np.array(sorted(one.mask_values))
    kinds = sum(count > 0 for count in one.counts) + (one.labeled < np.prod(one.size))
    if kinds < 2 or len(values) <= kinds:
        return False
    gaps = np.diff(values)
    widest = np.sort(np.argsort(gaps, kind="stable")[1 - kinds :])
    crowds = np.split(values, widest + 1)
    return bool(2 * max(crowd[-1] - crowd[0] for crowd in crowds) <= gaps[widest].min())


def _is_dark(one: Measures) -> bool:
    """Whether the pixels of class 1 are those of the lower of two values in the mask file."""
    if len(one.mask_values) != 2:
        return False
    low, high = sorted(one.mask_values)
    return one.counts == (one.mask_values[high], one.mask_values[low]) and one.counts[0] != one.counts[1]
