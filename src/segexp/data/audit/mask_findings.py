"""The rules of the audit on masks; each looks at the measures of all cases."""

from collections.abc import Sequence

import numpy as np

from segexp.data.audit.findings import Finding, Rule, flagged
from segexp.data.audit.measures import STRIDE, Measures
from segexp.errors import some

RARE = 0.01  # fraction of foreground below which random patches seldom show it
DRAWN = "data.split.method=random"
MANY = 10  # values of a mask, from which on they may be numbers of objects
MAJORITY = 0.5  # fraction of foreground above which two classes may be swapped


def one_class(seen: Sequence[Measures], class_names: Sequence[str]) -> Rule:
    """Masks without foreground, without background, or without any class."""
    masked = [one for one in seen if one.counts]
    kinds = (
        ("unlabeled masks", "no labeled pixel at all", [one for one in masked if not one.labeled]),
        ("empty masks", "no foreground", [one for one in masked if one.labeled and not one.foreground_fraction]),
        ("full masks", f"nothing but {some(class_names[1:])}", [one for one in masked if one.foreground_fraction == 1]),
    )
    for rule, what, masks in kinds:
        yield from flagged("warning", rule, masks, seen, f"masks have {what}: check that this is meant", remedy=None)


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
        sentence = f"no training case has {name} (class {label}), {remedy}"
        yield Finding("warning", "classes not in training", sentence, elsewhere, DRAWN if elsewhere else "")


def classes_not_scored(seen: Sequence[Measures], class_names: Sequence[str]) -> Rule:
    """Classes of the training that no validation, or no test case has."""
    trained = [one for one in seen if one.counts and one.split == "train"]
    for split, lack in (("val", "epochs are chosen without it"), ("test", "it is not scored")):
        scored = [one for one in seen if one.counts and one.split == split]
        missing = [
            f"{name} (class {label})"
            for label, name in enumerate(class_names)
            if scored and not any(one.counts[label] for one in scored) and any(one.counts[label] for one in trained)
        ]
        if missing:
            sentence = f"no {split} case has {some(missing)}: {lack}; draw the split anew, or make it larger"
            yield Finding("warning", f"classes not in {split}", sentence, (), DRAWN)


def thin_foreground(seen: Sequence[Measures], class_names: Sequence[str]) -> Rule:
    """Classes that are nowhere as thick as the first stride of a network, in most cases that have them."""
    for label, name in enumerate(class_names):
        having = [one for one in seen if label and one.counts and one.counts[label]]
        thin = [one for one in having if label in one.thin]
        if 2 * len(thin) > len(having):
            sentence = (
                f"{name} (class {label}) is nowhere {STRIDE} pixels thick in {len(thin)} of {len(having)} cases that "
                f"have it: the first down-sampling of a network, by {STRIDE}, loses it; make pixels smaller, or draw "
                "it thicker"
            )
            finer = ",".join(f"{side / STRIDE:g}" for side in np.median([one.spacing for one in thin], axis=0))
            names = tuple(one.name for one in thin)
            yield Finding("warning", "thin foreground", sentence, names, f"data.geometry.spacing=[{finer}]")


def class_imbalance(seen: Sequence[Measures], class_names: Sequence[str]) -> Rule:  # noqa: ARG001
    """Little foreground, all cases together."""
    fraction = _foreground(seen)
    if 0 < fraction < RARE:
        sentence = (
            f"foreground makes {fraction:.2%} of the labeled pixels, patches seldom show it: "
            "data.sampling.foreground_fraction=0.5 centers half of them on it"
        )
        yield Finding("warning", "class imbalance", sentence, (), "data.sampling.foreground_fraction=0.5")


def swapped_classes(seen: Sequence[Measures], class_names: Sequence[str]) -> Rule:
    """More foreground than background, in all cases together or in a few that stand out."""
    if len(class_names) != 2:
        return
    labeled = [one for one in seen if one.labeled]
    most = [one for one in labeled if one.foreground_fraction > MAJORITY]
    usual = float(np.median([one.foreground_fraction for one in labeled])) if labeled else 0
    if _foreground(seen) > MAJORITY:
        sentence = (
            f"{class_names[1]} makes {_foreground(seen):.1%} of the labeled pixels: if background and foreground are "
            "swapped, swap the classes in data.source.values"
        )
        yield Finding("warning", "swapped classes", sentence, tuple(one.name for one in most), _swapped(most))
    elif usual < MAJORITY / 5:
        what = (
            f"masks have more {class_names[1]} than {class_names[0]}, but the median case {usual:.1%}: check that "
            "black and white are not swapped in them"
        )
        yield from flagged("warning", "swapped classes", most, seen, what, remedy=None)


def blurred_masks(seen: Sequence[Measures], class_names: Sequence[str]) -> Rule:  # noqa: ARG001
    """Masks with values beside the usual ones, as JPEG leaves them."""
    blurred = [one for one in seen if not one.objects and _blur(one)]
    count = max((len(one.mask_values) for one in blurred), default=0)
    what = (
        f"masks hold up to {count} values close to those of their classes, as JPEG leaves them, each was taken as the "
        "nearest: save masks as PNG where you can"
    )
    yield from flagged("warning", "blurred masks", blurred, seen, what)


def touching_objects(seen: Sequence[Measures], class_names: Sequence[str]) -> Rule:  # noqa: ARG001
    """Numbered objects that connected components would join."""
    touching = [one for one in seen if one.touching]
    if touching:
        objects, count = sum(one.objects for one in seen), sum(one.touching for one in seen)
        sentence = (
            f"{count / objects:.0%} of the objects ({count} of {objects}) touch another: connected components would "
            f"count {sum(one.components for one in seen)}; scores keep true ones apart by their numbers, "
            "and predicted ones come apart by a watershed (segexp evaluate tune=true), or by a class between them, "
            "data.source.border_width=1"
        )
        yield Finding("note", "touching objects", sentence, tuple(one.name for one in touching))


def numbered_masks(seen: Sequence[Measures], class_names: Sequence[str]) -> Rule:
    """Masks whose values look like numbers of objects, and were taken for classes alone."""
    masked = [one for one in seen if one.mask_values and not one.objects]
    counts = {len(one.mask_values) for one in masked}
    most = max(counts, default=0)
    if most < max(MANY, len(class_names) + 1) or len(counts) == 1:
        return
    # Numbers run on without a gap, up to another one in each mask.
    if all(max(one.mask_values) - min(one.mask_values) + 1 == len(one.mask_values) for one in masked):
        sentence = (
            f"masks have up to {most} values without a gap, another number of them in each: if these are numbers of "
            "objects, such as nuclei, data.source.instances=true keeps touching ones apart in scores"
        )
        yield Finding("note", "numbered masks", sentence, (), "data.source.instances=true")


def polarity(seen: Sequence[Measures], class_names: Sequence[str]) -> Rule:
    """Two classes whose foreground is the darker value of the mask files."""
    if len(class_names) == 2 and all(_is_dark(one) for one in seen):
        low, high = sorted(seen[0].mask_values)
        sentence = f"foreground is dark in the mask files: {low} is {class_names[1]}, {high} is {class_names[0]}"
        yield Finding("note", "polarity", sentence)


MASK_RULES = (
    one_class,
    missing_classes,
    classes_not_scored,
    thin_foreground,
    class_imbalance,
    swapped_classes,
    blurred_masks,
    touching_objects,
    numbered_masks,
    polarity,
)


def _foreground(seen: Sequence[Measures]) -> float:
    labeled = sum(one.labeled for one in seen)
    return 1 - sum(one.counts[0] for one in seen if one.counts) / labeled if labeled else 0.0


def _swapped(masks: Sequence[Measures]) -> str:
    """Values of the masks with the two classes swapped, where they have two."""
    values = sorted({value for one in masks for value in one.mask_values})
    return f"'data.source.values={{{values[0]}: 1, {values[1]}: 0}}'" if len(values) == 2 else ""


def _blur(one: Measures) -> bool:
    """Whether the values of a mask crowd around as many values as it has classes, far from each other."""
    values = np.array(sorted(one.mask_values))
    kinds = sum(count > 0 for count in one.counts) + (one.labeled < np.prod(one.size))
    if kinds < 2 or len(values) <= kinds:
        return False
    # The widest gaps part the crowds, one around each class; a crowd is narrower than the gaps between crowds.
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
