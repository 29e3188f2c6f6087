"""The rules of the audit on cases that are alike: equal images, near duplicates, one mask for two images.

Near duplicates are found by a small perceptual hash: the local means of an image in 16 x 16 fields, less the mean of
all cases (photographs of one kind are alike as such), scaled to length 1. Copies in another size, JPEG quality,
brightness or contrast correlate by 0.96 and more, also mirrored and turned by quarters; the two most alike of 426
different images of known data sets, two frames of one polyp, by 0.93.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from segexp.data.audit.findings import Finding, Rule, excluding
from segexp.data.audit.measures import THUMBNAIL, Measures
from segexp.errors import some

ALIKE = 0.95  # correlation of the hashes of near duplicates
FEWEST = 4  # cases, of which a mean can be taken off
PIECE = 1000  # cases that are compared at a time
NEIGHBORS = 3  # steps in the number of a slice within which it is a neighbor
Group = Sequence[Measures]


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
        yield Finding(
            "error", "equal images in two splits", sentence, _names(leaking), _all_but_one(leaking, len(seen))
        )
    if unlike:
        sentence = f"equal images have different masks ({_pairs(unlike)}): keep the right one of each"
        yield Finding("warning", "contradicting masks", sentence, _names(unlike), _all_but_one(unlike, len(seen)))
    if harmless:
        sentence = f"equal images with equal masks ({_pairs(harmless)}) count more than once: keep one of each"
        yield Finding("warning", "duplicates", sentence, _names(harmless), _all_but_one(harmless, len(seen)))


def near_duplicates(seen: Sequence[Measures]) -> Rule:
    """Images in two splits that are nearly equal; neighboring slices of a series apart."""
    pairs = list(_alike([one for one in seen if one.split and one.low < one.high]))
    neighbors = [pair for pair in pairs if _are_neighbors(*pair)]
    others = [pair for pair in pairs if not _are_neighbors(*pair)]
    if others:
        sentence = (
            f"images in two splits are nearly equal ({_pairs(others, ' ~ ')}), mirrored or turned maybe: if they are "
            "copies, remove all but one of each"
        )
        remedy = excluding(dict.fromkeys(second.name for _, second in others), len(seen))
        yield Finding("warning", "near duplicates in two splits", sentence, _names(others), remedy)
    if neighbors:
        sentence = (
            f"neighboring slices lie in two splits and are nearly equal ({_pairs(neighbors, ' ~ ')}): keep those of a "
            "patient together, with a group in a manifest, or at least in blocks"
        )
        remedy = "data.split.method=contiguous"
        yield Finding("warning", "neighbors in two splits", sentence, _names(neighbors), remedy)


def shared_masks(seen: Sequence[Measures]) -> Rule:
    """Masks of foreground and background that are equal for images that are not."""
    groups = defaultdict(list)
    for one in seen:
        if one.labeled and 0 < one.foreground_fraction < 1:
            groups[one.mask_hash].append(one)
    shared = [group for group in groups.values() if len({one.image_hash for one in group}) > 1]
    if shared:
        sentence = f"different images have one mask ({_pairs(shared)}): give each its own, or leave out what is wrong"
        yield Finding("warning", "shared masks", sentence, _names(shared), _all_but_one(shared, len(seen)))


DUPLICATE_RULES = (equal_images, near_duplicates, shared_masks)


def _alike(seen: Sequence[Measures]) -> Iterator[tuple[Measures, Measures]]:
    """Pairs of two splits with nearly equal thumbnails, equal images and cases of one group aside; training first."""
    if len(seen) < FEWEST:
        return
    grids = _unit(np.stack([one.thumbnail for one in seen]))
    usual = grids.mean(0)
    hashes = _unit(grids - usual)
    training = np.array([one.split == "train" for one in seen])
    chosen = [index for index in range(len(seen)) if not training[index]]
    for first in range(0, len(chosen), PIECE):
        rows = chosen[first : first + PIECE]
        squares = grids[rows].reshape(-1, THUMBNAIL, THUMBNAIL)
        turns = [np.rot90(kind, turn, (1, 2)) for kind in (squares, squares[:, :, ::-1]) for turn in range(4)]
        likeness = np.max([_unit(view.reshape(len(rows), -1) - usual) @ hashes.T for view in turns], axis=0)
        for row, column in np.argwhere(likeness >= ALIKE):
            one, other = seen[column], seen[rows[row]]
            once = one.split == "train" or (one.split, other.split) == ("val", "test")
            if once and one.image_hash != other.image_hash and not (one.group and one.group == other.group):
                yield one, other


def _unit(grids: np.ndarray) -> np.ndarray:
    """Subtract the mean of each row (n, 256), and scale it to length 1."""
    centered = grids - grids.mean(1, keepdims=True)
    return centered / np.maximum(np.linalg.norm(centered, axis=1, keepdims=True), 1e-12)


def _are_neighbors(one: Measures, other: Measures) -> bool:
    """Whether names differ in one number alone, by a few steps, as those of slices do."""
    words = [re.split(r"([0-9]+)", name) for name in (one.name, other.name)]
    if len(words[0]) != len(words[1]):
        return False
    differing = [(a, b) for a, b in zip(*words, strict=True) if a != b]
    return len(differing) == 1 and all(map(str.isdigit, differing[0])) and _steps(*differing[0]) <= NEIGHBORS


def _steps(one: str, other: str) -> int:
    return abs(int(one) - int(other))


def _all_but_one(groups: Iterable[Group], count: int) -> str:
    return excluding([one.name for group in groups for one in group[1:]], count)


def _names(groups: Iterable[Group]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.name for group in groups for one in group))


def _pairs(groups: Iterable[Group], sign: str = " = ") -> str:
    return some(sign.join(f"{one.name} ({one.split})" if one.split else one.name for one in group) for group in groups)
