"""Which cases train, which choose (epoch, threshold), which are scored.

The default is contiguous in the source's order: neighboring slices of a stack are nearly equal, and a random split
would let the test set leak into training. No method puts the cases of one group (patient) in two splits.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from segexp.data.case import Entry
from segexp.data.splits.groups import distributed, drawn, group_count, thinned
from segexp.data.splits.lists import SPLITS, Lists, read_lists
from segexp.data.splits.positions import fraction_of, positions_of
from segexp.errors import did_you_mean, require_at_least, require_between, require_choice, some


@dataclass(frozen=True)
class Split:
    """Names of the cases of the three splits; ``test`` may be empty, ``val`` the same as ``train``."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        val = () if self.val == self.train else self.val
        splits = Counter([*self.train, *val, *self.test])
        twice = sorted(name for name, times in splits.items() if times > 1)
        if twice:
            raise ValueError(f"cases {some(twice)} are in two splits: data.split.val and .test must not overlap")
        for split in ("train", "val"):
            if not getattr(self, split):
                raise ValueError(f"the split of {len(splits)} cases leaves none for {split}: change data.split")


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
    - all: every case trains, and the same cases choose epoch and thresholds; none is left to tell how good the network
      is. For a network whose settings were chosen before, or for a single case.

    With nnunet, prescribed and list, ``val`` is a fraction of the cases that are not tested, drawn as by random; it is
    ignored where cases for val are prescribed or listed.

    Draws order groups by SHA-256 of seed and name: the same on every machine, whatever the order of the entries.

    Args:
        method: Method: one of the above.
        val: Cases that choose epoch and thresholds; a fraction in (0, 1), at least one group.
        test: Cases that are only scored, likewise; 0 = none. Not read where a fold or the method says what is tested.
        seed: Seed of the draws, at least 0; not that of the run.
        lists: Cases for method list: {"train": [names], "val": .., "test": ..}, where val or test may be missing, or a
            list of such folds, or a JSON or YAML file of that, or the run.json of a run, for its split. In a list of
            folds without "test", such as nnU-Net's splits_final.json, "val" is tested, as with method nnunet.
        folds: Number of folds, at least 2.
        fold: Fold that is tested, 0 to folds - 1; None = no cross-validation.
        train_fraction: Fraction of the training cases that is kept, in (0, 1]; whole groups, at least one. A smaller
            fraction is a part of a larger one; val and test stay.
        train_seed: Seed of the draw of ``train_fraction``, at least 0; None = ``seed``. Runs with another one learn
            from other cases of the same training set.
        exclude: Names of cases that are left out, as if the source did not have them; None = none.

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
    train_seed: int | None = None
    exclude: Sequence[str] | None = None

    def __post_init__(self) -> None:
        require_choice("data.split.method", self.method, _METHODS)
        require_at_least("data.split.seed", self.seed, 0, integer=True)
        if (self.lists is None) == (self.method == "list"):
            raise ValueError(
                f"data.split.lists goes with data.split.method=list (now {self.method}): set both or neither"
            )
        for key, part in (("data.split.val", self.val), ("data.split.test", self.test)):
            if isinstance(part, float):
                fraction_of(key, part)
        require_between("data.split.train_fraction", self.train_fraction, 0, 1, open_at="low")
        if self.train_seed is not None:
            require_at_least("data.split.train_seed", self.train_seed, 0, integer=True)


def without_excluded(entries: Sequence[Entry], settings: SplitSettings) -> list[Entry]:
    """Leave out the cases that the settings exclude.

    Raises:
        ValueError: There is no such case.
    """
    excluded = {str(name) for name in settings.exclude or ()}  # YAML reads a name such as 7 as a number
    names = {entry.name for entry in entries}
    for name in sorted(excluded - names):
        raise ValueError(f"data.split.exclude names {name!r}, which is no case{did_you_mean(name, names)}")
    return [entry for entry in entries if entry.name not in excluded]


def make_split(entries: Sequence[Entry], settings: SplitSettings) -> Split:
    """Split all cases; names keep the source's order.

    Raises:
        ValueError: The settings do not go with these cases, or would divide a group.
        FileNotFoundError: There is no file ``lists``.
    """
    split = _METHODS[settings.method](entries, settings)
    _require_whole_groups(entries, split, settings.method)
    training = [entry for entry in entries if entry.name in set(split.train)]
    seed = settings.seed if settings.train_seed is None else settings.train_seed
    kept = thinned(training, settings.train_fraction, seed)
    train = tuple(name for name in split.train if name in kept)
    return replace(split, train=train, val=train if split.val == split.train else split.val)


def _contiguous(entries: Sequence[Entry], settings: SplitSettings) -> Split:
    count = len(entries)
    if settings.fold is None:
        test = positions_of("data.split.test", settings.test, list(range(count)), count)
        free = [position for position in range(count) if position not in set(test)]
        val = positions_of("data.split.val", settings.val, free, count)
    else:
        _require_fold(settings, count, "cases")
        first, stop = (fold * count // settings.folds for fold in (settings.fold, settings.fold + 1))
        test = list(range(first, stop))
        # Validation takes as many cases as without folds, right before the test block,
        # counted around the end.
        wanted = len(positions_of("data.split.val", settings.val, list(range(count)), count))
        val = [(first - 1 - offset) % count for offset in range(min(wanted, count - len(test)))]
    return _in_order(entries, [entries[position].name for position in val], [entries[i].name for i in test])


def _random(entries: Sequence[Entry], settings: SplitSettings) -> Split:
    if settings.fold is None:
        test = drawn(entries, fraction_of("data.split.test", settings.test), settings.seed)
    else:
        _require_fold(settings, group_count(entries), "groups")
        test = distributed(entries, settings.folds, settings.seed)[settings.fold]
    # The fraction for validation is one of all cases; it is drawn from those that are left.
    rest = [entry for entry in entries if entry.name not in test]
    fraction = fraction_of("data.split.val", settings.val) * len(entries) / max(1, len(rest))
    return _in_order(entries, drawn(rest, fraction, settings.seed), test)


def _nnunet(entries: Sequence[Entry], settings: SplitSettings) -> Split:
    if settings.fold is None or settings.folds != 5:
        raise ValueError(
            f"data.split.fold={settings.fold} of data.split.folds={settings.folds} is no fold of nnU-Net, which has "
            "five: set data.split.fold to 0, 1, 2, 3 or 4 and data.split.folds to 5"
        )
    _require_fold(settings, len(entries), "cases")
    # nnU-Net sorts the names and cuts them as KFold of scikit-learn does with this seed; numpy keeps these draws.
    names = sorted(entry.name for entry in entries)
    shuffled = np.random.RandomState(12345).permutation(len(names))
    test = {names[position] for position in np.array_split(shuffled, 5)[settings.fold]}
    return _prescribed_split(
        [replace(entry, split="test" if entry.name in test else "train") for entry in entries], settings
    )


def _prescribed(entries: Sequence[Entry], settings: SplitSettings) -> Split:
    if settings.fold is not None:
        raise ValueError(f"data.split.fold={settings.fold}: the data set prescribes no folds; set data.split.fold=null")
    unknown = [entry.name for entry in entries if entry.split not in SPLITS]
    if unknown:
        raise ValueError(
            f"the data set prescribes no split (train, val, test) for {some(unknown)}: "
            "set data.split.method to contiguous, random or list"
        )
    return _prescribed_split(entries, settings)


def _listed(entries: Sequence[Entry], settings: SplitSettings) -> Split:
    listed = read_lists(settings.lists, settings.fold, {entry.name for entry in entries})
    return _prescribed_split(
        [replace(entry, split=listed[entry.name]) for entry in entries if entry.name in listed], settings
    )


def _all(entries: Sequence[Entry], settings: SplitSettings) -> Split:
    if settings.fold is not None:
        raise ValueError(
            f"data.split.fold={settings.fold}: with data.split.method=all no case is tested; set it to null"
        )
    names = tuple(entry.name for entry in entries)
    return Split(names, names, ())


_METHODS = {
    "contiguous": _contiguous,
    "random": _random,
    "nnunet": _nnunet,
    "prescribed": _prescribed,
    "list": _listed,
    "all": _all,
}


def _in_order(entries: Sequence[Entry], val: Collection[str], test: Collection[str]) -> Split:
    """Put the cases into the source's order; those in neither val nor test train."""
    names = [entry.name for entry in entries]
    held_out = {*val, *test}
    return Split(
        train=tuple(name for name in names if name not in held_out),
        val=tuple(name for name in names if name in set(val)),
        test=tuple(name for name in names if name in set(test)),
    )


def _prescribed_split(entries: Sequence[Entry], settings: SplitSettings) -> Split:
    """Follow the splits of the entries; where none is "val", draw it from those that train."""
    val = {entry.name for entry in entries if entry.split == "val"}
    test = {entry.name for entry in entries if entry.split == "test"}
    if not val:
        training = [entry for entry in entries if entry.split == "train"]
        val = drawn(training, fraction_of("data.split.val", settings.val), settings.seed)
    return _in_order(entries, val, test)


def _require_fold(settings: SplitSettings, count: int, what: str) -> None:
    fold, folds = settings.fold, settings.folds
    require_at_least("data.split.folds", folds, 2, integer=True)
    require_at_least("data.split.fold", fold, 0, integer=True)
    assert fold is not None
    if fold >= folds or count < folds:
        raise ValueError(
            f"data.split.fold={fold}: {count} {what} have folds 0 to {min(folds, count) - 1} (data.split.folds={folds})"
        )


def _require_whole_groups(entries: Sequence[Entry], split: Split, method: str) -> None:
    split_of = {name: part for part in SPLITS for name in getattr(split, part)}
    # One case of each group in each split that it reaches, as an example for the message.
    examples: dict[str, dict[str, str]] = {}
    for entry in entries:
        if entry.group and entry.name in split_of:
            examples.setdefault(entry.group, {}).setdefault(split_of[entry.name], entry.name)
    divided = [
        f"{group} ({', '.join(f'{name} in {part}' for part, name in cases.items())})"
        for group, cases in examples.items()
        if len(cases) > 1
    ]
    if divided:
        raise ValueError(
            f"data.split.method={method} would divide groups: {some(divided)}: move the cases of a group to one split, "
            "or set data.split.method=random, which keeps groups whole"
        )
