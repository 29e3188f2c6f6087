"""Splits against scikit-learn's folds, by hand, and by their laws on random data sets."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import KFold

from segexp.data.case import Entry
from segexp.data.splits import Split, SplitSettings, make_split

NAMES = [f"slice_{i:02d}" for i in range(30)]
STACK = [Entry(name) for name in NAMES]
EYES = [Entry(f"Image_{child:02d}{side}", group=f"{child:02d}") for child in range(1, 15) for side in "LR"]
FRACTIONS = st.floats(0.02, 0.3)


def positions(side):
    return [NAMES.index(name) for name in side]


def split_of(entries, *arguments, **keywords):
    return make_split(entries, SplitSettings(*arguments, **keywords))


def everyone(split):
    return sorted([*split.train, *split.val, *split.test])


@st.composite
def datasets(draw):
    """Up to 24 groups of one to three cases; every group is of one kind; some groups have no name."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=6, max_size=24))
    kinds = draw(st.lists(st.sampled_from(["", "mri", "ct"]), min_size=len(sizes), max_size=len(sizes)))
    return [
        Entry(f"case_{number}_{part}", group=f"p{number}" if size > 1 else "", stratum=kind)
        for number, (size, kind) in enumerate(zip(sizes, kinds, strict=True))
        for part in range(size)
    ]


def require_whole_groups(entries, split):
    side_of = {name: side for side in ("train", "val", "test") for name in getattr(split, side)}
    for group in {entry.group for entry in entries} - {""}:
        assert len({side_of.get(entry.name) for entry in entries if entry.group == group}) == 1


def kinds(entries, names):
    return Counter(entry.stratum for entry in entries if entry.name in names)


def test_positions_give_the_challenge_split():
    split = split_of(STACK, val="20-23", test="24-29")
    assert positions(split.train) == list(range(20))
    assert positions(split.val) == [20, 21, 22, 23]
    assert positions(split.test) == [24, 25, 26, 27, 28, 29]


def test_shares_are_contiguous_blocks_from_the_end():
    split = split_of(STACK, val=0.2, test=0.1)
    assert positions(split.test) == [27, 28, 29]
    assert positions(split.val) == [21, 22, 23, 24, 25, 26]
    assert positions(split.train) == list(range(21))


def test_no_test_cases_and_single_positions():
    split = split_of(STACK, val="3,7-8", test=0)
    assert positions(split.val) == [3, 7, 8]
    assert split.test == ()
    assert len(split.train) == 27


@pytest.mark.parametrize("fold", range(5))
def test_contiguous_folds_partition_the_cases(fold):
    split = split_of(STACK, val="20-23", fold=fold)
    assert positions(split.test) == list(range(6 * fold, 6 * fold + 6))
    assert len(split.val) == 4
    assert everyone(split) == NAMES
    assert (6 * fold - 1) % 30 in positions(split.val)


def test_last_fold_is_the_holdout_of_isbi():
    assert split_of(STACK, val="20-23", fold=4) == split_of(STACK, val="20-23", test="24-29")


@given(datasets(), FRACTIONS, FRACTIONS, st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_random_shares_divide_no_group_and_keep_kinds_in_proportion(entries, val, test, seed):
    split = split_of(entries, "random", val, test, seed)
    assert everyone(split) == sorted(entry.name for entry in entries)
    require_whole_groups(entries, split)
    sizes = Counter(entry.group or entry.name for entry in entries).values()
    largest, smallest = max(sizes), min(sizes)
    total, tested = kinds(entries, set(everyone(split))), kinds(entries, set(split.test))
    assert abs(len(split.test) - test * len(entries)) <= largest / 2 or len(split.test) == smallest
    assert all(abs(tested[kind] - test * total[kind]) <= largest for kind in total)
    assert abs(len(split.val) - val * len(entries)) <= largest
    assert all(abs(kinds(entries, set(split.val))[kind] - val * total[kind]) <= 2 * largest for kind in total)


@given(datasets(), st.integers(2, 6), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_random_folds_test_every_case_once_in_proportion(entries, folds, seed):
    splits = [split_of(entries, "random", 0.1, folds=folds, fold=fold, seed=seed) for fold in range(folds)]
    assert sorted(name for split in splits for name in split.test) == sorted(entry.name for entry in entries)
    for split in splits:
        assert everyone(split) == sorted(entry.name for entry in entries)
        require_whole_groups(entries, split)
    largest = max(Counter(entry.group or entry.name for entry in entries).values())
    for kind in {entry.stratum for entry in entries}:
        counts = [kinds(entries, set(split.test))[kind] for split in splits]
        assert max(counts) - min(counts) <= largest


def test_cases_without_groups_fill_folds_and_shares_exactly():
    entries = [Entry(f"{kind}{i}", stratum=kind) for kind in ("fluo", "color") for i in range(25)]
    for fold in range(5):
        assert kinds(entries, split_of(entries, "random", fold=fold).test) == {"fluo": 5, "color": 5}
    split = split_of(entries, "random", val=0.2, test=0.2)
    assert kinds(entries, split.test) == kinds(entries, split.val) == {"fluo": 5, "color": 5}


@given(datasets(), st.lists(st.floats(0.01, 1.0), min_size=2, max_size=4), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_training_fractions_are_nested(entries, fractions, seed):
    whole = split_of(entries, "random", test=0.2, seed=seed)
    largest = max(Counter(entry.group or entry.name for entry in entries).values())
    smaller = set()
    for fraction in [*sorted(fractions), 1.0]:
        split = split_of(entries, "random", test=0.2, seed=seed, train_fraction=fraction)
        assert (split.val, split.test) == (whole.val, whole.test)
        assert split.train
        assert smaller <= set(split.train) <= set(whole.train)
        assert abs(len(split.train) - fraction * len(whole.train)) <= largest
        require_whole_groups([entry for entry in entries if entry.name in whole.train], split)
        smaller = set(split.train)
    assert smaller == set(whole.train)


def test_another_train_seed_draws_other_training_cases_and_nothing_else():
    names = [f"case_{n:02d}" for n in range(40)]
    entries = [Entry(name) for name in names]
    drawn = {}
    for seed in (None, 0, 1, 2):
        nested = [
            split_of(entries, "random", test=0.2, train_fraction=fraction, train_seed=seed)
            for fraction in (0.2, 0.5, 1)
        ]
        assert set(nested[0].train) < set(nested[1].train) < set(nested[2].train)
        drawn[seed] = nested
    assert drawn[None] == drawn[0]  # that of the split
    assert len({split[0].train for split in drawn.values()}) == 3
    assert len({(split[2].train, split[0].val, split[0].test) for split in drawn.values()}) == 1


def test_a_training_fraction_keeps_kinds_in_proportion():
    entries = [Entry(f"{kind}{i}", stratum=kind) for kind, n in (("a", 80), ("b", 20)) for i in range(n)]
    entries += [Entry("val", split="val")]
    entries = [Entry(entry.name, stratum=entry.stratum, split=entry.split or "train") for entry in entries]
    split = split_of(entries, "prescribed", train_fraction=0.1)
    assert kinds(entries, split.train) == {"a": 8, "b": 2}


def test_seeds_differ_and_the_order_of_entries_does_not_matter():
    one, other = split_of(EYES, "random", test=0.3), split_of(EYES, "random", test=0.3, seed=1)
    assert one != other
    turned = split_of(EYES[::-1], "random", test=0.3)
    assert {side: sorted(names) for side, names in vars(turned).items()} == {
        side: sorted(names) for side, names in vars(one).items()
    }


def test_a_draw_is_the_same_for_ever():
    split = split_of(EYES, "random", val=0.15, test=0.3, seed=7, train_fraction=0.5)
    children = {side: sorted({name[6:8] for name in names}) for side, names in vars(split).items()}
    assert children == {"train": ["01", "04", "05", "14"], "val": ["02", "10"], "test": ["03", "06", "09", "11"]}
    kinds = [Entry(f"c{i}", stratum="abc"[i % 3]) for i in range(12)]
    assert split_of(kinds, "random", fold=1, folds=4).test == ("c7", "c9", "c11")


@pytest.mark.parametrize("fold", range(5))
def test_nnunet_folds_are_those_of_scikit_learn(fold, tmp_path):
    entries = [Entry(f"hippocampus_{i:03d}") for i in (381, 3, 24, *range(100, 160 + fold))]
    names = sorted(entry.name for entry in entries)
    folds = [
        {side: [names[i] for i in part] for side, part in zip(("train", "val"), parts, strict=True)}
        for parts in KFold(n_splits=5, shuffle=True, random_state=12345).split(names)
    ]
    split = split_of(entries, "nnunet", val=0.25, fold=fold)
    assert sorted(split.test) == folds[fold]["val"]
    assert sorted([*split.train, *split.val]) == folds[fold]["train"]
    assert abs(len(split.val) - 0.25 * len(folds[fold]["train"])) <= 0.5
    assert [entry.name for entry in entries if entry.name in split.test] == list(split.test)
    (tmp_path / "splits_final.json").write_text(json.dumps(folds))
    assert split_of(entries, "list", val=0.25, fold=fold, lists=tmp_path / "splits_final.json") == split


@pytest.mark.skipif("SEGEXP_DATA_DIR" not in os.environ, reason="SEGEXP_DATA_DIR is not set: no real data")
def test_nnunet_folds_of_the_hippocampus():
    folder = Path(os.environ["SEGEXP_DATA_DIR"]) / "Task04_Hippocampus" / "labelsTr"
    entries = [Entry(path.name.removesuffix(".nii.gz")) for path in sorted(folder.glob("*.nii.gz"))]
    splits = [split_of(entries, "nnunet", fold=fold) for fold in range(5)]
    assert [len(split.test) for split in splits] == [52] * 5
    assert [len(split.val) for split in splits] == [42] * 5  # a fifth of the other 208
    # What people find in nnU-Net's own folder fold_0/validation of this data set.
    assert splits[0].test[:3] == ("hippocampus_017", "hippocampus_019", "hippocampus_033")


def test_prescribed_sides_are_followed_and_val_is_taken_from_train():
    entries = [Entry(f"c{i}", split="train" if i < 20 else "test") for i in range(28)]
    split = split_of(entries, "prescribed", val=0.1)
    assert split.test == tuple(f"c{i}" for i in range(20, 28))
    assert len(split.val) == 2
    assert set(split.val) | set(split.train) == {f"c{i}" for i in range(20)}
    own = [Entry(f"c{i}", split=split) for i, split in enumerate(["train", "val", "train", "test"])]
    assert split_of(own, "prescribed") == Split(("c0", "c2"), ("c1",), ("c3",))


@pytest.mark.parametrize("form", ["mapping", "json", "yaml"])
def test_listed_sides(form, tmp_path):
    lists = {"train": NAMES[:10], "val": NAMES[12:14], "test": NAMES[20:]}
    path = tmp_path / f"lists.{form}"
    path.write_text(yaml.safe_dump(lists) if form == "yaml" else json.dumps(lists))
    split = split_of(STACK, "list", lists=lists if form == "mapping" else str(path))
    assert split == Split(tuple(NAMES[:10]), tuple(NAMES[12:14]), tuple(NAMES[20:]))


def test_listed_folds_with_three_sides_stay_as_they_are():
    folds = [{"train": NAMES[:5], "val": NAMES[5:6], "test": NAMES[6:]}, {"train": [], "val": []}]
    assert split_of(STACK, "list", fold=0, lists=folds).val == (NAMES[5],)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"val": "20-23", "test": "23-29"}, "slice_23 are in two splits"),
        ({"val": "28-31"}, "does not lie in the 30 cases, numbered 0-29"),
        ({"val": "a-b"}, "data.split.val: 'a-b' is neither a position nor a range"),
        ({"val": 1.5}, "data.split.val=1.5 must be a number of at least 0 and below 1: write 0.2 for a fifth"),
        ({"val": 0, "test": 0.2}, "leaves none for val"),
        ({"val": "0-29"}, "leaves none for train"),
        ({"val": 0.9, "test": 0.5}, "leaves none for train"),
        ({"fold": 5}, "data.split.fold=5: 30 cases have folds 0 to 4"),
        ({"fold": 0, "folds": 31}, "have folds 0 to 29"),
        ({"method": "randon"}, "data.split.method='randon' .*did you mean 'random'"),
        ({"method": "random", "val": "20-23"}, "data.split.val='20-23' must be a fraction"),
        ({"method": "random", "val": 0.6, "test": 0.5}, "leaves none for train"),
        ({"method": "random", "seed": -1}, "data.split.seed=-1"),
        ({"method": "nnunet"}, "data.split.fold=None of data.split.folds=5 .* set data.split.fold to 0, 1, 2, 3 or 4"),
        ({"method": "nnunet", "fold": 0, "folds": 10}, "data.split.folds=10"),
        ({"method": "prescribed"}, "prescribes no split .* for slice_00, slice_01, .* and 20 more"),
        ({"method": "prescribed", "fold": 1}, "set data.split.fold=null"),
        ({"method": "list"}, "set both or neither"),
        ({"lists": {"train": NAMES}}, "data.split.method=list \\(now contiguous\\)"),
        ({"method": "list", "lists": {"train": ["slice_1"]}}, "train has 'slice_1', no case \\(did you mean 'slice_"),
        ({"method": "list", "lists": {"train": [3]}}, "train has 3, no case"),
        ({"method": "list", "lists": {"train": "slice_01"}}, "must be a list of cases"),
        ({"method": "list", "lists": {"trian": NAMES}}, "did you mean 'train'"),
        ({"method": "list", "lists": {"train": NAMES, "test": NAMES[:1]}}, "slice_00 stands in train and in test"),
        ({"method": "list", "lists": {"train": NAMES}, "fold": 0}, "has no folds: set data.split.fold=null"),
        ({"method": "list", "lists": [{"train": NAMES}]}, "data.split.fold, of the 1 folds in data.split.lists,=None"),
        ({"method": "list", "lists": [7], "fold": 0}, "must be {train"),
        ({"method": "list", "lists": {"val": NAMES}}, "leaves none for train"),
        ({"method": "all", "fold": 0}, "no case is tested"),
        ({"train_fraction": 0}, "data.split.train_fraction=0 must be a number above 0 and at most 1"),
        ({"train_seed": -1}, "data.split.train_seed=-1 must be an integer of at least 0"),
        ({"train_fraction": 1.1}, "data.split.train_fraction=1.1"),
        ({"train_fraction": float("nan")}, "data.split.train_fraction=nan"),
    ],
)
def test_impossible_splits_name_the_key(arguments, words):
    with pytest.raises(ValueError, match=words):
        split_of(STACK, **arguments)


def test_a_file_of_lists_that_is_missing_or_broken_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="data.split.lists=.*no.json is not a file"):
        split_of(STACK, "list", lists=tmp_path / "no.json")
    for name in ("broken.json", "broken.yaml"):
        (tmp_path / name).write_text("{train: [")
        with pytest.raises(ValueError, match=f"{name} cannot be read"):
            split_of(STACK, "list", lists=tmp_path / name)


@pytest.mark.parametrize(
    "arguments",
    [
        {"val": "26-27", "test": "21-22"},
        {"fold": 1},
        {"method": "nnunet", "fold": 0},
        {"method": "list", "lists": {"train": ["Image_01L"], "val": ["Image_02L"], "test": ["Image_01R"]}},
    ],
)
def test_a_group_on_two_sides_is_refused(arguments):
    with pytest.raises(ValueError, match=r"divide groups: \d\d \(Image_\d\d[LR] in .*, Image_\d\d[LR] in .*=random"):
        split_of(EYES, **arguments)


def test_prescribed_sides_may_not_divide_a_group_either():
    entries = [Entry("a", group="p", split="train"), Entry("b", group="p", split="test"), Entry("c", split="val")]
    with pytest.raises(ValueError, match="p \\(a in train, b in test\\)"):
        split_of(entries, "prescribed")


def test_too_few_groups_for_folds():
    with pytest.raises(ValueError, match="14 groups have folds 0 to 13"):
        split_of(EYES, "random", folds=20, fold=0)


def test_a_split_refuses_a_case_on_two_sides():
    with pytest.raises(ValueError, match="two splits"):
        Split(("a", "b"), ("b",), ())


@pytest.mark.parametrize("count", [1, 2, 7])
def test_all_cases_train_and_choose(count):
    entries = [Entry(name=f"case_{n}") for n in range(count)]
    split = make_split(entries, SplitSettings(method="all", val=0.5, test=0.5))
    assert split.train == split.val == tuple(entry.name for entry in entries)
    assert split.test == ()


def test_a_fraction_of_all_cases_chooses_among_itself():
    split = make_split([Entry(name=f"case_{n}") for n in range(10)], SplitSettings(method="all", train_fraction=0.3))
    assert len(split.train) == 3
    assert split.val == split.train
