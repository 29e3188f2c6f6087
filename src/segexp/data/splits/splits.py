"""Which cases train, which choose (epoch, threshold), which are scored.

The default is contiguous in the source's order: neighbouring slices of a stack are nearly equal, and a random split
would let the test set leak into training. No method puts the cases of one group (patient) on two sides.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from segexp.data.case import Entry
from segexp.data.files.images import some
from segexp.data.splits.groups import dealt, drawn, group_count, thinned
from segexp.data.splits.lists import SIDES, Lists, read_lists
from segexp.errors import require_at_least, require_between, require_choice


@dataclass(frozen=True)
class Split:
    """Names of the cases on the three sides; ``test`` may be empty."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        sides = Counter([*self.train, *self.val, *self.test])
        twice = sorted(name for name, times in sides.items() if times > 1)
        if twice:
            raise ValueError(
                f"cases {some(twice)} stand on two sides of the split: data.split.val and .test must not overlap"
            )
        for side in ("train", "val"):
            if not getattr(self, side):
                raise ValueError(f"the split of {len(sides)} cases leaves none for {side}: change data.split")


@dataclass(frozen=True)
class SplitSettings:
    """How cases are split.

    The methods:

    - contiguous: blocks in the source's order, test at the end, val right before it; a fold tests one of ``folds``
      blocks. ``val`` and ``test`` are fractions of all cases, or positions such as "20-23" or "3,7-9".
    - random: fractions of all cases, whole groups drawn by ``seed``; each stratum misses its fraction by at most its
      largest group, the test cases together by half of the largest. A fold tests one of ``folds`` parts that are alike.
    - nnunet: fold 0 to 4 of nnU-Net, so that scores compare: what nnU-Net calls validation is tested here.
    - prescribed: the splits that the data set prescribes.
    - list: the splits in ``lists``; cases in none of them are left out.

    With nnunet, prescribed and list, ``val`` is a fraction of the cases that are not tested, drawn as by random; it is
    ignored where cases for val are prescribed or listed.

    Draws order groups by SHA-256 of seed and name: the same on every machine, whatever the order of the entries.

    Args:
        method: Method: one of the above.
        val: Cases that choose epoch and thresholds; a fraction in (0, 1), at least one group.
        test: Cases that are only scored, likewise; 0 = none. Not read where a fold or the method says what is tested.
        seed: Seed of the draws, at least 0; not that of the run.
        lists: Cases for method list: {"train": [names], "val": .., "test": ..}, where val or test may be missing, or a
            list of such folds, or a JSON or YAML file of that. In a list of folds without "test", such as nnU-Net's
            splits_final.json, "val" is tested, as with method nnunet.
        folds: Number of folds, at least 2.
        fold: Fold that is tested, 0 to folds - 1; None = no cross-validation.
        train_fraction: Fraction of the training cases that is kept, in (0, 1]; whole groups, at least one. A smaller
            fraction is a part of a larger one; val and test stay.

    Raises:
        ValueError: An argument is out of its range or does not fit the method.

    Source: nnU-Net's folds: Isensee et al. 2021 (Nature Methods 18:203), nnunetv2/utilities/crossval_split.py.
    """

    method: str = "contiguous"
    val: float | int | str = 0.2
    test: float | int | str = 0.0
    seed: int = 0
    lists: Lists | None = None
    folds: int = 5
    fold: int | None = None
    train_fraction: float = 1.0

    def __post_init__(self) -> None:
        require_choice("data.split.method", self.method, _METHODS)
        require_at_least("data.split.seed", self.seed, 0, integer=True)
        if (self.lists is None) == (self.method == "list"):
            raise ValueError(
                f"data.split.lists goes with data.split.method=list (now {self.method}): set both or neither"
            )
        require_between("data.split.train_fraction", self.train_fraction, 0, 1, open_at="low")


def make_split(entries: Sequence[Entry], settings: SplitSettings) -> Split:
    """Split all cases; names keep the source's order.

    Raises:
        ValueError: The settings do not go with these cases, or would divide a group.
        FileNotFoundError: There is no file ``lists``.
    """
    split = _METHODS[settings.method](entries, settings)
    _require_whole_groups(entries, split, settings.method)
    training = [entry for entry in entries if entry.name in set(split.train)]
    kept = thinned(training, settings.train_fraction, settings.seed)
    return replace(split, train=tuple(name for name in split.train if name in kept))


def _contiguous(entries: Sequence[Entry], settings: SplitSettings) -> Split:
    count = len(entries)
    if settings.fold is None:
        tested = _positions("data.split.test", settings.test, list(range(count)), count)
        chosen = _positions("data.split.val", settings.val, [i for i in range(count) if i not in set(tested)], count)
    else:
        _require_fold(settings.fold, settings.folds, count, "cases")
        tested = list(range(settings.fold * count // settings.folds, (settings.fold + 1) * count // settings.folds))
        held = len(_positions("data.split.val", settings.val, list(range(count)), count))
        chosen = [(tested[0] - 1 - i) % count for i in range(min(held, count - len(tested)))]
    return _arranged(entries, [entries[i].name for i in chosen], [entries[i].name for i in tested])


def _random(entries: Sequence[Entry], settings: SplitSettings) -> Split:
    if settings.fold is None:
        tested = drawn(entries, _share("data.split.test", settings.test), settings.seed)
    else:
        _require_fold(settings.fold, settings.folds, group_count(entries), "groups")
        tested = dealt(entries, settings.folds, settings.seed)[settings.fold]
    rest = [entry for entry in entries if entry.name not in tested]
    share = _share("data.split.val", settings.val) * len(entries) / max(1, len(rest))
    return _arranged(entries, drawn(rest, share, settings.seed), tested)


def _nnunet(entries: Sequence[Entry], settings: SplitSettings) -> Split:
    from sklearn.model_selection import KFold  # slow to import

    if settings.fold is None or settings.folds != 5:
        raise ValueError(
            f"data.split.fold={settings.fold} of data.split.folds={settings.folds} is no fold of nnU-Net, which has "
            "five: set data.split.fold to 0, 1, 2, 3 or 4 and data.split.folds to 5"
        )
    _require_fold(settings.fold, settings.folds, len(entries), "cases")
    names = sorted(entry.name for entry in entries)
    folds = KFold(n_splits=5, shuffle=True, random_state=12345).split(names)
    tested = {names[i] for i in [test for _, test in folds][settings.fold]}
    return _by_side([replace(entry, side="test" if entry.name in tested else "train") for entry in entries], settings)


def _prescribed(entries: Sequence[Entry], settings: SplitSettings) -> Split:
    if settings.fold is not None:
        raise ValueError(f"data.split.fold={settings.fold}: the data set prescribes no folds; set data.split.fold=null")
    unknown = [entry.name for entry in entries if entry.side not in SIDES]
    if unknown:
        raise ValueError(
            f"the data set prescribes no side (train, val, test) for {some(unknown)}: "
            "set data.split.method to contiguous, random or list"
        )
    return _by_side(entries, settings)


def _listed(entries: Sequence[Entry], settings: SplitSettings) -> Split:
    sides = read_lists(settings.lists, settings.fold, {entry.name for entry in entries})
    return _by_side([replace(entry, side=sides[entry.name]) for entry in entries if entry.name in sides], settings)


_METHODS = {
    "contiguous": _contiguous,
    "random": _random,
    "nnunet": _nnunet,
    "prescribed": _prescribed,
    "list": _listed,
}


def _arranged(entries: Sequence[Entry], val: Collection[str], test: Collection[str]) -> Split:
    """Put the sides into the source's order; the rest trains."""
    held = {*val, *test}
    sides = [[entry.name for entry in entries if entry.name in side] for side in (set(val), set(test))]
    return Split(tuple(entry.name for entry in entries if entry.name not in held), *map(tuple, sides))


def _by_side(entries: Sequence[Entry], settings: SplitSettings) -> Split:
    """Follow the sides of the entries; where none is "val", draw it from those that train."""
    val, test = ({entry.name for entry in entries if entry.side == side} for side in ("val", "test"))
    if not val:
        trained = [entry for entry in entries if entry.side == "train"]
        val = drawn(trained, _share("data.split.val", settings.val), settings.seed)
    return _arranged(entries, val, test)


def _require_fold(fold: int, folds: int, count: int, what: str) -> None:
    require_at_least("data.split.folds", folds, 2, integer=True)
    require_at_least("data.split.fold", fold, 0, integer=True)
    if fold >= folds or count < folds:
        raise ValueError(
            f"data.split.fold={fold}: {count} {what} have folds 0 to {min(folds, count) - 1} (data.split.folds={folds})"
        )


def _require_whole_groups(entries: Sequence[Entry], split: Split, method: str) -> None:
    side_of = {name: side for side in SIDES for name in getattr(split, side)}
    groups: dict[str, dict[str, str]] = {}
    for entry in entries:
        if entry.group and entry.name in side_of:
            groups.setdefault(entry.group, {}).setdefault(side_of[entry.name], entry.name)
    divided = [
        f"{group} ({', '.join(f'{name} in {side}' for side, name in cases.items())})"
        for group, cases in groups.items()
        if len(cases) > 1
    ]
    if divided:
        raise ValueError(
            f"data.split.method={method} would divide groups: {some(divided)}: move the cases of a group to one side, "
            "or set data.split.method=random, which keeps groups whole"
        )


def _share(key: str, part: float | int | str) -> float:
    """Check a share in [0, 1)."""
    if isinstance(part, str):
        raise ValueError(f"{key}={part!r} must be a share such as 0.2: positions go with data.split.method=contiguous")
    require_at_least(key, part, 0)
    if part >= 1:
        raise ValueError(
            f'{key}={part} is no share below 1: write 0.2 for a fifth, or (contiguous) positions such as "20-23"'
        )
    return part


def _positions(key: str, part: float | int | str, free: list[int], count: int) -> list[int]:
    """Turn a share or a list of ranges into positions."""
    if isinstance(part, float) or part == 0:
        share = _share(key, part)
        return free[max(0, len(free) - max(1, round(share * count))) :] if share else []
    return [i for piece in str(part).split(",") for i in _range(key, piece.strip(), count)]


def _range(key: str, piece: str, count: int) -> range:
    first, _, last = piece.partition("-")
    if not first.isdecimal() or (last and not last.isdecimal()):
        raise ValueError(f'{key}: {piece!r} is neither a position nor a range; write "20-23" or "3,7-9" or a share 0.2')
    start, stop = int(first), int(last or first) + 1
    if stop > count or start >= stop:
        raise ValueError(f"{key}: {piece!r} does not lie in the {count} cases, numbered 0-{count - 1}")
    return range(start, stop)
