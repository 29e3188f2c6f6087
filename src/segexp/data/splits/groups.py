"""Random parts of the cases that keep groups whole and kinds in proportion.

Lots are SHA-256 of seed and name instead of a generator's numbers: the same on every platform and in every version of
Python and NumPy, and one more case does not reshuffle the others.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

from segexp.data.case import Entry


def drawn(entries: Sequence[Entry], fraction: float, seed: int) -> set[str]:
    """Draw whole groups with about ``fraction`` of the cases: their names.

    What one group brings too much or too little counts for the next (error diffusion, one kind after the other): the
    whole misses its fraction by at most half of the largest group, each kind by at most the largest group.

    A fraction of 0 draws none, any other at least one group: the smallest, where all are too large for it.
    """
    owed = 0.0  # cases
    taken = []
    groups = _grouped(entries, seed)
    for group in groups:
        owed += fraction * len(group)
        if owed >= len(group) / 2:
            owed -= len(group)
            taken.append(group)
    return _names(taken or sorted(groups, key=len)[:1]) if fraction else set()


def distributed(entries: Sequence[Entry], folds: int, seed: int) -> list[set[str]]:
    """Distribute the groups: names of the cases of each fold; every case is in one.

    Each group goes to the fold with the fewest cases of its kind, then with the fewest of all, so that two folds differ
    by at most the largest group in the cases of a kind.
    """
    parts: list[set[str]] = [set() for _ in range(folds)]
    count: Counter[tuple[int, str]] = Counter()
    for group in _grouped(entries, seed):
        kind = _kind(group)
        fold = min(range(folds), key=lambda fold: (count[fold, kind], len(parts[fold])))
        parts[fold] |= _names([group])
        count[fold, kind] += len(group)
    return parts


def thinned(entries: Sequence[Entry], fraction: float, seed: int) -> set[str]:
    """Names of about ``fraction`` of the cases, at least one group; a larger fraction has those of a smaller one."""
    groups = _grouped(entries, seed)
    total: Counter[str] = Counter()
    for group in groups:
        total[_kind(group)] += len(group)
    # Merged by the fraction of its kind that comes before a group's middle, the first groups, however many, hold the
    # kinds in about the proportion of the whole.
    seen: Counter[str] = Counter()
    place = []
    for group in groups:
        seen[_kind(group)] += len(group)
        place.append((seen[_kind(group)] - len(group) / 2) / total[_kind(group)])
    groups = [groups[i] for i in sorted(range(len(groups)), key=place.__getitem__)]
    ends = list(accumulate(len(group) for group in groups))
    near = [end - len(group) / 2 <= fraction * len(entries) for group, end in zip(groups, ends, strict=True)]
    count = [*near, False].index(False)
    return _names(groups[: max(1, count)])  # a beginning of one order, so that fractions are nested


def group_count(entries: Sequence[Entry]) -> int:
    """Count the groups; a case without one is its own."""
    return len({_label(entry) for entry in entries})


def _grouped(entries: Sequence[Entry], seed: int) -> list[list[Entry]]:
    """Gather the groups, one kind after the other; kinds, and groups within them, in the order of their lots."""
    groups: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.name):
        groups.setdefault(_label(entry), []).append(entry)
    return sorted(groups.values(), key=lambda group: (_lot(seed, _kind(group)), _lot(seed, _label(group[0]))))


def _kind(group: Sequence[Entry]) -> str:
    """Name the kind of a group; one that holds several strata is of a kind of its own."""
    return json.dumps(sorted({entry.stratum for entry in group}))


def _label(entry: Entry) -> str:
    return f"group {entry.group}" if entry.group else f"case {entry.name}"


def _lot(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed} {name}".encode()).hexdigest()


def _names(groups: Sequence[Sequence[Entry]]) -> set[str]:
    return {entry.name for group in groups for entry in group}
